//! Rows of the database, as values whose checksums have been checked.

use std::collections::BTreeSet;

use rusqlite::Connection;

use super::trouble::Trouble;
use crate::domain::event::EVENT_LIMIT;
use crate::domain::id::IncidentId;
use crate::domain::time::Timestamp;
use crate::store::chain::{self, Hash};
use crate::store::record::{parse_instant, written};
use crate::store::stream::{Head, Row};
use crate::store::{Claim, Key, Summary};

/// Reads columns of one row.
struct Columns<'a>(&'a rusqlite::Row<'a>);

impl<'a> Columns<'a> {
    fn bytes(&self, index: usize) -> Result<&'a [u8], Trouble> {
        Ok(self.0.get_ref(index)?.as_bytes()?)
    }

    fn hash(&self, index: usize) -> Result<Hash, Trouble> {
        self.bytes(index)?.try_into().map_err(|_| Trouble::damaged("a hash is not 32 bytes long"))
    }

    fn number(&self, index: usize) -> Result<u64, Trouble> {
        u64::try_from(self.0.get_ref(index)?.as_i64()?).map_err(|_| Trouble::damaged("a number is below zero"))
    }

    fn text(&self, index: usize) -> Result<&'a str, Trouble> {
        str::from_utf8(self.bytes(index)?).map_err(|_| Trouble::damaged("a text is not UTF-8"))
    }

    fn incident(&self, index: usize) -> Result<IncidentId, Trouble> {
        self.text(index)?.parse().map_err(|why: String| Trouble::damaged(why))
    }

    fn instant(&self, index: usize) -> Result<Timestamp, Trouble> {
        parse_instant(self.bytes(index)?).map_err(Trouble::damaged)
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
        (self.number << SEQ_BITS) + seq.min((1 << SEQ_BITS) - 1)
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
pub(super) fn stream(row: &rusqlite::Row<'_>) -> Result<Stream, Trouble> {
    let columns = Columns(row);
    let summary = Summary {
        id: columns.incident(1)?,
        seq: columns.number(2)?,
        opened_at: columns.instant(3)?,
        changed_at: columns.instant(4)?,
        live: columns.number(5)? != 0,
    };
    let stream = Stream { number: columns.number(0)?, head: Head { summary, hash: columns.hash(6)? } };
    if stream.seal() != columns.hash(7)? {
        return Err(Trouble::damaged(format!("the head of incident `{}` was changed", stream.head.summary.id)));
    }
    Ok(stream)
}

/// Every row of an answer, as a value.
pub(super) fn all<T>(
    connection: &Connection,
    sql: &str,
    values: impl rusqlite::Params,
    value: impl Fn(&rusqlite::Row<'_>) -> Result<T, Trouble>,
) -> Result<Vec<T>, Trouble> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(values)?;
    let mut all = Vec::new();
    while let Some(row) = rows.next()? {
        all.push(value(row)?);
    }
    Ok(all)
}

/// The one row of an answer that has at most one.
pub(super) fn one<T>(
    connection: &Connection,
    sql: &str,
    values: impl rusqlite::Params,
    value: impl Fn(&rusqlite::Row<'_>) -> Result<T, Trouble>,
) -> Result<Option<T>, Trouble> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(values)?;
    rows.next()?.map(value).transpose()
}

/// A number that is the whole answer.
pub(super) fn number(connection: &Connection, sql: &str) -> Result<u64, Trouble> {
    one(connection, sql, [], |row| Columns(row).number(0))?.ok_or_else(|| Trouble::damaged("it cannot be counted"))
}

/// Where the stream of an incident stands, if there is one.
pub(super) fn stream_of(connection: &Connection, incident: &IncidentId) -> Result<Option<Stream>, Trouble> {
    const HEAD: &str = concat!("SELECT ", stream_columns!(), " FROM streams WHERE incident = ?1");
    one(connection, HEAD, [incident.as_str()], stream)
}

/// That the event which a stream names as its last is there.
pub(super) fn is_last(connection: &Connection, stream: &Stream) -> Result<(), Trouble> {
    const HASH: &str = "SELECT hash FROM events WHERE place = ?1";
    let Summary { id, seq, .. } = &stream.head.summary;
    let last = one(connection, HASH, [signed(stream.place(*seq))], |row| Columns(row).hash(0))?;
    if last == Some(stream.head.hash) {
        return Ok(());
    }
    Err(Trouble::damaged(format!("event {seq} of incident `{id}` is not the one that was written last")))
}

/// An event, from `place, at, body, hash`.
pub(super) fn event(row: &rusqlite::Row<'_>) -> Result<Row, Trouble> {
    let columns = Columns(row);
    Ok(Row {
        seq: columns.number(0)? & ((1 << SEQ_BITS) - 1),
        at: columns.bytes(1)?.to_owned(),
        body: columns.bytes(2)?.to_owned(),
        hash: columns.hash(3)?,
    })
}

/// The number of the last stream that has events.
const LAST_WITH_EVENTS: &str = "SELECT coalesce(max(place), 0) >> 20 FROM events";

/// The number that the last stream has, by its own row and by its events, whichever says more.
pub(super) fn last_number(connection: &Connection) -> Result<u64, Trouble> {
    let last = number(connection, "SELECT coalesce(max(number), 0) FROM streams")?;
    Ok(last.max(number(connection, LAST_WITH_EVENTS)?))
}

/// That no stream is gone, before some are listed. Numbers have no gaps and the last stream has events, so that all ways
/// of counting must agree.
pub(super) fn count(connection: &Connection) -> Result<(), Trouble> {
    let rows = number(connection, "SELECT count(*) FROM streams")?;
    let last = number(connection, "SELECT coalesce(max(number), 0) FROM streams")?;
    agree(rows, last, number(connection, LAST_WITH_EVENTS)?)
}

/// That no stream is gone or has a damaged name: for when one is not found.
pub(super) fn census(connection: &Connection) -> Result<(), Trouble> {
    const ALL: &str = concat!("SELECT ", stream_columns!(), " FROM streams");
    let streams = all(connection, ALL, [], |row| stream(row).map(|stream| stream.number))?;
    let numbers: BTreeSet<u64> = streams.iter().copied().collect();
    let (count, highest) = (streams.len() as u64, numbers.last().copied().unwrap_or_default());
    agree(numbers.len() as u64, highest, number(connection, LAST_WITH_EVENTS)?)?;
    agree(count, highest, highest)
}

fn agree(rows: u64, last: u64, last_with_events: u64) -> Result<(), Trouble> {
    if rows == last && last == last_with_events {
        return Ok(());
    }
    let most = rows.max(last).max(last_with_events);
    Err(Trouble::damaged(format!("there should be {most} incidents, but there are {rows}")))
}

/// `incident, holder, epoch, expires_at, seal` of a claim.
pub(super) fn claim(row: &rusqlite::Row<'_>) -> Result<Claim, Trouble> {
    let columns = Columns(row);
    let claim = Claim {
        incident: columns.incident(0)?,
        holder: columns.text(1)?.to_owned(),
        epoch: columns.number(2)?,
        expires_at: columns.instant(3)?,
    };
    if seal(&claim) != columns.hash(4)? {
        return Err(Trouble::damaged(format!("the claim on incident `{}` was changed", claim.incident)));
    }
    Ok(claim)
}

/// `key, incident, at, seal` of a name.
pub(super) fn key(row: &rusqlite::Row<'_>) -> Result<Key, Trouble> {
    let columns = Columns(row);
    let key = Key { key: columns.text(0)?.to_owned(), incident: columns.incident(1)?, at: columns.instant(2)? };
    if key_seal(&key) != columns.hash(3)? {
        return Err(Trouble::damaged(format!("the name `{}` of an incident was changed", key.key.escape_debug())));
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

/// SQLite's integers are signed; ours are far below the difference, except for "no limit".
pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
