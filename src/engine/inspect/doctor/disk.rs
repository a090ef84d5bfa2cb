//! Checks the free space for the log and the post-mortems.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::Doctor;
use crate::domain::core::text::bytes;
use crate::domain::host::requirement::{CheckResult, Topic};

/// The used part of the bytes or inodes, in percent, from which the finding is doubtful.
const NEARLY_FULL: f64 = 90.0;
/// The used part of the bytes or inodes, in percent, from which the finding is wrong.
const FULL: f64 = 97.0;

/// The least free space in bytes: an incident with long outputs takes a few MiB.
const MIN_FREE: u64 = 64 * 1024 * 1024;

impl Doctor {
    pub(super) async fn disk(&self) -> Vec<CheckResult> {
        let directory = self.context.estate.postmortem.directory.as_deref().unwrap_or("postmortems");
        let places = [("log", self.log.clone()), ("post-mortems", self.context.directory.join(directory))];
        let mut findings = Vec::new();
        for (what, place) in places {
            let path = existing(&place);
            let outcome = self.perform_here("disk", json!({ "path": path })).await;
            findings.push(match outcome.output["disks"].get(0) {
                Some(usage) => finding(what, &path, usage),
                None => CheckResult::wrong(
                    Topic::Disk,
                    what,
                    outcome.summary,
                    format!("install -d -m 700 {}", place.display()),
                ),
            });
        }
        findings
    }
}

/// The directory itself, or its nearest parent that exists.
pub(super) fn existing(place: &Path) -> PathBuf {
    place.ancestors().find(|ancestor| ancestor.is_dir()).unwrap_or(Path::new("/")).to_owned()
}

fn finding(what: &str, path: &Path, usage: &Value) -> CheckResult {
    let number = |name: &str| usage[name].as_f64().unwrap_or(0.0);
    let (percent, free) = (number("percent").max(number("inodes_percent")), usage["free"].as_u64().unwrap_or(0));
    let found = format!("`{}` is {percent} % full, {} free", path.display(), bytes(free));
    let remedy = "journalctl --vacuum-size=200M";
    if usage["read_only"] == json!(true) {
        let mount = usage["mount"].as_str().unwrap_or("/");
        let found = format!("`{}` cannot be written: its file system is read-only", path.display());
        return CheckResult::wrong(Topic::Disk, what, found, format!("mount -o remount,rw {mount}"));
    }
    if percent >= FULL || free < MIN_FREE {
        return CheckResult::wrong(Topic::Disk, what, found, remedy);
    }
    match percent >= NEARLY_FULL {
        true => CheckResult::doubtful(Topic::Disk, what, found).remedy(remedy),
        false => CheckResult::fine(Topic::Disk, what, found),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::host::requirement::CheckState;

    #[test]
    fn a_disk_is_full_by_used_bytes_used_inodes_or_little_free_space() {
        let gib = 1024 * 1024 * 1024;
        let state = |usage: Value| finding("log", Path::new("/var"), &usage).state;
        assert_eq!(state(json!({"percent": 40.0, "inodes_percent": null, "free": gib})), CheckState::Fine);
        assert_eq!(state(json!({"percent": 40.0, "inodes_percent": 91.0, "free": gib})), CheckState::Doubtful);
        assert_eq!(state(json!({"percent": 98.0, "free": gib})), CheckState::Wrong);
        assert_eq!(state(json!({"percent": 40.0, "free": 1024})), CheckState::Wrong);
        assert_eq!(state(json!({"percent": 1.0, "free": gib, "read_only": true})), CheckState::Wrong);
    }
}
