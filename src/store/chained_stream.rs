//! Numbers and chains new events, and checks events that were read. Pure; shared by all backends.
//!
//! **Invariant:** events leave the store only through [`check`]. It accepts only what [`extend`] produced: no gaps,
//! valid hashes, and the last event as the head has it.

use super::codec::{EncodedEvent, parse};
use super::hash_chain;
use super::hash_chain::{Hash, Stored};
use super::{Audit, NewEvent, StoreError, StreamSummary};
use crate::domain::core::id::IncidentId;
use crate::domain::incident::event::Recorded;

/// The end of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Head {
    pub summary: StreamSummary,
    pub hash: Hash,
}

/// An event as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct EventRow {
    pub seq: u64,
    /// The instant as written.
    pub at: Vec<u8>,
    /// Actor and event as written.
    pub body: Vec<u8>,
    pub hash: Hash,
}

/// The result of an append.
#[derive(Debug)]
pub(super) struct Extension {
    /// The new head; `None` if the stream does not exist and nothing is added.
    pub head: Option<Head>,
    pub rows: Vec<EventRow>,
    pub recorded: Vec<Recorded>,
}

/// Numbers and chains new events. Fails with a conflict if another writer was first.
pub(super) fn extend(
    incident: &IncidentId,
    head: Option<&Head>,
    expected: u64,
    prepared: Vec<EncodedEvent>,
    live: bool,
) -> Result<Extension, StoreError> {
    let actual = head.map_or(0, |head| head.summary.seq);
    if actual != expected {
        return Err(StoreError::Conflict { expected, actual });
    }
    let mut head = head.cloned();
    let mut rows = Vec::with_capacity(prepared.len());
    let mut recorded = Vec::with_capacity(prepared.len());
    for event in prepared {
        let (row, event, next) = link(incident, head.as_ref(), event);
        recorded.push(event);
        rows.push(row);
        head = Some(next);
    }
    if let Some(head) = head.as_mut().filter(|_| !rows.is_empty()) {
        head.summary.live = live;
    }
    Ok(Extension { head, rows, recorded })
}

fn link(incident: &IncidentId, head: Option<&Head>, event: EncodedEvent) -> (EventRow, Recorded, Head) {
    let seq = head.map_or(0, |head| head.summary.seq) + 1;
    let EncodedEvent { at: written, body, draft: NewEvent { at, by, event, .. } } = event;
    let opened_at = head.map_or(at, |head| head.summary.opened_at);
    let previous = head.map_or(hash_chain::START, |head| head.hash);
    let stored = Stored { incident: incident.as_str(), seq, at: written.as_bytes(), body: body.as_bytes() };
    let hash = hash_chain::hash(&previous, stored);
    let head =
        Head { summary: StreamSummary { id: incident.clone(), seq, opened_at, changed_at: at, live: true }, hash };
    (EventRow { seq, at: written.into_bytes(), body: body.into_bytes(), hash }, Recorded { seq, at, by, event }, head)
}

/// Checks a stream row by row.
#[derive(Debug)]
pub(super) struct ChainWalk<'a> {
    incident: &'a IncidentId,
    seq: u64,
    hash: Hash,
}

impl<'a> ChainWalk<'a> {
    /// Starts at the first event.
    pub(super) fn new(incident: &'a IncidentId) -> Self {
        Self { incident, seq: 0, hash: hash_chain::START }
    }

    /// Starts after a row, whose hash is trusted.
    pub(super) fn after(incident: &'a IncidentId, row: &EventRow) -> Self {
        Self { incident, seq: row.seq, hash: row.hash }
    }

    /// Checks one row. An error holds its event number and the reason.
    pub(super) fn check_row(&mut self, row: &EventRow) -> Result<Recorded, (u64, String)> {
        let seq = self.seq + 1;
        if row.seq != seq {
            return Err((seq, format!("event {seq} is missing; the next event is {}", row.seq)));
        }
        let stored = Stored { incident: self.incident.as_str(), seq, at: &row.at, body: &row.body };
        let hash = hash_chain::hash(&self.hash, stored);
        if hash != row.hash {
            return Err((seq, format!("event {seq} was changed after it was written, or the one before it was")));
        }
        let draft = parse(&row.at, &row.body).map_err(|why| (seq, format!("event {seq} cannot be read: {why}")))?;
        self.seq = seq;
        self.hash = hash;
        Ok(Recorded { seq, at: draft.at, by: draft.by, event: draft.event })
    }

    /// Checks that the stream ends where its head says.
    pub(super) fn check_end(&self, head: Option<&Head>) -> Result<(), (u64, String)> {
        let last = head.map_or(0, |head| head.summary.seq);
        let hash = head.map_or(hash_chain::START, |head| head.hash);
        let next = self.seq + 1;
        match self.seq.cmp(&last) {
            std::cmp::Ordering::Less => Err((next, format!("event {next} is missing; there should be {last} events"))),
            std::cmp::Ordering::Greater => {
                Err((last + 1, format!("there are {} events, but there should be {last}", self.seq)))
            }
            std::cmp::Ordering::Equal if self.hash != hash => {
                Err((last, format!("event {last} does not match the stream's head")))
            }
            std::cmp::Ordering::Equal => Ok(()),
        }
    }
}

/// Checks and returns the events after number `after`. `rows` starts with event `after` itself, unless that is 0.
pub(super) fn check(
    incident: &IncidentId,
    after: u64,
    head: Option<&Head>,
    rows: &[EventRow],
) -> Result<Vec<Recorded>, StoreError> {
    let damaged = |(_, why): (u64, String)| StoreError::Damaged(format!("incident `{incident}`: {why}"));
    let (mut walk, rows) = match rows {
        _ if after == 0 => (ChainWalk::new(incident), rows),
        [first, rest @ ..] if first.seq == after => (ChainWalk::after(incident, first), rest),
        _ => {
            let last = head.map_or(0, |head| head.summary.seq);
            return Err(damaged((after, format!("event {after} is not there; the log ends with event {last}"))));
        }
    };
    let recorded = rows.iter().map(|row| walk.check_row(row)).collect::<Result<_, _>>().map_err(damaged)?;
    walk.check_end(head).map_err(damaged)?;
    Ok(recorded)
}

/// The audit result of a whole stream.
pub(super) fn report(walk: &ChainWalk<'_>, broken: Option<(u64, String)>) -> Audit {
    Audit { incident: walk.incident.clone(), events: walk.seq, head: hex::encode(walk.hash), broken }
}
