//! Rows of the database, as values whose checksums have been checked.

use std::path::Path;

use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

use super::fault::{damaged, fault};
use crate::domain::id::IncidentId;
use crate::store::chain::{self, Hash};
use crate::store::record::{parse_instant, written};
use crate::store::stream::{Head, Row};
use crate::store::{Claim, StoreError, Summary};

/// Reads columns of one row, with the file's name for the words of an error.
struct Columns<'a> {
    path: &'a Path,
    row: &'a SqliteRow,
}

impl<'a> Columns<'a> {
    fn bytes(&self, index: usize) -> Result<&'a [u8], StoreError> {
        self.row.try_get(index).map_err(|error| fault(self.path, &error))
    }

    fn hash(&self, index: usize) -> Result<Hash, StoreError> {
        self.bytes(index)?.try_into().map_err(|_| damaged(self.path, "a hash is not 32 bytes long"))
    }

    fn number(&self, index: usize) -> Result<u64, StoreError> {
        let number: i64 = self.row.try_get(index).map_err(|error| fault(self.path, &error))?;
        u64::try_from(number).map_err(|_| damaged(self.path, "a number is below zero"))
    }

    fn text(&self, index: usize) -> Result<&'a str, StoreError> {
        str::from_utf8(self.bytes(index)?).map_err(|_| damaged(self.path, "a text is not UTF-8"))
    }

    fn incident(&self, index: usize) -> Result<IncidentId, StoreError> {
        self.text(index)?.parse().map_err(|why: String| damaged(self.path, &why))
    }

    fn instant(&self, index: usize) -> Result<crate::domain::time::Timestamp, StoreError> {
        parse_instant(self.bytes(index)?).map_err(|why| damaged(self.path, &why))
    }
}

/// `incident, seq, opened_at, changed_at, head, seal` of a stream.
pub(super) fn head(path: &Path, row: &SqliteRow) -> Result<Head, StoreError> {
    let columns = Columns { path, row };
    let summary = Summary {
        id: columns.incident(0)?,
        seq: columns.number(1)?,
        opened_at: columns.instant(2)?,
        changed_at: columns.instant(3)?,
    };
    let head = Head { summary, hash: columns.hash(4)? };
    if head.seal() != columns.hash(5)? {
        return Err(damaged(path, &format!("the head of incident `{}` was changed", head.summary.id)));
    }
    Ok(head)
}

/// The same, and the hash of the event that it names as the last.
pub(super) fn head_and_last(path: &Path, row: &SqliteRow) -> Result<Head, StoreError> {
    let head = head(path, row)?;
    let last: Option<&[u8]> = row.try_get(6).map_err(|error| fault(path, &error))?;
    if last != Some(&head.hash) {
        let Summary { id, seq, .. } = &head.summary;
        return Err(damaged(path, &format!("event {seq} of incident `{id}` is not the one that was written last")));
    }
    Ok(head)
}

/// `incident, seq, at, body, hash` of an event.
pub(super) fn event(path: &Path, row: &SqliteRow) -> Result<Row, StoreError> {
    let columns = Columns { path, row };
    Ok(Row {
        seq: columns.number(1)?,
        at: columns.bytes(2)?.to_vec(),
        body: columns.bytes(3)?.to_vec(),
        hash: columns.hash(4)?,
    })
}

/// `incident` alone.
pub(super) fn incident(path: &Path, row: &SqliteRow) -> Result<IncidentId, StoreError> {
    Columns { path, row }.incident(0)
}

/// `incident, holder, epoch, expires_at, seal` of a claim.
pub(super) fn claim(path: &Path, row: &SqliteRow) -> Result<Claim, StoreError> {
    let columns = Columns { path, row };
    let claim = Claim {
        incident: columns.incident(0)?,
        holder: columns.text(1)?.to_owned(),
        epoch: columns.number(2)?,
        expires_at: columns.instant(3)?,
    };
    if seal(&claim) != columns.hash(4)? {
        return Err(damaged(path, &format!("the claim on incident `{}` was changed", claim.incident)));
    }
    Ok(claim)
}

/// A checksum over a claim.
pub(super) fn seal(claim: &Claim) -> Hash {
    let Claim { incident, holder, epoch, expires_at } = claim;
    let (incident, expires_at) = (incident.as_str(), written(*expires_at));
    chain::seal(&[incident.as_bytes(), holder.as_bytes(), &epoch.to_be_bytes(), expires_at.as_bytes()])
}
