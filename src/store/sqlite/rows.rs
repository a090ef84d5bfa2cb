//! Database rows as values. Rows outside the hash chain are verified by their checksums.

use std::collections::BTreeSet;

use rusqlite::Connection;

use super::error::SqliteError;
use crate::domain::core::id::IncidentId;
use crate::domain::core::time::Timestamp;
use crate::store::chained_stream::{EventRow, Head};
use crate::store::codec::{parse_instant, written};
use crate::store::hash_chain;
use crate::store::hash_chain::Hash;
use crate::store::{Lease, StreamSummary, UniqueName};

/// Typed access to the columns of a row.
struct RowColumns<'a>(&'a rusqlite::Row<'a>);

impl<'a> RowColumns<'a> {
    fn bytes(&self, index: usize) -> Result<&'a [u8], SqliteError> {
        Ok(self.0.get_ref(index)?.as_bytes()?)
    }

    fn hash(&self, index: usize) -> Result<Hash, SqliteError> {
        self.bytes(index)?.try_into().map_err(|_| SqliteError::damaged("a hash is not 32 bytes long"))
    }

    fn number(&self, index: usize) -> Result<u64, SqliteError> {
        u64::try_from(self.0.get_ref(index)?.as_i64()?).map_err(|_| SqliteError::damaged("a number is below zero"))
    }

    fn text(&self, index: usize) -> Result<&'a str, SqliteError> {
        str::from_utf8(self.bytes(index)?).map_err(|_| SqliteError::damaged("a text is not UTF-8"))
    }

    fn incident(&self, index: usize) -> Result<IncidentId, SqliteError> {
        self.text(index)?.parse().map_err(|why: String| SqliteError::damaged(why))
    }

    fn instant(&self, index: usize) -> Result<Timestamp, SqliteError> {
        parse_instant(self.bytes(index)?).map_err(SqliteError::damaged)
    }
}

#[derive(Debug, Clone)]
pub(super) struct StreamRow {
    /// The number of the stream in the file.
    pub number: u64,
    /// The place of the last event.
    pub last: u64,
    pub head: Head,
}

impl StreamRow {
    /// A checksum over the row, since the row is outside the chain.
    pub(super) fn seal(&self) -> Hash {
        let Head { summary: StreamSummary { id, seq, opened_at, changed_at, live }, hash } = &self.head;
        hash_chain::seal(&[
            &self.number.to_be_bytes(),
            &self.last.to_be_bytes(),
            id.as_str().as_bytes(),
            &seq.to_be_bytes(),
            written(*opened_at).as_bytes(),
            written(*changed_at).as_bytes(),
            &[u8::from(*live)],
            hash,
        ])
    }
}

/// The columns that [`stream`] reads.
macro_rules! stream_columns {
    () => {
        "number, last, incident, seq, opened_at, changed_at, live, head, seal"
    };
}
pub(super) use stream_columns;

/// Reads the columns of [`stream_columns`] and verifies their checksum.
pub(super) fn stream(row: &rusqlite::Row<'_>) -> Result<StreamRow, SqliteError> {
    let columns = RowColumns(row);
    let summary = StreamSummary {
        id: columns.incident(2)?,
        seq: columns.number(3)?,
        opened_at: columns.instant(4)?,
        changed_at: columns.instant(5)?,
        live: columns.number(6)? != 0,
    };
    let head = Head { summary, hash: columns.hash(7)? };
    let stream = StreamRow { number: columns.number(0)?, last: columns.number(1)?, head };
    if stream.seal() != columns.hash(8)? {
        return Err(SqliteError::damaged(format!("the head of incident `{}` was changed", stream.head.summary.id)));
    }
    Ok(stream)
}

/// Every row of a result, converted.
pub(super) fn all<T>(
    connection: &Connection,
    sql: &str,
    values: impl rusqlite::Params,
    value: impl Fn(&rusqlite::Row<'_>) -> Result<T, SqliteError>,
) -> Result<Vec<T>, SqliteError> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(values)?;
    let mut all = Vec::new();
    while let Some(row) = rows.next()? {
        all.push(value(row)?);
    }
    Ok(all)
}

/// The row of a result with at most one row.
pub(super) fn one<T>(
    connection: &Connection,
    sql: &str,
    values: impl rusqlite::Params,
    value: impl Fn(&rusqlite::Row<'_>) -> Result<T, SqliteError>,
) -> Result<Option<T>, SqliteError> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(values)?;
    rows.next()?.map(value).transpose()
}

/// The number in the only column of the only row.
pub(super) fn number(connection: &Connection, sql: &str) -> Result<u64, SqliteError> {
    one(connection, sql, [], |row| RowColumns(row).number(0))?
        .ok_or_else(|| SqliteError::damaged("the count query returned no row"))
}

/// The stream of an incident, if there is one.
pub(super) fn stream_of(connection: &Connection, incident: &IncidentId) -> Result<Option<StreamRow>, SqliteError> {
    const HEAD: &str = concat!("SELECT ", stream_columns!(), " FROM streams WHERE incident = ?1");
    one(connection, HEAD, [incident.as_str()], stream)
}

/// Checks that the last event of a stream is the one that its head names.
pub(super) fn check_last_event(connection: &Connection, stream: &StreamRow) -> Result<(), SqliteError> {
    const HASH: &str = "SELECT hash FROM events WHERE place = ?1 AND stream = ?2 AND seq = ?3";
    let StreamSummary { id, seq, .. } = &stream.head.summary;
    let place = [signed(stream.last), signed(stream.number), signed(*seq)];
    let hash = one(connection, HASH, place, |row| RowColumns(row).hash(0))?;
    if hash == Some(stream.head.hash) {
        return Ok(());
    }
    Err(SqliteError::damaged(format!("event {seq} of incident `{id}` does not match the stream's head")))
}

/// The places of a stream's events.
#[derive(Debug)]
pub(super) struct Places {
    /// In the order of their numbers.
    pub places: Vec<i64>,
    /// Whether each event names the place of the one before it.
    pub linked: bool,
}

/// The places of a stream's events from number `from` on, found by following the links back from the last one. If a
/// link is broken, scans all events of the file, so that the error can name what is wrong.
pub(super) fn places(connection: &Connection, stream: &StreamRow, from: u64) -> Result<Places, SqliteError> {
    const BEFORE: &str = "SELECT before FROM events WHERE place = ?1 AND stream = ?2 AND seq = ?3";
    const ALL: &str = "SELECT place FROM events WHERE stream = ?1 AND seq >= ?2 ORDER BY seq, place";
    let number = signed(stream.number);
    let mut statement = connection.prepare_cached(BEFORE)?;
    let (mut places, mut place) = (Vec::new(), signed(stream.last));
    for seq in (from.max(1)..=stream.head.summary.seq).rev() {
        let mut rows = statement.query([place, number, signed(seq)])?;
        let Some(row) = rows.next()? else { break };
        places.push(place);
        place = row.get_ref(0)?.as_i64()?;
    }
    places.reverse();
    let wanted = (stream.head.summary.seq + 1).saturating_sub(from.max(1));
    if places.len() as u64 == wanted && (from > 1 || place == 0) {
        return Ok(Places { places, linked: true });
    }
    let places = all(connection, ALL, [number, signed(from)], |row| Ok(row.get_ref(0)?.as_i64()?))?;
    Ok(Places { places, linked: false })
}

/// The error for a stream whose events are intact but whose links are not.
pub(super) const UNLINKED: &str = "an event does not name the place of the one before it";

pub(super) fn event(connection: &Connection, place: i64) -> Result<EventRow, SqliteError> {
    const EVENT: &str = "SELECT seq, at, body, hash FROM events WHERE place = ?1";
    let event = one(connection, EVENT, [place], |row| {
        let columns = RowColumns(row);
        Ok(EventRow {
            seq: columns.number(0)?,
            at: columns.bytes(1)?.to_owned(),
            body: columns.bytes(2)?.to_owned(),
            hash: columns.hash(3)?,
        })
    })?;
    event.ok_or_else(|| SqliteError::damaged(format!("there is no event at place {place}")))
}

/// The hash of the event at a place, if there is one.
pub(super) fn event_hash(connection: &Connection, place: u64) -> Result<Option<Hash>, SqliteError> {
    one(connection, "SELECT hash FROM events WHERE place = ?1", [signed(place)], |row| RowColumns(row).hash(0))
}

/// The place and the hash of the last event of the file.
pub(super) fn last_event(connection: &Connection) -> Result<Option<(u64, Hash)>, SqliteError> {
    const LAST: &str = "SELECT place, hash FROM events ORDER BY place DESC LIMIT 1";
    one(connection, LAST, [], |row| Ok((RowColumns(row).number(0)?, RowColumns(row).hash(1)?)))
}

/// The last numbers in use in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LastNumbers {
    pub stream: u64,
    pub place: u64,
}

const LAST_PLACE: &str = "SELECT coalesce(max(place), 0) FROM events";

/// Reads the last numbers in use.
pub(super) fn last_numbers(connection: &Connection) -> Result<LastNumbers, SqliteError> {
    let stream = number(connection, "SELECT coalesce(max(number), 0) FROM streams")?;
    Ok(LastNumbers { stream, place: number(connection, LAST_PLACE)? })
}

/// Checks before a listing that no stream is lost: numbers have no gaps, and every event belongs to a stream.
pub(super) fn check_counts(connection: &Connection) -> Result<(), SqliteError> {
    let rows = number(connection, "SELECT count(*) FROM streams")?;
    let events = number(connection, "SELECT coalesce(sum(seq), 0) FROM streams")?;
    check_totals(connection, rows, events)
}

/// Checks, when a stream is not found, that none is lost or has a damaged id. Unlike [`check_counts`], it verifies every row.
pub(super) fn check_all_streams(connection: &Connection) -> Result<(), SqliteError> {
    const ALL: &str = concat!("SELECT ", stream_columns!(), " FROM streams");
    let streams = all(connection, ALL, [], |row| {
        let StreamRow { number, head, .. } = stream(row)?;
        Ok((number, head.summary.seq))
    })?;
    let events = streams.iter().map(|(_, seq)| seq).sum();
    let numbers: BTreeSet<u64> = streams.iter().map(|(number, _)| *number).collect();
    if numbers.len() < streams.len() {
        return Err(SqliteError::damaged("two incidents have the same number"));
    }
    check_totals(connection, streams.len() as u64, events)
}

/// Checks the numbers of streams and events against the last numbers in use.
fn check_totals(connection: &Connection, streams: u64, events: u64) -> Result<(), SqliteError> {
    let LastNumbers { stream, place } = last_numbers(connection)?;
    if streams != stream {
        return Err(SqliteError::damaged(format!("there should be {stream} incidents, but there are {streams}")));
    }
    if events != place {
        return Err(SqliteError::damaged(format!(
            "the incidents list {events} events, the file has {place}: an incident or its last events are lost"
        )));
    }
    Ok(())
}

/// Reads `incident, holder, epoch, expires_at, seal` of a lease.
pub(super) fn lease(row: &rusqlite::Row<'_>) -> Result<Lease, SqliteError> {
    let columns = RowColumns(row);
    let lease = Lease {
        incident: columns.incident(0)?,
        holder: columns.text(1)?.to_owned(),
        epoch: columns.number(2)?,
        expires_at: columns.instant(3)?,
    };
    if lease_seal(&lease) != columns.hash(4)? {
        return Err(SqliteError::damaged(format!("the lease on incident `{}` was changed", lease.incident)));
    }
    Ok(lease)
}

/// Reads `key, incident, at, seal` of a unique name.
pub(super) fn key(row: &rusqlite::Row<'_>) -> Result<UniqueName, SqliteError> {
    let columns = RowColumns(row);
    let key = UniqueName { key: columns.text(0)?.to_owned(), incident: columns.incident(1)?, at: columns.instant(2)? };
    if key_seal(&key) != columns.hash(3)? {
        return Err(SqliteError::damaged(format!("the name `{}` of an incident was changed", key.key.escape_debug())));
    }
    Ok(key)
}

pub(super) fn key_seal(key: &UniqueName) -> Hash {
    hash_chain::seal(&[key.key.as_bytes(), key.incident.as_str().as_bytes(), written(key.at).as_bytes()])
}

pub(super) fn lease_seal(lease: &Lease) -> Hash {
    let Lease { incident, holder, epoch, expires_at } = lease;
    let (incident, expires_at) = (incident.as_str(), written(*expires_at));
    hash_chain::seal(&[incident.as_bytes(), holder.as_bytes(), &epoch.to_be_bytes(), expires_at.as_bytes()])
}

/// A number for SQLite, whose integers are signed. Only the value for "no limit" does not fit.
pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
