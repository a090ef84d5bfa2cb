//! The log in memory, for tests: same semantics and same bytes as on disk.
//!
//! **Invariant:** an event is stored and read as JSON, as on disk.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;

use super::chained_stream::{ChainWalk, EventRow, Extension, Head, check, extend, report};
use super::codec::prepare;
use super::lease::{LeaseRequest, decide, initial, is_released, released};
use super::{Audit, EventStore, Lease, LeaseAnswer, StoreError, StreamSummary, UniqueName, Write};
use crate::domain::core::id::IncidentId;
use crate::domain::core::time::Timestamp;
use crate::domain::incident::event::Recorded;

/// A log shared by its clones, and gone with the last of them.
#[derive(Debug, Clone, Default)]
pub struct Memory {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    streams: BTreeMap<IncidentId, Stream>,
    leases: BTreeMap<IncidentId, Lease>,
    keys: BTreeMap<String, UniqueName>,
    version: u64,
}

#[derive(Debug)]
struct Stream {
    head: Head,
    rows: Vec<EventRow>,
}

impl Memory {
    /// An empty log, shared by its clones.
    pub fn new() -> Self {
        Self::default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nobody panics while holding the log")
    }
}

#[async_trait]
impl EventStore for Memory {
    async fn write(&self, mut write: Write) -> Result<Vec<Recorded>, StoreError> {
        let prepared = prepare(&mut write)?;
        let mut state = self.state();
        let Write { ref incident, expected, keys, lease, live, .. } = write;
        if let Some(taken) = keys.iter().find_map(|key| state.keys.get(key)) {
            return Err(StoreError::Taken { key: taken.key.clone(), incident: taken.incident.clone() });
        }
        let before = state.streams.get(incident).map(|stream| &stream.head);
        let Extension { head, rows, recorded } = extend(incident, before, expected, prepared, live)?;
        if let Some(head) = head.filter(|_| !rows.is_empty()) {
            let at = head.summary.changed_at;
            state.keys.extend(keys.into_iter().map(|key| {
                let name = UniqueName { key: key.clone(), incident: incident.clone(), at };
                (key, name)
            }));
            if let Some(lease) = lease.filter(|_| expected == 0) {
                state.leases.insert(incident.clone(), initial(incident, lease));
            }
            let empty = || Stream { head: head.clone(), rows: Vec::new() };
            let stream = state.streams.entry(incident.clone()).or_insert_with(empty);
            stream.rows.extend(rows);
            stream.head = head;
            state.version += 1;
        }
        Ok(recorded)
    }

    async fn read(&self, incident: &IncidentId, after: u64) -> Result<Vec<Recorded>, StoreError> {
        let state = self.state();
        let Some(stream) = state.streams.get(incident) else { return check(incident, after, None, &[]) };
        let from = usize::try_from(after.saturating_sub(1)).unwrap_or(usize::MAX);
        check(incident, after, Some(&stream.head), stream.rows.get(from..).unwrap_or_default())
    }

    async fn seq(&self, incident: &IncidentId) -> Result<u64, StoreError> {
        Ok(self.state().streams.get(incident).map_or(0, |stream| stream.head.summary.seq))
    }

    async fn incidents(&self, limit: u32, offset: u32) -> Result<Vec<StreamSummary>, StoreError> {
        let mut all: Vec<_> = self.state().streams.values().map(|stream| stream.head.summary.clone()).collect();
        // The sort is stable, and the map is ordered by id.
        all.sort_by_key(|summary| std::cmp::Reverse(summary.changed_at));
        Ok(all.into_iter().skip(offset as usize).take(limit as usize).collect())
    }

    async fn keys(&self, prefix: &str, limit: u32) -> Result<Vec<UniqueName>, StoreError> {
        let state = self.state();
        let found = state.keys.values().rev().filter(|key| key.key.starts_with(prefix));
        Ok(found.take(limit as usize).cloned().collect())
    }

    async fn version(&self) -> Result<u64, StoreError> {
        Ok(self.state().version)
    }

    async fn live(&self) -> Result<Vec<StreamSummary>, StoreError> {
        let state = self.state();
        let live = state.streams.values().map(|stream| &stream.head.summary).filter(|summary| summary.live);
        Ok(live.cloned().collect())
    }

    async fn find(&self, prefix: &str, limit: u32) -> Result<Vec<IncidentId>, StoreError> {
        let state = self.state();
        let found = state.streams.keys().filter(|id| id.as_str().starts_with(prefix));
        Ok(found.take(limit as usize).cloned().collect())
    }

    async fn acquire_lease(
        &self,
        incident: &IncidentId,
        holder: &str,
        gone: Option<&str>,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<LeaseAnswer, StoreError> {
        let (holder, gone) = (holder.to_owned(), gone.map(str::to_owned));
        let mut state = self.state();
        let current = state.leases.get(incident).cloned();
        let answer = decide(current, LeaseRequest { incident: incident.clone(), holder, gone, now, until });
        if let LeaseAnswer::Held(lease) = &answer {
            state.leases.insert(incident.clone(), lease.clone());
        }
        Ok(answer)
    }

    async fn lease(&self, incident: &IncidentId) -> Result<Option<Lease>, StoreError> {
        Ok(self.state().leases.get(incident).filter(|lease| !is_released(lease)).cloned())
    }

    async fn release(&self, lease: &Lease) -> Result<(), StoreError> {
        if let Some(current) = self.state().leases.get_mut(&lease.incident)
            && current.holder == lease.holder
            && current.epoch == lease.epoch
        {
            *current = released(current);
        }
        Ok(())
    }

    async fn audit(&self, incident: &IncidentId) -> Result<Audit, StoreError> {
        let state = self.state();
        let stream = state.streams.get(incident);
        let mut walk = ChainWalk::new(incident);
        let rows = stream.map(|stream| stream.rows.as_slice()).unwrap_or_default();
        let broken = rows.iter().find_map(|row| walk.check_row(row).err());
        let broken = broken.or_else(|| walk.check_end(stream.map(|stream| &stream.head)).err());
        Ok(report(&walk, broken))
    }

    async fn check_writable(&self) -> Result<(), StoreError> {
        Ok(())
    }

    async fn inspect(&self) -> Result<(), StoreError> {
        Ok(())
    }
}
