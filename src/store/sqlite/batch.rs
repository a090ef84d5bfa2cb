//! What is written in one transaction: many appends, of which those to one stream are one change of it.
//!
//! Everything is compared before anything is written, so that an append which is refused leaves no trace in a transaction
//! that goes on.
//!
//! **Invariant:** a batch is made and written under the lock for writing.

use std::collections::{BTreeMap, HashMap};

use rusqlite::{Connection, params};

use super::row::{self, Stream, signed};
use super::trouble::Trouble;
use crate::domain::event::Recorded;
use crate::domain::id::IncidentId;
use crate::store::claim::begun;
use crate::store::record::{Prepared, written};
use crate::store::stream::{Extension, Row, extend};
use crate::store::{Claim, Key, StoreError, Summary, Write};

const STREAM: &str = "INSERT INTO streams (number, incident, seq, opened_at, changed_at, live, head, seal) \
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT (incident) DO UPDATE SET seq = excluded.seq, \
    changed_at = excluded.changed_at, live = excluded.live, head = excluded.head, seal = excluded.seal";
const EVENT: &str = "INSERT INTO events (place, at, body, hash) VALUES (?1, ?2, ?3, ?4)";
const KEY: &str = "INSERT INTO keys (key, incident, at, seal) VALUES (?1, ?2, ?3, ?4)";
const CLAIM: &str = "INSERT INTO claims (incident, holder, epoch, expires_at, seal) VALUES (?1, ?2, ?3, ?4, ?5) \
    ON CONFLICT (incident) DO UPDATE SET holder = ?2, epoch = ?3, expires_at = ?4, seal = ?5";

/// What becomes of one stream.
#[derive(Debug)]
struct Change {
    /// Where it stands, with what was added; none when it is not there yet.
    stream: Option<Stream>,
    rows: Vec<Row>,
    claim: Option<Claim>,
}

/// What is written in one transaction.
pub(super) struct Batch<'a> {
    connection: &'a Connection,
    /// The number of the last stream, once it was asked for.
    last: &'a mut Option<u64>,
    changes: BTreeMap<IncidentId, Change>,
    keys: HashMap<String, Key>,
}

impl<'a> Batch<'a> {
    /// A batch with nothing in it. `last` is the number of the last stream, where that is known.
    pub(super) fn new(connection: &'a Connection, last: &'a mut Option<u64>) -> Self {
        Self { connection, last, changes: BTreeMap::new(), keys: HashMap::new() }
    }

    /// Adds a write to its stream as it stands in the log, or where this batch leaves it.
    pub(super) fn add(&mut self, write: &Write, prepared: Vec<Prepared>) -> Result<Vec<Recorded>, Trouble> {
        let Write { incident, expected, keys, claim, live, .. } = write;
        self.are_free(keys)?;
        self.look_up(incident)?;
        let change = self.changes.get_mut(incident).expect("it was looked up");
        let head = change.stream.as_ref().map(|stream| &stream.head);
        let Extension { head, rows, recorded } = extend(incident, head, *expected, prepared, *live)?;
        let (Some(head), false) = (head, rows.is_empty()) else { return Ok(recorded) };
        let at = head.summary.changed_at;
        match &mut change.stream {
            Some(stream) => stream.head = head,
            none => {
                let last = match *self.last {
                    Some(last) => last,
                    None => row::last_number(self.connection)?,
                };
                *self.last = Some(last + 1);
                *none = Some(Stream { number: last + 1, head });
                change.claim = claim.clone().map(|hold| begun(incident, hold));
            }
        }
        change.rows.extend(rows);
        let given = keys.iter().map(|key| (key.clone(), Key { key: key.clone(), incident: incident.clone(), at }));
        self.keys.extend(given);
        Ok(recorded)
    }

    /// That nobody was given these names before, in the log or in this batch.
    fn are_free(&self, keys: &[String]) -> Result<(), Trouble> {
        const GIVEN: &str = "SELECT key, incident, at, seal FROM keys WHERE key = ?1";
        for key in keys {
            let given = match self.keys.get(key) {
                Some(given) => Some(given.clone()),
                None => row::one(self.connection, GIVEN, [key], row::key)?,
            };
            if let Some(Key { key, incident, .. }) = given {
                return Err(StoreError::Taken { key, incident }.into());
            }
        }
        Ok(())
    }

    fn look_up(&mut self, incident: &IncidentId) -> Result<(), Trouble> {
        if !self.changes.contains_key(incident) {
            let stream = row::stream_of(self.connection, incident)?;
            if let Some(stream) = &stream {
                row::is_last(self.connection, stream)?;
            }
            let change = Change { stream, rows: Vec::new(), claim: None };
            self.changes.insert(incident.clone(), change);
        }
        Ok(())
    }

    /// Writes it.
    pub(super) fn write(&self) -> Result<(), Trouble> {
        for change in self.changes.values().filter(|change| !change.rows.is_empty()) {
            self.write_change(change)?;
        }
        let mut statement = self.connection.prepare_cached(KEY)?;
        for key in self.keys.values() {
            let (incident, at) = (key.incident.as_str(), written(key.at));
            statement.execute(params![key.key, incident, at, row::key_seal(key)])?;
        }
        Ok(())
    }

    fn write_change(&self, change: &Change) -> Result<(), Trouble> {
        let Some(stream) = &change.stream else { return Ok(()) };
        let Summary { id, seq, opened_at, changed_at, live } = &stream.head.summary;
        self.connection.prepare_cached(STREAM)?.execute(params![
            signed(stream.number),
            id.as_str(),
            signed(*seq),
            written(*opened_at),
            written(*changed_at),
            live,
            stream.head.hash,
            stream.seal(),
        ])?;
        let mut statement = self.connection.prepare_cached(EVENT)?;
        for Row { seq, at, body, hash } in &change.rows {
            statement.execute(params![signed(stream.place(*seq)), text(at), text(body), hash])?;
        }
        change.claim.as_ref().map_or(Ok(()), |claim| write_claim(self.connection, claim))
    }
}

/// Writes a claim, in the place of the one before.
pub(super) fn write_claim(connection: &Connection, claim: &Claim) -> Result<(), Trouble> {
    let Claim { incident, holder, epoch, expires_at } = claim;
    let values = params![incident.as_str(), holder, signed(*epoch), written(*expires_at), row::seal(claim)];
    connection.prepare_cached(CLAIM)?.execute(values)?;
    Ok(())
}

/// The columns are text; rows that were read may hold anything, rows that are written do not.
fn text(bytes: &[u8]) -> &str {
    str::from_utf8(bytes).expect("a new row was made from text")
}
