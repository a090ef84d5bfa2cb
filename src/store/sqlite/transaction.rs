//! Writes many appends in one transaction. Appends to the same stream become one change of that stream.
//!
//! A refused append removes what it wrote.
//!
//! **Invariant:** a batch is prepared and written under the write lock. The state of the last transaction is used only
//! on the same connection, and only if no other process has written since.

use std::collections::{BTreeMap, HashMap};

use rusqlite::{Connection, params};

use super::error::SqliteError;
use super::rows;
use super::rows::{LastNumbers, StreamRow, signed};
use crate::domain::core::id::IncidentId;
use crate::domain::core::time::Timestamp;
use crate::domain::incident::event::Recorded;
use crate::store::chained_stream::{EventRow, Extension, extend};
use crate::store::codec::{EncodedEvent, written};
use crate::store::lease::initial;
use crate::store::{Lease, StoreError, StreamSummary, UniqueName, Write};

const STREAM: &str = "INSERT INTO streams (number, last, incident, seq, opened_at, changed_at, live, head, seal) \
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) ON CONFLICT (incident) DO UPDATE SET last = excluded.last, \
    seq = excluded.seq, changed_at = excluded.changed_at, live = excluded.live, head = excluded.head, seal = excluded.seal";
const EVENT: &str =
    "INSERT INTO events (place, stream, seq, before, at, body, hash) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
const KEY: &str = "INSERT INTO keys (key, incident, at, seal) VALUES (?1, ?2, ?3, ?4) ON CONFLICT (key) DO NOTHING";
const FIND_KEY: &str = "SELECT key, incident, at, seal FROM keys WHERE key = ?1";
const REMOVE_KEY: &str = "DELETE FROM keys WHERE key = ?1";
const LEASE: &str = "INSERT INTO claims (incident, holder, epoch, expires_at, seal) VALUES (?1, ?2, ?3, ?4, ?5) \
    ON CONFLICT (incident) DO UPDATE SET holder = ?2, epoch = ?3, expires_at = ?4, seal = ?5";

/// The state of the file after the last transaction of this process.
#[derive(Debug, Default)]
pub(super) struct KnownState {
    last: Option<LastNumbers>,
    /// The streams that were written recently.
    streams: HashMap<IncidentId, StreamRow>,
}

/// Streams in [`KnownState`]; each takes some hundred bytes.
const KNOWN_LIMIT: usize = 1_000;

impl KnownState {
    fn last_numbers(&mut self, connection: &Connection) -> Result<&mut LastNumbers, SqliteError> {
        if self.last.is_none() {
            self.last = Some(rows::last_numbers(connection)?);
        }
        Ok(self.last.as_mut().expect("it was read above"))
    }

    fn insert(&mut self, stream: StreamRow) {
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
    lease: Option<Lease>,
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
        let Write { incident, expected, keys, lease, live, .. } = write;
        self.load_stream(incident)?;
        let change = self.changes.get_mut(incident).expect("it was loaded above");
        let head = change.stream.as_ref().map(|stream| &stream.head);
        let Extension { head, rows, recorded } = extend(incident, head, *expected, prepared, *live)?;
        let (Some(head), false) = (head, rows.is_empty()) else { return Ok(recorded) };
        register_names(self.connection, keys, incident, head.summary.changed_at)?;
        match &mut change.stream {
            Some(stream) => stream.head = head,
            none => {
                let last = self.known.last_numbers(self.connection)?;
                last.stream += 1;
                *none = Some(StreamRow { number: last.stream, last: 0, head });
                change.lease = lease.clone().map(|lease| initial(incident, lease));
            }
        }
        change.rows.extend(rows);
        Ok(recorded)
    }

    /// Loads a stream into the batch unless it is there.
    fn load_stream(&mut self, incident: &IncidentId) -> Result<(), SqliteError> {
        if !self.changes.contains_key(incident) {
            let stream = match self.known.streams.get(incident) {
                Some(stream) => Some(stream.clone()),
                None => {
                    let stream = rows::stream_of(self.connection, incident)?;
                    stream.as_ref().map_or(Ok(()), |stream| rows::check_last_event(self.connection, stream))?;
                    stream
                }
            };
            let change = StreamChange { stream, rows: Vec::new(), lease: None };
            self.changes.insert(incident.clone(), change);
        }
        Ok(())
    }

    /// Writes all changes to the file.
    pub(super) fn write(self) -> Result<(), SqliteError> {
        let Self { connection, known, changes } = self;
        for change in changes.into_values().filter(|change| !change.rows.is_empty()) {
            let Some(mut stream) = change.stream else { continue };
            write_events(connection, &mut stream, &change.rows, known.last_numbers(connection)?)?;
            write_stream(connection, &stream)?;
            change.lease.as_ref().map_or(Ok(()), |lease| write_lease(connection, lease))?;
            known.insert(stream);
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
    for (registered, key) in keys.iter().enumerate() {
        let name = UniqueName { key: key.clone(), incident: incident.clone(), at };
        if statement.execute(params![key, incident.as_str(), written(at), rows::key_seal(&name)])? > 0 {
            continue;
        }
        for key in &keys[..registered] {
            connection.prepare_cached(REMOVE_KEY)?.execute([key])?;
        }
        let holder = rows::one(connection, FIND_KEY, [key], rows::key)?;
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
    last: &mut LastNumbers,
) -> Result<(), SqliteError> {
    let mut statement = connection.prepare_cached(EVENT)?;
    for EventRow { seq, at, body, hash } in rows {
        last.place += 1;
        let (place, before) = (signed(last.place), signed(stream.last));
        statement.execute(params![place, signed(stream.number), signed(*seq), before, text(at), text(body), hash])?;
        stream.last = last.place;
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

/// Records a lease in place of the previous one.
pub(super) fn write_lease(connection: &Connection, lease: &Lease) -> Result<(), SqliteError> {
    let Lease { incident, holder, epoch, expires_at } = lease;
    let values = params![incident.as_str(), holder, signed(*epoch), written(*expires_at), rows::lease_seal(lease)];
    connection.prepare_cached(LEASE)?.execute(values)?;
    Ok(())
}

/// The text of a new row. Only rows that were read may hold other bytes.
fn text(bytes: &[u8]) -> &str {
    str::from_utf8(bytes).expect("a new row was made from text")
}
