//! Parses a list of mounts in the format of `/proc/self/mountinfo`, and finds the mount of a path; see
//! `proc_pid_mountinfo(5)`.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::domain::core::text::one_line;

/// Bytes of the list that are read: thousands of mounts. A host with many containers has hundreds.
const LIMIT: u64 = 1024 * 1024;

/// Characters of a device name or file system type that are kept.
const NAME_LIMIT: usize = 200;

/// A mount. All fields are empty if the list does not contain it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Mount {
    #[serde(rename = "mount")]
    pub point: Option<PathBuf>,
    /// The device or remote share, as named to the kernel.
    pub device: Option<String>,
    /// Such as `ext4` or `nfs4`.
    pub r#type: Option<String>,
    #[serde(skip)]
    pub read_only: bool,
}

/// All mounts of this process's namespace, in the order in which they were made. Empty if the list cannot be read.
pub fn mounts() -> Vec<Mount> {
    let mut text = Vec::new();
    let read = File::open("/proc/self/mountinfo").and_then(|file| file.take(LIMIT).read_to_end(&mut text));
    if read.is_err() {
        return Vec::new();
    }
    String::from_utf8_lossy(&text).lines().filter_map(parsed).collect()
}

/// The mount of a canonical path: the one with the deepest mount point above it; the newest if there are several.
pub fn of(path: &Path, mounts: &[Mount]) -> Mount {
    let depth = |mount: &Mount| mount.point.as_ref().map_or(0, |point| point.components().count());
    let above = mounts.iter().filter(|mount| mount.point.as_ref().is_some_and(|point| path.starts_with(point)));
    above.max_by_key(|mount| depth(mount)).cloned().unwrap_or_default()
}

/// Parses `36 35 98:0 /root /point rw,noatime master:1 - ext4 /dev/sda1 rw`; optional fields end at the dash.
pub(super) fn parsed(line: &str) -> Option<Mount> {
    let (front, back) = line.split_once(" - ")?;
    let mut back = back.split(' ');
    Some(Mount {
        point: Some(PathBuf::from(unescaped(front.split(' ').nth(4)?))),
        read_only: front.split(' ').nth(5)?.split(',').any(|option| option == "ro"),
        r#type: Some(one_line(back.next()?, NAME_LIMIT)),
        device: Some(one_line(&unescaped(back.next()?), NAME_LIMIT)),
    })
}

/// Replaces the octal escapes of space, tab, line feed and backslash.
fn unescaped(text: &str) -> String {
    [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")]
        .iter()
        .fold(text.to_owned(), |text, (escape, character)| text.replace(escape, character))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_on_the_deepest_and_newest_mount() {
        let list = "1 0 8:1 / / rw - ext4 /dev/root rw\n2 1 8:2 / /var rw shared:1 - ext4 /dev/old rw\n\
                    3 1 8:3 / /var rw - xfs /dev/new rw\n4 1 0:4 / /mnt/a\\040b rw - nfs4 host:/x rw\n";
        let mounts: Vec<Mount> = list.lines().filter_map(parsed).collect();
        let device = |path: &str| of(Path::new(path), &mounts).device.unwrap();
        assert_eq!(device("/var/log"), "/dev/new");
        assert_eq!(device("/variable"), "/dev/root");
        assert_eq!(device("/mnt/a b/c"), "host:/x");
        assert_eq!(of(Path::new("/x"), &[]), Mount::default());
    }
}
