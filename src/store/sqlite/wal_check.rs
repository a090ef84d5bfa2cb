//! The journal beside the file, looked at before SQLite opens it.
//!
//! After a crash SQLite plays the journal back up to the first frame whose checksum is wrong, and drops the rest without
//! a word. That is right for the one transaction that a power failure can cut, since nobody was told that it is durable.
//! When more of the same journal follows behind it, durable transactions would be dropped: that is damage.
//!
//! **Invariant:** nothing is written here; a journal that another process writes at this moment is not refused.
//!
//! The format is <https://www.sqlite.org/fileformat2.html#walformat>.

use std::fs::File;
use std::io::{self, BufReader, ErrorKind, Read};
use std::path::Path;

use super::error_help::{damaged, io_refusal};
use super::log_file::beside;
use crate::store::StoreError;

const HEADER: usize = 32;
const FRAME_HEADER: usize = 24;
const PAGE: usize = super::log_file::PAGE_SIZE as usize;

/// The header's first word without its last bit. That bit is set if checksums read words as big-endian.
const MAGIC: u32 = 0x377f_0682;
/// The only version of the format so far.
const VERSION: u32 = 3_007_000;

/// Attempts if another process resets the WAL during the check.
const LOOKS: u32 = 5;

/// Refuses a WAL from which SQLite would drop durable transactions.
pub(super) fn examine(path: &Path) -> Result<(), StoreError> {
    let journal = beside(path, "-wal");
    for _ in 0..LOOKS {
        let seen = scan(&journal).map_err(|error| io_refusal(&journal, &error))?;
        let WalFinding { header, why: Some(why) } = seen else { return Ok(()) };
        let again = first_bytes(&journal).map_err(|error| io_refusal(&journal, &error))?;
        if again == Some(header) {
            return Err(damaged(path, &format!("in the journal beside it, {why}")));
        }
    }
    Ok(())
}

/// The result of reading a WAL.
struct WalFinding {
    header: [u8; HEADER],
    why: Option<String>,
}

fn first_bytes(journal: &Path) -> io::Result<Option<[u8; HEADER]>> {
    let mut header = [0; HEADER];
    match File::open(journal).and_then(|mut file| file.read_exact(&mut header)) {
        // Missing, or empty after a checkpoint.
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::UnexpectedEof) => Ok(None),
        other => other.map(|()| Some(header)),
    }
}

fn scan(journal: &Path) -> io::Result<WalFinding> {
    let Some(header) = first_bytes(journal)? else { return Ok(WalFinding { header: [0; HEADER], why: None }) };
    let seen = |why: Option<String>| Ok(WalFinding { header, why });
    let mut frames = BufReader::with_capacity(16 * PAGE, File::open(journal)?);
    frames.read_exact(&mut [0; HEADER])?;
    let Some(mut sum) = Sum::of_header(&header) else {
        return seen(next(&mut frames)?.map(|_| "the first 32 bytes are damaged".to_owned()));
    };
    let salts = &header[16..24];
    let mut number = 0;
    let cut = loop {
        number += 1;
        match next(&mut frames)? {
            None => return seen(None),
            Some(frame) if frame.salts() == salts && sum.accepts(&frame) => {}
            Some(frame) => break frame,
        }
    };
    // The rest of the cut transaction, up to its commit.
    let mut ended = cut.salts() == salts && cut.commits();
    while let Some(frame) = next(&mut frames)? {
        if frame.salts() != salts {
            continue;
        }
        if ended {
            return seen(Some(format!("frame {number} is damaged and later transactions follow it")));
        }
        ended = frame.commits();
    }
    seen(None)
}

/// A page with its frame header.
struct WalFrame(Box<[u8; FRAME_HEADER + PAGE]>);

impl WalFrame {
    fn salts(&self) -> &[u8] {
        &self.0[8..16]
    }

    /// A commit frame holds the size of the database after it; other frames hold 0.
    fn commits(&self) -> bool {
        word(&self.0[4..]) != 0
    }
}

/// The next complete frame.
fn next(frames: &mut impl Read) -> io::Result<Option<WalFrame>> {
    let mut frame = WalFrame(Box::new([0; FRAME_HEADER + PAGE]));
    match frames.read_exact(&mut *frame.0) {
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(None),
        other => other.map(|()| Some(frame)),
    }
}

/// The running checksum of a WAL.
struct Sum {
    big_endian: bool,
    first: u32,
    second: u32,
}

impl Sum {
    /// The checksum after the header; `None` if the header is damaged.
    fn of_header(header: &[u8; HEADER]) -> Option<Self> {
        let magic = word(header);
        let mut sum = Self { big_endian: magic & 1 == 1, first: 0, second: 0 };
        sum.add(&header[..24]);
        let known = magic & !1 == MAGIC && word(&header[4..]) == VERSION && word(&header[8..]) as usize == PAGE;
        (known && sum.is(&header[24..])).then_some(sum)
    }

    /// Adds a frame. Returns whether its checksum is right.
    fn accepts(&mut self, frame: &WalFrame) -> bool {
        self.add(&frame.0[..8]);
        self.add(&frame.0[FRAME_HEADER..]);
        self.is(&frame.0[16..])
    }

    fn is(&self, stored: &[u8]) -> bool {
        word(stored) == self.first && word(&stored[4..]) == self.second
    }

    fn add(&mut self, bytes: &[u8]) {
        let read = |bytes: &[u8]| {
            let big = word(bytes);
            if self.big_endian { big } else { big.swap_bytes() }
        };
        let (mut first, mut second) = (self.first, self.second);
        for pair in bytes.chunks_exact(8) {
            first = first.wrapping_add(read(pair)).wrapping_add(second);
            second = second.wrapping_add(read(&pair[4..])).wrapping_add(first);
        }
        (self.first, self.second) = (first, second);
    }
}

fn word(bytes: &[u8]) -> u32 {
    u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
}
