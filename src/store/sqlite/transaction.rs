//! What is written in one transaction: many appends, of which those to one stream are one change of it.
//!
//! Everything is compared before anything is written, so that an append which is refused leaves no trace in a transaction
//! that goes on.
//!
//! **Invariant:** a batch is made and written under the lock for writing, and what is known from the transaction before is
//! used only while nobody else has written since.

use std::collections::{BTreeMap, HashMap};

use rusqlite::{Connection, params};

use super::error::SqliteError;
use super::rows;
use super::rows::{Ends, StreamRow, signed};
use crate::domain::core::id::IncidentId;
use crate::domain::core::time::Timestamp;
use crate::domain::incident::event::Recorded;
use crate::store::chained_stream::{EventRow, Extension, extend};
use crate::store::codec::{EncodedEvent, written};
use crate::store::lease::begun;
use crate::store::{Lease, StoreError, StreamSummary, UniqueName, Write};

const STREAM: &str = "INSERT INTO streams (number, last, incident, seq, opened_at, changed_at, live, head, seal) \
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) ON CONFLICT (incident) DO UPDATE SET last = excluded.last, \
    seq = excluded.seq, changed_at = excluded.changed_at, live = excluded.live, head = excluded.head, seal = excluded.seal";
const EVENT: &str =
    "INSERT INTO events (place, stream, seq, before, at, body, hash) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
const KEY: &str = "INSERT INTO keys (key, incident, at, seal) VALUES (?1, ?2, ?3, ?4) ON CONFLICT (key) DO NOTHING";
const GIVEN: &str = "SELECT key, incident, at, seal FROM keys WHERE key = ?1";
const TAKE_BACK: &str = "DELETE FROM keys WHERE key = ?1";
const CLAIM: &str = "INSERT INTO claims (incident, holder, epoch, expires_at, seal) VALUES (?1, ?2, ?3, ?4, ?5) \
    ON CONFLICT (incident) DO UPDATE SET holder = ?2, epoch = ?3, expires_at = ?4, seal = ?5";

/// What this process knows of the file from the last transaction.
#[derive(Debug, Default)]
pub(super) struct KnownState {
    ends: Option<Ends>,
    /// The streams that were written recently.
    streams: HashMap<IncidentId, StreamRow>,
}

/// Remembered streams; each takes some hundred bytes.
const KNOWN_LIMIT: usize = 1_000;

impl KnownState {
    fn ends(&mut self, connection: &Connection) -> Result<&mut Ends, SqliteError> {
        if self.ends.is_none() {
            self.ends = Some(rows::ends(connection)?);
        }
        Ok(self.ends.as_mut().expect("it was read above"))
    }

    fn keep(&mut self, stream: StreamRow) {
        if self.streams.len() >= KNOWN_LIMIT {
            self.streams.clear();
        }
        self.streams.insert(stream.head.summary.id.clone(), stream);
    }
}

/// The changes to one stream.
#[derive(Debug)]
struct StreamChange {
    /// The stream including the added events; `None` if it does not exist.
    stream: Option<StreamRow>,
    rows: Vec<EventRow>,
    claim: Option<Lease>,
}

/// The contents of one transaction.
pub(super) struct Batch<'a> {
    connection: &'a Connection,
    known: &'a mut KnownState,
    changes: BTreeMap<IncidentId, StreamChange>,
}

impl<'a> Batch<'a> {
    /// An empty batch. The caller must discard `known` if the batch does not become durable.
    pub(super) fn new(connection: &'a Connection, known: &'a mut KnownState) -> Self {
        Self { connection, known, changes: BTreeMap::new() }
    }

    /// Adds a write to its stream, after earlier writes of this batch.
    pub(super) fn add(&mut self, write: &Write, prepared: Vec<EncodedEvent>) -> Result<Vec<Recorded>, SqliteError> {
        let Write { incident, expected, keys, claim, live, .. } = write;
        self.load_stream(incident)?;
        let change = self.changes.get_mut(incident).expect("it was looked up");
        let head = change.stream.as_ref().map(|stream| &stream.head);
        let Extension { head, rows, recorded } = extend(incident, head, *expected, prepared, *live)?;
        let (Some(head), false) = (head, rows.is_empty()) else { return Ok(recorded) };
        register_names(self.connection, keys, incident, head.summary.changed_at)?;
        match &mut change.stream {
            Some(stream) => stream.head = head,
            none => {
                let ends = self.known.ends(self.connection)?;
                ends.stream += 1;
                *none = Some(StreamRow { number: ends.stream, last: 0, head });
                change.claim = claim.clone().map(|hold| begun(incident, hold));
            }
        }
        change.rows.extend(rows);
        Ok(recorded)
    }

    fn load_stream(&mut self, incident: &IncidentId) -> Result<(), SqliteError> {
        if !self.changes.contains_key(incident) {
            let stream = match self.known.streams.get(incident) {
                Some(stream) => Some(stream.clone()),
                None => {
                    let stream = rows::stream_of(self.connection, incident)?;
                    stream.as_ref().map_or(Ok(()), |stream| rows::is_last(self.connection, stream))?;
                    stream
                }
            };
            let change = StreamChange { stream, rows: Vec::new(), claim: None };
            self.changes.insert(incident.clone(), change);
        }
        Ok(())
    }

    pub(super) fn write(self) -> Result<(), SqliteError> {
        let Self { connection, known, changes } = self;
        for change in changes.into_values().filter(|change| !change.rows.is_empty()) {
            let Some(mut stream) = change.stream else { continue };
            write_events(connection, &mut stream, &change.rows, known.ends(connection)?)?;
            write_stream(connection, &stream)?;
            change.claim.as_ref().map_or(Ok(()), |claim| write_lease(connection, claim))?;
            known.keep(stream);
        }
        Ok(())
    }
}

/// Registers names for an incident: all, or none if one is registered already, in the log or in this transaction.
fn register_names(
    connection: &Connection,
    keys: &[String],
    incident: &IncidentId,
    at: Timestamp,
) -> Result<(), SqliteError> {
    let mut statement = connection.prepare_cached(KEY)?;
    for (given, key) in keys.iter().enumerate() {
        let fresh = UniqueName { key: key.clone(), incident: incident.clone(), at };
        if statement.execute(params![key, incident.as_str(), written(at), rows::key_seal(&fresh)])? > 0 {
            continue;
        }
        for key in &keys[..given] {
            connection.prepare_cached(TAKE_BACK)?.execute([key])?;
        }
        let holder = rows::one(connection, GIVEN, [key], rows::key)?;
        let incident = holder.map_or_else(|| incident.clone(), |holder| holder.incident);
        return Err(StoreError::Taken { key: key.clone(), incident }.into());
    }
    Ok(())
}

/// Appends events to the file and updates the stream's last place.
fn write_events(
    connection: &Connection,
    stream: &mut StreamRow,
    rows: &[EventRow],
    ends: &mut Ends,
) -> Result<(), SqliteError> {
    let mut statement = connection.prepare_cached(EVENT)?;
    for EventRow { seq, at, body, hash } in rows {
        ends.place += 1;
        let (place, before) = (signed(ends.place), signed(stream.last));
        statement.execute(params![place, signed(stream.number), signed(*seq), before, text(at), text(body), hash])?;
        stream.last = ends.place;
    }
    Ok(())
}

fn write_stream(connection: &Connection, stream: &StreamRow) -> Result<(), SqliteError> {
    let StreamSummary { id, seq, opened_at, changed_at, live } = &stream.head.summary;
    connection.prepare_cached(STREAM)?.execute(params![
        signed(stream.number),
        signed(stream.last),
        id.as_str(),
        signed(*seq),
        written(*opened_at),
        written(*changed_at),
        live,
        stream.head.hash,
        stream.seal(),
    ])?;
    Ok(())
}

/// Writes a lease over the previous one.
pub(super) fn write_lease(connection: &Connection, claim: &Lease) -> Result<(), SqliteError> {
    let Lease { incident, holder, epoch, expires_at } = claim;
    let values = params![incident.as_str(), holder, signed(*epoch), written(*expires_at), rows::seal(claim)];
    connection.prepare_cached(CLAIM)?.execute(values)?;
    Ok(())
}

/// The columns are text. Rows that are read may hold any bytes; new rows hold text.
fn text(bytes: &[u8]) -> &str {
    str::from_utf8(bytes).expect("a new row was made from text")
}
