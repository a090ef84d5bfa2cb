//! The kind `disk` against real file systems.

use std::process::Command;

use serde_json::json;

use crate::act::Act;
use crate::real;

fn act() -> Act {
    Act::new(json!({}), json!({}))
}

#[tokio::test]
async fn it_says_what_df_says() {
    let outcome = act().perform("disk", json!({ "path": "/" })).await;
    assert!(outcome.is_success(), "{outcome:?}");
    let disk = &outcome.output["disks"][0];
    let mut df = Command::new("df");
    df.args(["--block-size=1", "--output=size,source,target", "/"]);
    let said = String::from_utf8(real::run(&mut df, "coreutils").stdout).unwrap();
    let words: Vec<&str> = said.lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!(disk["total"].to_string(), words[0], "{said}");
    assert_eq!((&disk["device"], &disk["mount"]), (&json!(words[1]), &json!(words[2])));
    assert_eq!(outcome.output["fullest"], "/");
}

#[tokio::test]
async fn a_disk_that_is_too_full_is_named_and_the_others_are_told_all_the_same() {
    let directory = tempfile::tempdir().unwrap();
    let small = directory.path().join("small");
    std::fs::create_dir(&small).unwrap();
    // Hardly anything is in use of a disk that is just installed, and nothing ever of a file system without a disk.
    let path = [small.to_str().unwrap(), "/proc"];
    let outcome = act().perform("disk", json!({ "path": path, "below": 0.05 })).await;
    assert!(!outcome.is_success(), "{outcome:?}");
    assert_eq!(outcome.output["trouble"]["kind"], "full");
    assert_eq!(outcome.output["failing"], json!([small.to_str().unwrap()]), "nothing is used of /proc");
    assert_eq!(outcome.output["disks"].as_array().unwrap().len(), 2);
    assert!(act().perform("disk", json!({ "path": path, "below": 100.1 })).await.is_success());
}

#[tokio::test]
async fn a_path_that_is_missing_is_a_failure_with_a_word() {
    let outcome = act().perform("disk", json!({ "path": ["/", "/no/such/path\u{1b}[2J"] })).await;
    assert_eq!(outcome.output["trouble"]["kind"], "missing", "{outcome:?}");
    assert_eq!(outcome.summary, "there is no `/no/such/path␛[2J`");
    assert_eq!(act().perform("disk", json!({ "path": [] })).await.output["trouble"]["kind"], "spec");
}
