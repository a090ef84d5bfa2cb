//! Preallocates the WAL.
//!
//! A write that extends a file also writes its length and block list, which takes as long again. So a busy process
//! extends the WAL by many blocks at once, and SQLite overwrites them. SQLite and [`super::wal_check`] take zeros for
//! the end of the WAL.
//!
//! **Invariant:** the WAL is extended under the write lock, after its end.

use std::fs::OpenOptions;
use std::io::{self, Seek, SeekFrom, Write};
use std::path::Path;

use super::connection::{JOURNAL_KEPT, LazyConnection};
use super::log_file::beside;

/// Commits between two checks of the WAL's length. Most commands make fewer.
const LOOK: u32 = 8;

/// Bytes added at a time: room for more than a hundred commits.
const AHEAD: usize = 1024 * 1024;

/// What is known of the WAL's length.
#[derive(Debug, Default)]
pub(super) struct WalPreallocation {
    commits: u32,
    length: u64,
}

impl WalPreallocation {
    /// Called after each commit. Errors are ignored: preallocation only saves time.
    pub(super) fn keep(&mut self, link: &mut LazyConnection) {
        self.commits += 1;
        if !self.commits.is_multiple_of(LOOK) {
            return;
        }
        let journal = beside(link.path(), "-wal");
        let length = length(&journal);
        let grows = length > self.length && length + AHEAD as u64 <= u64::from(JOURNAL_KEPT);
        self.length = length;
        if grows && let Ok(Ok(length)) = link.change(|_| Ok(lengthen(&journal))) {
            self.length = length;
        }
    }
}

fn length(journal: &Path) -> u64 {
    journal.metadata().map_or(0, |about| about.len())
}

/// Appends zeros to the WAL and returns its new length. Reserving blocks (`fallocate`) is not enough: the file system
/// still records which of them are used.
fn lengthen(journal: &Path) -> io::Result<u64> {
    let mut file = OpenOptions::new().write(true).open(journal)?;
    file.seek(SeekFrom::End(0))?;
    file.write_all(&vec![0; AHEAD])?;
    file.sync_all()?;
    Ok(file.metadata()?.len())
}
