//! Explains SQLite's error codes to people, with what to do about each.

use std::path::Path;

use rusqlite::Error;

use crate::store::StoreError;

/// SQLite's primary result codes, from <https://www.sqlite.org/rescode.html>.
mod code {
    pub(super) const BUSY: u32 = 5;
    pub(super) const LOCKED: u32 = 6;
    pub(super) const READONLY: u32 = 8;
    pub(super) const IOERR: u32 = 10;
    pub(super) const CORRUPT: u32 = 11;
    pub(super) const FULL: u32 = 13;
    pub(super) const CANTOPEN: u32 = 14;
    pub(super) const CONSTRAINT: u32 = 19;
    pub(super) const NOTADB: u32 = 26;
}

/// Extended code: the file ends within a page.
const SHORT_READ: u32 = code::IOERR | 2 << 8;

/// Extended code: the disk failed to read.
const READ: u32 = code::IOERR | 1 << 8;

/// Extended code: the disk failed to sync. What was written before may be on it or not.
const SYNC: u32 = code::IOERR | 4 << 8;

/// Extended code: no space for the shared-memory file beside the log.
const SHARED_MEMORY_SIZE: u32 = code::IOERR | 19 << 8;

/// Mask for the primary code, the low byte of an extended code.
const PRIMARY: u32 = 0xff;

/// Explains an error of the database at `path`.
pub(super) fn fault(path: &Path, error: &Error) -> StoreError {
    match error {
        Error::SqliteFailure(code, message) => {
            let message = message.clone().unwrap_or_else(|| code.to_string());
            of_code(path, u32::try_from(code.extended_code).unwrap_or_default(), &message)
        }
        // A column is missing or has another type than the format says.
        Error::InvalidColumnType(..) | Error::InvalidColumnIndex(_) | Error::FromSqlConversionFailure(..) => {
            damaged(path, &error.to_string())
        }
        other => StoreError::Unavailable(format!("`{}`: {other}", path.display())),
    }
}

/// The file does not hold what was written.
pub(super) fn damaged(path: &Path, why: &str) -> StoreError {
    StoreError::Damaged(format!(
        "`{}`: {why}; stop every `runbook` that uses it, copy the file and the `-wal` beside it to a safe place, then restore a \
         backup",
        path.display()
    ))
}

/// An error of the file system.
pub(super) fn io_refusal(path: &Path, error: &std::io::Error) -> StoreError {
    StoreError::Unavailable(format!("`{}`: {error}", path.display()))
}

fn of_code(path: &Path, extended: u32, message: &str) -> StoreError {
    let file = path.display();
    if extended == SHORT_READ {
        return damaged(path, "the file is cut short");
    }
    match extended {
        READ => {
            return StoreError::Unavailable(format!(
                "the disk that holds `{file}` failed to read: see the kernel's log"
            ));
        }
        SYNC => {
            return StoreError::Unavailable(format!(
                "the disk that holds `{file}` failed to sync; whether the last write is in the log is unknown: see the \
                 kernel's log, and read before you repeat it"
            ));
        }
        _ => {}
    }
    let primary = if extended == SHARED_MEMORY_SIZE { code::FULL } else { extended & PRIMARY };
    let message = match primary {
        code::CORRUPT | code::NOTADB | code::CONSTRAINT => return damaged(path, message),
        code::BUSY | code::LOCKED => {
            format!("another process has locked `{file}`; find it with `fuser {file}`, then retry")
        }
        code::READONLY => format!("`{file}` may not be written; check its owner and mode, and how its disk is mounted"),
        code::FULL => format!("the disk that holds `{file}` is full; nothing was written: free some space and repeat"),
        code::IOERR => format!(
            "the disk that holds `{file}` failed ({message}, code {extended}); nothing was written: see the kernel's log"
        ),
        code::CANTOPEN => {
            format!("`{file}` cannot be opened; check that its directory is there and may be read and written")
        }
        _ => format!("`{file}`: {message} (SQLite's code {extended})"),
    };
    StoreError::Unavailable(message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn explained(extended: u32) -> StoreError {
        of_code(Path::new("/state/log.db"), extended, "as SQLite says")
    }

    #[test]
    fn damage_is_distinguished_from_other_errors() {
        for extended in [11, 26, 267, 522, 1555] {
            assert!(matches!(explained(extended), StoreError::Damaged(_)), "{extended}");
        }
        for extended in [5, 6, 8, 10, 13, 14, 261, 266, 517, 1032, 1034, 778, 1, 9999] {
            assert!(matches!(explained(extended), StoreError::Unavailable(_)), "{extended}");
        }
    }

    #[test]
    fn every_message_names_the_file_and_what_to_do() {
        assert_eq!(
            explained(13).to_string(),
            "the log cannot be written or read: the disk that holds `/state/log.db` is full; nothing was written: \
             free some space and repeat"
        );
        assert!(explained(5).to_string().contains("fuser /state/log.db"));
        assert!(explained(778).to_string().contains("code 778"));
        assert!(explained(1034).to_string().contains("is unknown"));
        assert!(!explained(266).to_string().contains("written:"));
    }
}
