//! The kind `disk` against real file systems.

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use runbook::actions::transport::process::{output_detached, spawn_detached};
use serde_json::json;
use tempfile::TempDir;

use crate::kind_harness::KindHarness;
use crate::real;

fn harness() -> KindHarness {
    KindHarness::new(json!({}), json!({}))
}

#[tokio::test]
async fn the_figures_are_those_of_df() {
    let outcome = harness().perform("disk", json!({ "path": "/" })).await;
    assert!(outcome.is_success(), "{outcome:?}");
    let disk = &outcome.output["disks"][0];
    let mut df = Command::new("df");
    df.args(["--block-size=1", "--output=size,source,target", "/"]);
    let printed = String::from_utf8(real::run(&mut df, "coreutils").stdout).unwrap();
    let words: Vec<&str> = printed.lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!(disk["total"].to_string(), words[0], "{printed}");
    assert_eq!((&disk["device"], &disk["mount"]), (&json!(words[1]), &json!(words[2])));
    assert_eq!(outcome.output["fullest"], "/");
}

#[tokio::test]
async fn a_full_disk_is_named_and_the_others_are_listed_too() {
    let directory = tempfile::tempdir().unwrap();
    let small = directory.path().join("small");
    std::fs::create_dir(&small).unwrap();
    // A new disk is hardly used, and `/proc` reports no usage.
    let path = [small.to_str().unwrap(), "/proc"];
    let outcome = harness().perform("disk", json!({ "path": path, "below": 0.05 })).await;
    assert!(!outcome.is_success(), "{outcome:?}");
    assert_eq!(outcome.output["trouble"]["kind"], "full");
    assert_eq!(outcome.output["failing"], json!([small.to_str().unwrap()]), "`/proc` reports no usage");
    assert_eq!(outcome.output["disks"].as_array().unwrap().len(), 2);
    assert!(harness().perform("disk", json!({ "path": path, "below": 100.1 })).await.is_success());
}

#[tokio::test]
async fn a_missing_path_is_a_failure_with_an_error_code() {
    let outcome = harness().perform("disk", json!({ "path": ["/", "/no/such/path\u{1b}[2J"] })).await;
    assert_eq!(outcome.output["trouble"]["kind"], "missing", "{outcome:?}");
    assert_eq!(outcome.summary, "there is no `/no/such/path␛[2J`");
    assert_eq!(harness().perform("disk", json!({ "path": [] })).await.output["trouble"]["kind"], "spec");
}

/// A mounted file system that never answers, as one whose server is gone: its FUSE driver does nothing.
struct HangingFileSystem {
    directory: TempDir,
    // When this is closed, the kernel ends waiting calls.
    _driver: File,
}

impl HangingFileSystem {
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
            "`mount` works; install the Debian package `mount`, and be root"
        );
        Self { directory, _driver: driver }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("data")
    }
}

impl Drop for HangingFileSystem {
    fn drop(&mut self) {
        real::run(Command::new("umount").args(["--lazy", "--no-canonicalize"]).arg(self.directory.path()), "mount");
    }
}

#[tokio::test]
async fn a_file_system_that_does_not_answer_is_named_and_the_others_are_listed() {
    let hanging = HangingFileSystem::mount();
    let path = hanging.path().display().to_string();
    let outcome = harness().within(1).perform("disk", json!({ "path": ["/", &path], "below": 101 })).await;
    assert_eq!(outcome.output["trouble"]["kind"], "timeout", "{outcome:?}");
    assert!(outcome.summary.contains(&path), "{outcome:?}");
    assert_eq!(outcome.output["failing"], json!([path]));
    assert_eq!(outcome.output["disks"][0]["path"], "/");
    for _ in 1..16 {
        harness().within(0).perform("disk", json!({ "path": &path })).await;
    }
    let outcome = harness().perform("disk", json!({ "path": &path })).await;
    assert!(outcome.summary.ends_with("has not responded to 16 earlier measurements yet"), "{outcome:?}");
}

/// Runs `runbook` on a project; its exit code and standard output.
fn runbook(project: &Path, words: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_runbook"));
    command.arg("--dir").arg(project).arg("--state").arg(project.join("state")).args(words).stdin(Stdio::null());
    let output = output_detached(&mut command).unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn a_run_continues_and_ends_when_a_file_system_does_not_answer() {
    let (hanging, project) = (HangingFileSystem::mount(), tempfile::tempdir().unwrap());
    let runbooks = project.path().join("runbooks");
    std::fs::create_dir(&runbooks).unwrap();
    std::fs::write(runbooks.join("estate.yaml"), "estate: Shop\nenvironments: { production: {} }\n").unwrap();
    let steps = format!(
        "runbook: full\ntitle: Full\nseverity: p4\nsteps:\n  - {{ id: look, disk: {}, timeout: 1s, on_failure: continue }}\n  \
         - {{ id: after, set: {{ word: went-on }} }}\n",
        hanging.path().display()
    );
    std::fs::write(runbooks.join("full.yaml"), steps).unwrap();
    let (code, printed) = runbook(project.path(), &["start", "full"]);
    let (_, timeline) = runbook(project.path(), &["timeline"]);
    assert!(timeline.contains("the step's time was over before an answer came"), "{printed}\n{timeline}");
    assert!(timeline.contains("went-on") && timeline.contains("run 1 (full) ended"), "{timeline}");
    assert_eq!(code, Some(0), "{printed}");
}
