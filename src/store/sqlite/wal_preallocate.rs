//! Room in the journal ahead of need.
//!
//! To make a file longer, the file system has to write down its new length and blocks, which takes as long again as the
//! block itself. So a process that writes much makes the journal longer by many blocks at a time, and SQLite then writes
//! over them. A process that writes little never comes to it.
//!
//! Deliberately absent: any change of what the journal says. SQLite and [`super::wal_check`] take zeros for the end of it.
//!
//! **Invariant:** the journal is made longer under the lock for writing, behind its end.

use std::fs::OpenOptions;
use std::io::{self, Seek, SeekFrom, Write};
use std::path::Path;

use super::connection::{JOURNAL_KEPT, LazyConnection};
use super::log_file::beside;

/// After so many commits the journal's length is looked at: a command that only says something makes fewer.
const LOOK: u32 = 8;

/// By how much the journal is made longer, in bytes: room for more than a hundred commits.
const AHEAD: usize = 1024 * 1024;

/// What is known of the journal's length.
#[derive(Debug, Default)]
pub(super) struct WalPreallocation {
    commits: u32,
    length: u64,
}

impl WalPreallocation {
    /// To be called after a commit. Room is only for speed: what goes wrong here is no trouble yet.
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

/// Writes zeros behind the journal's end and gives its new length. Blocks that are only reserved would not do: the file
/// system writes down which of them are used.
fn lengthen(journal: &Path) -> io::Result<u64> {
    let mut file = OpenOptions::new().write(true).open(journal)?;
    file.seek(SeekFrom::End(0))?;
    file.write_all(&vec![0; AHEAD])?;
    file.sync_all()?;
    Ok(file.metadata()?.len())
}
