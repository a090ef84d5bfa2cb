//! Rows of the database, as values whose checksums have been checked.

use std::collections::BTreeSet;
use std::path::Path;

use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

use super::fault::{damaged, fault};
use crate::domain::event::EVENT_LIMIT;
use crate::domain::id::IncidentId;
use crate::store::chain::{self, Hash};
use crate::store::record::{parse_instant, written};
use crate::store::stream::{Head, Row};
use crate::store::{Claim, Key, StoreError, Summary};

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

/// A stream: its number and where it stands.
#[derive(Debug, Clone)]
pub(super) struct Stream {
    /// Its number in the file.
    pub number: u64,
    /// Where it stands.
    pub head: Head,
}

/// An event's number takes these low bits of its place, and the number of its stream the bits above.
const SEQ_BITS: u32 = 20;

const _: () = assert!(EVENT_LIMIT < 1 << SEQ_BITS, "every event has a place");

impl Stream {
    /// Where an event of the stream lies.
    pub(super) fn place(&self, seq: u64) -> u64 {
        (self.number << SEQ_BITS) + seq
    }

    /// A checksum over the row, since it stands outside the chain.
    pub(super) fn seal(&self) -> Hash {
        let Head { summary: Summary { id, seq, opened_at, changed_at, live }, hash } = &self.head;
        chain::seal(&[
            &self.number.to_be_bytes(),
            id.as_str().as_bytes(),
            &seq.to_be_bytes(),
            written(*opened_at).as_bytes(),
            written(*changed_at).as_bytes(),
            &[u8::from(*live)],
            hash,
        ])
    }
}

/// The columns of a stream.
macro_rules! stream_columns {
    () => {
        "number, incident, seq, opened_at, changed_at, live, head, seal"
    };
}
pub(super) use stream_columns;

/// A stream, from [`stream_columns`].
pub(super) fn stream(path: &Path, row: &SqliteRow) -> Result<Stream, StoreError> {
    let columns = Columns { path, row };
    let summary = Summary {
        id: columns.incident(1)?,
        seq: columns.number(2)?,
        opened_at: columns.instant(3)?,
        changed_at: columns.instant(4)?,
        live: columns.number(5)? != 0,
    };
    let stream = Stream { number: columns.number(0)?, head: Head { summary, hash: columns.hash(6)? } };
    if stream.seal() != columns.hash(SEAL)? {
        return Err(damaged(path, &format!("the head of incident `{}` was changed", stream.head.summary.id)));
    }
    Ok(stream)
}

/// The same, and the hash of the event that it names as the last.
pub(super) fn stream_and_last(path: &Path, row: &SqliteRow) -> Result<Stream, StoreError> {
    let stream = stream(path, row)?;
    let last: Option<&[u8]> = row.try_get(8).map_err(|error| fault(path, &error))?;
    if last != Some(&stream.head.hash) {
        let Summary { id, seq, .. } = &stream.head.summary;
        return Err(damaged(path, &format!("event {seq} of incident `{id}` is not the one that was written last")));
    }
    Ok(stream)
}

/// The column of a stream's seal; null in the row of an event that stands in the same answer.
pub(super) const SEAL: usize = 7;

/// Many events in one value, byte for byte: each row of an answer is handed over between threads by itself, which costs
/// more than an event does. In place of a stream's `head`.
macro_rules! packed_events {
    () => {
        "group_concat(place || ':' || hex(at) || ':' || hex(body) || ':' || hex(hash), ',')"
    };
}
pub(super) use packed_events;

/// The events of [`packed_events`], at column 6.
pub(super) fn events(path: &Path, row: &SqliteRow) -> Result<Vec<Row>, StoreError> {
    let packed: Option<&str> = row.try_get(6).map_err(|error| fault(path, &error))?;
    let unpacked = |event| unpacked(event).ok_or_else(|| damaged(path, "an event has a place or a hash that is none"));
    packed.into_iter().flat_map(|packed| packed.split(',')).map(unpacked).collect()
}

fn unpacked(event: &str) -> Option<Row> {
    let mut fields = event.split(':');
    let place: u64 = fields.next()?.parse().ok()?;
    let mut bytes = || hex::decode(fields.next()?).ok();
    let (at, body, hash) = (bytes()?, bytes()?, bytes()?);
    Some(Row { seq: place & ((1 << SEQ_BITS) - 1), at, body, hash: hash.try_into().ok()? })
}

/// The streams, counted in three ways.
pub(super) const COUNT: &str = "SELECT (SELECT count(*) FROM streams), (SELECT coalesce(max(number), 0) FROM streams), \
    (SELECT coalesce(max(place), 0) >> 20 FROM events)";

/// That no stream is gone, from [`COUNT`]. Numbers have no gaps and the last stream has events, so all ways must agree.
pub(super) fn count(path: &Path, row: &SqliteRow) -> Result<(), StoreError> {
    let columns = Columns { path, row };
    agree(path, columns.number(0)?, columns.number(1)?, columns.number(2)?)
}

/// A number that stands alone in its row.
pub(super) fn last(path: &Path, row: &SqliteRow) -> Result<u64, StoreError> {
    Columns { path, row }.number(0)
}

/// Every stream, and last the number of the last one that has events.
pub(super) const CENSUS: &str = concat!(
    "SELECT ",
    stream_columns!(),
    " FROM streams UNION ALL SELECT coalesce(max(place), 0) >> 20, NULL, NULL, NULL, NULL, NULL, NULL, NULL FROM events"
);

/// That no stream is gone or has a damaged name, from [`CENSUS`]: for when one is not found.
pub(super) fn census(path: &Path, rows: &[SqliteRow]) -> Result<(), StoreError> {
    let Some((last, streams)) = rows.split_last() else { return Err(damaged(path, "it cannot be counted")) };
    let numbers: BTreeSet<u64> =
        streams.iter().map(|row| stream(path, row).map(|stream| stream.number)).collect::<Result<_, _>>()?;
    let (count, highest) = (streams.len() as u64, numbers.last().copied().unwrap_or_default());
    agree(path, numbers.len() as u64, highest, Columns { path, row: last }.number(0)?)?;
    agree(path, count, highest, highest)
}

fn agree(path: &Path, rows: u64, last: u64, last_with_events: u64) -> Result<(), StoreError> {
    if rows == last && last == last_with_events {
        return Ok(());
    }
    let most = rows.max(last).max(last_with_events);
    Err(damaged(path, &format!("there should be {most} incidents, but there are {rows}")))
}

/// `incident` of a stream.
pub(super) fn incident_of_stream(path: &Path, row: &SqliteRow) -> Result<IncidentId, StoreError> {
    Columns { path, row }.incident(1)
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

/// `key, incident, at, seal` of a name.
pub(super) fn key(path: &Path, row: &SqliteRow) -> Result<Key, StoreError> {
    let columns = Columns { path, row };
    let key = Key { key: columns.text(0)?.to_owned(), incident: columns.incident(1)?, at: columns.instant(2)? };
    if key_seal(&key) != columns.hash(3)? {
        return Err(damaged(path, &format!("the name `{}` of an incident was changed", key.key.escape_debug())));
    }
    Ok(key)
}

/// A checksum over a name.
pub(super) fn key_seal(key: &Key) -> Hash {
    chain::seal(&[key.key.as_bytes(), key.incident.as_str().as_bytes(), written(key.at).as_bytes()])
}

/// A checksum over a claim.
pub(super) fn seal(claim: &Claim) -> Hash {
    let Claim { incident, holder, epoch, expires_at } = claim;
    let (incident, expires_at) = (incident.as_str(), written(*expires_at));
    chain::seal(&[incident.as_bytes(), holder.as_bytes(), &epoch.to_be_bytes(), expires_at.as_bytes()])
}
