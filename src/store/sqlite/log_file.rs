//! Creates the log's file. Refuses a file that is no log before SQLite opens it.
//!
//! **Invariant:** a file gets its name only when it is complete, with tables and in WAL mode. So an empty or short file
//! is damaged, and two processes that create the log at the same time share one file.
//!
//! **Invariant:** a file that is not a log is never written to.

use std::fs::{self, DirBuilder, File};
use std::io::{self, ErrorKind};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use rusqlite::OpenFlags;

use super::error::SqliteError;
use super::error_help::{damaged, io_refusal};
use super::shared_file::{Database, SharedFile};
use crate::store::StoreError;

/// SQLite application id of a log: `rnbk`.
pub(super) const APPLICATION_ID: u32 = 0x726e_626b;

/// The newest format that this program writes; so far the only one.
pub(super) const FORMAT: u32 = 1;

/// The tables of the format.
pub(super) const SCHEMA: &str = include_str!("format_1.sql");

/// Page size in bytes: holds a few events, and matches the kernel's page.
pub(super) const PAGE_SIZE: u32 = 0x1000;

/// Bytes of SQLite's file header, from <https://www.sqlite.org/fileformat2.html>.
const HEADER: usize = 100;

/// The offset of the number of pages in the header.
const PAGES: usize = 28;

/// Header bytes that are the same in every log, by offset: magic; page size; WAL twice, no reserved bytes and the three
/// fixed fractions; schema format 4; UTF-8.
const FIXED: [(usize, &[u8]); 5] = [
    (0, b"SQLite format 3\0"),
    (16, &[0x10, 0x00]),
    (18, &[2, 2, 0, 64, 32, 32]),
    (44, &[0, 0, 0, 4]),
    (56, &[0, 0, 0, 1]),
];

/// Modes of the directory and the file. Only the owner may read them, because the log quotes the output of hosts.
const DIRECTORY_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;

/// Distinguishes the unfinished files of one process.
static UNFINISHED: AtomicU64 = AtomicU64::new(0);

/// Creates the log and its directory if missing.
pub(super) fn create_if_missing(path: &Path) -> Result<(), StoreError> {
    if path.try_exists().map_err(|error| io_refusal(path, &error))? {
        return Ok(());
    }
    let wal = with_suffix(path, "-wal");
    if wal.exists() {
        return Err(StoreError::Damaged(format!(
            "`{}` is gone, but its journal `{}` is there; put the file back, or move the journal away to begin a new log",
            path.display(),
            wal.display()
        )));
    }
    let directory = directory(path);
    DirBuilder::new()
        .recursive(true)
        .mode(DIRECTORY_MODE)
        .create(directory)
        .map_err(|error| io_refusal(directory, &error))?;
    let number = UNFINISHED.fetch_add(1, Ordering::Relaxed);
    let unfinished = with_suffix(path, &format!(".{}-{number}.new", std::process::id()));
    let result = fill(&unfinished).and_then(|()| publish(&unfinished, path));
    // These names belong to this call and are no longer needed, whether it succeeded or not.
    for suffix in ["", "-wal", "-shm", "-journal"] {
        let _ = fs::remove_file(with_suffix(&unfinished, suffix));
    }
    result
}

/// Writes an empty log under a temporary name.
fn fill(unfinished: &Path) -> Result<(), StoreError> {
    // An earlier process with the same id may have been killed here.
    let _ = fs::remove_file(unfinished);
    let file = SharedFile::create(unfinished, FILE_MODE).map_err(|error| io_refusal(unfinished, &error))?;
    let filled = || -> Result<(), SqliteError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let database = Database::open(unfinished, file, flags)?;
        database.execute_batch(&format!(
            "PRAGMA page_size = {PAGE_SIZE}; PRAGMA application_id = {APPLICATION_ID}; PRAGMA journal_mode = wal; {SCHEMA}"
        ))?;
        // Closing checkpoints the WAL.
        Ok(database.close()?)
    };
    filled().map_err(|error| error.explained(unfinished))
}

/// Gives the finished file its name, unless another process was first.
fn publish(unfinished: &Path, path: &Path) -> Result<(), StoreError> {
    let publish = || -> io::Result<()> {
        SharedFile::open(unfinished)?.sync_all()?;
        match fs::hard_link(unfinished, path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
            other => other,
        }?;
        File::open(directory(path))?.sync_all()
    };
    publish().map_err(|error| io_refusal(path, &error))
}

/// Opens the file. Fails if it is missing, not a log, of a later format, or visibly damaged.
pub(super) fn open_checked(path: &Path) -> Result<SharedFile, StoreError> {
    let file = match SharedFile::open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Err(StoreError::Unavailable(format!("there is no log at `{}` yet", path.display())));
        }
        other => other.map_err(|error| io_refusal(path, &error))?,
    };
    let mut header = [0; HEADER];
    match file.read_start(&mut header) {
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
            return Err(damaged(path, "the file is cut short within its first 100 bytes"));
        }
        other => other.map_err(|error| io_refusal(path, &error))?,
    }
    let size = file.size().map_err(|error| io_refusal(path, &error))?;
    check_release(path, &header, size)?;
    check_header(path, &header)?;
    check_size(path, &header, size)?;
    Ok(file)
}

/// Refuses an intact log from before the first release, which has another page size.
fn check_release(path: &Path, header: &[u8; HEADER], size: u64) -> Result<(), StoreError> {
    let page = u64::from(u16::from_be_bytes([header[16], header[17]]));
    let is_log = header.starts_with(FIXED[0].1) && number(header, 68) == APPLICATION_ID;
    let is_whole = page.is_power_of_two() && size == u64::from(number(header, PAGES)) * page;
    if !is_log || !is_whole || page == u64::from(PAGE_SIZE) {
        return Ok(());
    }
    Err(StoreError::Unavailable(format!(
        "`{}` is an older log, of a `runbook` before its first release, and is not damaged. Read it with that version. To \
         begin a new log, move the file away or give another `--state`.",
        path.display()
    )))
}

/// Refuses a file shorter than its header says, unless the WAL may hold the missing pages.
fn check_size(path: &Path, header: &[u8; HEADER], size: u64) -> Result<(), StoreError> {
    let pages = u64::from(number(header, PAGES));
    let page = u64::from(PAGE_SIZE);
    let whole = size.is_multiple_of(page) && size >= pages * page;
    if !whole && !with_suffix(path, "-wal").exists() {
        let why = format!("the file has {size} bytes, and is to have {}", pages * page);
        return Err(damaged(path, &why));
    }
    Ok(())
}

/// The length of a log. The store never makes a log shorter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Extent {
    /// The size of the file in bytes.
    pub(super) size: u64,
    /// The number of pages in its header.
    pub(super) pages: u32,
}

impl Extent {
    pub(super) fn of(file: &SharedFile) -> io::Result<Self> {
        let mut header = [0; HEADER];
        file.read_start(&mut header)?;
        Ok(Self { size: file.size()?, pages: number(&header, PAGES) })
    }
}

/// The big-endian number at an offset of the header.
fn number(header: &[u8; HEADER], at: usize) -> u32 {
    u32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
}

fn check_header(path: &Path, header: &[u8; HEADER]) -> Result<(), StoreError> {
    let is_sqlite = header.starts_with(FIXED[0].1);
    let application = number(header, 68);
    if is_sqlite && application != APPLICATION_ID {
        return Err(StoreError::Unavailable(format!(
            "`{}` is an SQLite file of another program (application id {application:#010x}); give another `--state`",
            path.display()
        )));
    }
    let format = number(header, 60);
    if is_sqlite && format > FORMAT {
        return Err(StoreError::Unavailable(format!(
            "`{}` has format {format}, and this program knows formats up to {FORMAT}; use a newer `runbook`",
            path.display()
        )));
    }
    let whole = FIXED.iter().all(|(at, bytes)| header[*at..].starts_with(bytes));
    if !whole || format != FORMAT || header[72..92].iter().any(|byte| *byte != 0) {
        return Err(damaged(path, "the first 100 bytes are not those of a log"));
    }
    Ok(())
}

/// `path` with a suffix added to its name.
pub(super) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

fn directory(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}
