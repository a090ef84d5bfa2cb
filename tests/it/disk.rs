//! The kind `disk` against real file systems.

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use runbook::actions::transport::process::{output_detached, spawn_detached};
use serde_json::json;
use tempfile::TempDir;

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

/// A mounted file system that answers nothing, as one does whose server is gone: behind it is a driver in user space that
/// never takes up its work.
struct Dead {
    directory: TempDir,
    // When this is closed, the kernel lets go of whoever waits.
    _driver: File,
}

impl Dead {
    fn mount() -> Self {
        let driver = OpenOptions::new().read(true).write(true).open("/dev/fuse");
        let driver = driver.expect("there is a /dev/fuse; load the kernel's module `fuse`, and be root");
        let directory = tempfile::tempdir().unwrap();
        let mut mount = Command::new("mount");
        mount
            .args(["-i", "-t", "fuse", "-o", "fd=0,rootmode=40000,user_id=0,group_id=0", "dead"])
            .arg(directory.path());
        let mounted =
            spawn_detached(mount.stdin(Stdio::from(driver.try_clone().unwrap()))).and_then(|mut mount| mount.wait());
        assert!(
            mounted.is_ok_and(|status| status.success()),
            "it is mounted; install the Debian package `mount`, and be root"
        );
        Self { directory, _driver: driver }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("data")
    }
}

impl Drop for Dead {
    fn drop(&mut self) {
        real::run(Command::new("umount").args(["--lazy", "--no-canonicalize"]).arg(self.directory.path()), "mount");
    }
}

#[tokio::test]
async fn a_file_system_that_does_not_answer_is_named_and_the_others_are_told() {
    let dead = Dead::mount();
    let path = dead.path().display().to_string();
    let outcome = act().within(1).perform("disk", json!({ "path": ["/", &path], "below": 101 })).await;
    assert_eq!(outcome.output["trouble"]["kind"], "timeout", "{outcome:?}");
    assert!(outcome.summary.contains(&path), "{outcome:?}");
    assert_eq!(outcome.output["failing"], json!([path]));
    assert_eq!(outcome.output["disks"][0]["path"], "/");
    for _ in 1..16 {
        act().within(0).perform("disk", json!({ "path": &path })).await;
    }
    let outcome = act().perform("disk", json!({ "path": &path })).await;
    assert!(outcome.summary.ends_with("has not responded to 16 earlier measurements yet"), "{outcome:?}");
}

/// Runs `runbook` over a shop in this directory; its exit code and what it printed.
fn runbook(shop: &Path, words: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_runbook"));
    command.arg("--dir").arg(shop).arg("--state").arg(shop.join("state")).args(words).stdin(Stdio::null());
    let output = output_detached(&mut command).unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn a_run_goes_on_and_ends_when_a_file_system_does_not_answer() {
    let (dead, shop) = (Dead::mount(), tempfile::tempdir().unwrap());
    let runbooks = shop.path().join("runbooks");
    std::fs::create_dir(&runbooks).unwrap();
    std::fs::write(runbooks.join("estate.yaml"), "estate: Shop\nenvironments: { production: {} }\n").unwrap();
    let steps = format!(
        "runbook: full\ntitle: Full\nseverity: p4\nsteps:\n  - {{ id: look, disk: {}, timeout: 1s, on_failure: continue }}\n  \
         - {{ id: after, set: {{ word: went-on }} }}\n",
        dead.path().display()
    );
    std::fs::write(runbooks.join("full.yaml"), steps).unwrap();
    let (code, said) = runbook(shop.path(), &["start", "full"]);
    let (_, told) = runbook(shop.path(), &["timeline"]);
    assert!(told.contains("the step's time was over before an answer came"), "{said}\n{told}");
    assert!(told.contains("went-on") && told.contains("run 1 (full) ended"), "{told}");
    assert_eq!(code, Some(0), "{said}");
}
