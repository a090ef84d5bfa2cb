//! Errors of a query, before [`super::error_help`] explains them. After an SQLite error the connection is not used again.

use std::path::Path;

use rusqlite::types::FromSqlError;

use super::error_help::{damaged, fault};
use crate::store::StoreError;

/// Why a query failed.
#[derive(Debug)]
pub(super) enum SqliteError {
    /// SQLite or the disk failed; the connection is not used again.
    Sql(rusqlite::Error),
    /// The file does not hold what was written.
    Damaged(String),
    /// The store refuses the request; the connection is fine.
    Refused(StoreError),
}

impl SqliteError {
    /// The file does not hold what was written.
    pub(super) fn damaged(why: impl Into<String>) -> Self {
        Self::Damaged(why.into())
    }

    /// The error explained, for the file at `path`.
    pub(super) fn explained(self, path: &Path) -> StoreError {
        match self {
            Self::Sql(error) => fault(path, &error),
            Self::Damaged(why) => damaged(path, &why),
            Self::Refused(error) => error,
        }
    }
}

impl From<rusqlite::Error> for SqliteError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(error)
    }
}

/// A column is missing or has another type than the format says.
impl From<FromSqlError> for SqliteError {
    fn from(error: FromSqlError) -> Self {
        Self::Damaged(error.to_string())
    }
}

impl From<StoreError> for SqliteError {
    fn from(error: StoreError) -> Self {
        Self::Refused(error)
    }
}
