//! Checks the WAL before SQLite opens the log.
//!
//! After a crash, SQLite replays the WAL up to the first frame with a wrong checksum and silently drops the rest. That
//! is right for the last transaction, which a power failure may have cut: its success was never reported. If valid
//! frames of later transactions follow, durable transactions would be lost: that is damage.
//!
//! **Invariant:** this module only reads, and accepts a WAL that another process is writing.
//!
//! With a WAL of 4 MiB, the time to list incidents does not differ measurably from that without this check.
//!
//! Format: <https://www.sqlite.org/fileformat2.html#walformat>.

use std::fs::File;
use std::io::{self, BufReader, ErrorKind, Read};
use std::path::Path;

use super::error_help::{damaged, io_refusal};
use super::log_file::with_suffix;
use crate::store::StoreError;

const HEADER: usize = 32;
const FRAME_HEADER: usize = 24;
const PAGE: usize = super::log_file::PAGE_SIZE as usize;

/// The header's first word without its last bit. That bit is set if checksums read words as big-endian.
const MAGIC: u32 = 0x377f_0682;
/// The only version of the format so far.
const VERSION: u32 = 3_007_000;

/// Attempts, in case another process resets the WAL during the check.
const ATTEMPTS: u32 = 5;

/// Refuses a WAL from which SQLite would drop durable transactions.
pub(super) fn check(path: &Path) -> Result<(), StoreError> {
    let wal = with_suffix(path, "-wal");
    for _ in 0..ATTEMPTS {
        let found = scan(&wal).map_err(|error| io_refusal(&wal, &error))?;
        let WalFinding { header, damage: Some(damage) } = found else { return Ok(()) };
        let header_now = read_header(&wal).map_err(|error| io_refusal(&wal, &error))?;
        if header_now == Some(header) {
            return Err(damaged(path, &format!("in the journal beside it, {damage}")));
        }
    }
    Ok(())
}

/// The header of a WAL.
pub(super) type WalHeader = [u8; HEADER];

/// Whether these bytes are the header of a WAL.
pub(super) fn is_header(header: &WalHeader) -> bool {
    Checksum::of_header(header).is_some()
}

/// The result of reading a WAL.
struct WalFinding {
    header: WalHeader,
    damage: Option<String>,
}

/// The header of the WAL; `None` if it is missing or empty.
pub(super) fn read_header(wal: &Path) -> io::Result<Option<WalHeader>> {
    let mut header = [0; HEADER];
    match File::open(wal).and_then(|mut file| file.read_exact(&mut header)) {
        // Missing, or empty after a checkpoint.
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::UnexpectedEof) => Ok(None),
        other => other.map(|()| Some(header)),
    }
}

fn scan(wal: &Path) -> io::Result<WalFinding> {
    let Some(header) = read_header(wal)? else { return Ok(WalFinding { header: [0; HEADER], damage: None }) };
    let finding = |damage: Option<String>| Ok(WalFinding { header, damage });
    let mut frames = BufReader::with_capacity(16 * PAGE, File::open(wal)?);
    frames.read_exact(&mut [0; HEADER])?;
    let Some(mut checksum) = Checksum::of_header(&header) else {
        return finding(next_frame(&mut frames)?.map(|_| "the first 32 bytes are damaged".to_owned()));
    };
    let salts = &header[16..24];
    let mut number = 0;
    let cut = loop {
        number += 1;
        match next_frame(&mut frames)? {
            None => return finding(None),
            Some(frame) if frame.salts() == salts && checksum.accepts(&frame) => {}
            Some(frame) => break frame,
        }
    };
    // The rest of the cut transaction, up to its commit.
    let mut is_complete = cut.salts() == salts && cut.commits();
    while let Some(frame) = next_frame(&mut frames)? {
        if frame.salts() != salts {
            continue;
        }
        if is_complete {
            return finding(Some(format!("frame {number} is damaged and later transactions follow it")));
        }
        is_complete = frame.commits();
    }
    finding(None)
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
fn next_frame(frames: &mut impl Read) -> io::Result<Option<WalFrame>> {
    let mut frame = WalFrame(Box::new([0; FRAME_HEADER + PAGE]));
    match frames.read_exact(&mut *frame.0) {
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(None),
        other => other.map(|()| Some(frame)),
    }
}

/// The running checksum of a WAL.
struct Checksum {
    big_endian: bool,
    first: u32,
    second: u32,
}

impl Checksum {
    /// The checksum after the header; `None` if the header is damaged.
    fn of_header(header: &[u8; HEADER]) -> Option<Self> {
        let magic = word(header);
        let mut checksum = Self { big_endian: magic & 1 == 1, first: 0, second: 0 };
        checksum.add(&header[..24]);
        let known = magic & !1 == MAGIC && word(&header[4..]) == VERSION && word(&header[8..]) as usize == PAGE;
        (known && checksum.is(&header[24..])).then_some(checksum)
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
