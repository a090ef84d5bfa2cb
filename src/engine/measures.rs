//! Measures of past incidents, read from the log a page at a time.
//!
//! **Invariant:** a few logs are in memory at a time; of those that were read only the measures stay, a few hundred bytes each.
//!
//! Deliberately absent: what the measures come to; see [`crate::domain::stats::summary`].

use std::collections::HashSet;
use std::sync::Arc;

use futures_util::{StreamExt, stream};

use super::{Engine, EngineError};
use crate::domain::id::IncidentId;
use crate::domain::incident::fold;
use crate::domain::stats::Measure;
use crate::domain::time::Timestamp;
use crate::store::{EventStore, StoreError};

/// How many lines of the list of incidents are read at once: enough that the reading of logs is what takes the time.
const PAGE: u32 = 200;

/// How many logs are asked of each reader ahead, so that none waits while another log is measured.
const AHEAD: usize = 2;

/// What was found.
#[derive(Debug, Default)]
pub struct Measures {
    /// The incidents that can be measured.
    pub measures: Vec<Measure>,
    /// How many were rehearsals, and are left out.
    pub rehearsals: u64,
    /// Those whose log cannot be read.
    pub damaged: Vec<IncidentId>,
}

/// What one log comes to.
enum Looked {
    Measured(Box<Measure>),
    Rehearsed,
    Passed,
    Damaged(IncidentId),
}

impl Engine {
    /// Measures every incident that was opened at `since` or later. Reading a log and proving it whole takes a processor, so further
    /// `readers` of the same log, if there are any, take turns with the engine's own.
    ///
    /// # Errors
    /// When the store cannot be read at all. A log that is damaged is named, and hides no other.
    pub async fn measures(&self, since: Timestamp, readers: &[Arc<dyn EventStore>]) -> Result<Measures, EngineError> {
        let store = &self.parts().store;
        let all: Vec<&Arc<dyn EventStore>> = std::iter::once(store).chain(readers).collect();
        let (mut found, mut seen, mut offset) = (Measures::default(), HashSet::new(), 0);
        loop {
            let page = store.incidents(PAGE, offset).await?;
            // An incident that changes meanwhile moves to the front, and pushes another onto the next page once more.
            let fresh = page.iter().filter(|summary| summary.opened_at >= since && seen.insert(summary.id.clone()));
            let looks: Vec<_> = fresh.zip(all.iter().cycle()).map(|(one, reader)| look_at(reader, &one.id)).collect();
            let mut looked = stream::iter(looks).buffered(all.len() * AHEAD);
            while let Some(looked) = looked.next().await {
                found.add(looked?);
            }
            // The one changed last stands first, and none changed before it was opened.
            let over = page.last().is_none_or(|last| last.changed_at < since);
            if over || page.len() < PAGE as usize {
                return Ok(found);
            }
            offset = offset.saturating_add(PAGE);
        }
    }
}

impl Measures {
    fn add(&mut self, looked: Looked) {
        match looked {
            Looked::Measured(measure) => self.measures.push(*measure),
            Looked::Rehearsed => self.rehearsals += 1,
            Looked::Passed => {}
            Looked::Damaged(id) => self.damaged.push(id),
        }
    }
}

async fn look_at(store: &Arc<dyn EventStore>, id: &IncidentId) -> Result<Looked, EngineError> {
    let log = match store.read(id, 0).await {
        Ok(log) => log,
        Err(StoreError::Damaged(_)) => return Ok(Looked::Damaged(id.clone())),
        Err(error) => return Err(error.into()),
    };
    Ok(match fold(&log) {
        // Planned work is no incident.
        Ok(Some(incident)) if incident.is_maintenance() => Looked::Passed,
        Ok(Some(incident)) => match Measure::of(&incident, &log) {
            Some(measure) => Looked::Measured(Box::new(measure)),
            None => Looked::Rehearsed,
        },
        Ok(None) => Looked::Passed,
        Err(_) => Looked::Damaged(id.clone()),
    })
}
