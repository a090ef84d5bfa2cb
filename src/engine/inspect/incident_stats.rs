//! Measures of past incidents, read from the log a page at a time.
//!
//! **Invariant:** one log is in memory at a time; of those that were read only the measures stay, a few hundred bytes each.
//!
//! Deliberately absent: what the measures come to; see [`crate::domain::report::stats::summary`].

use std::collections::HashSet;

use crate::domain::core::id::IncidentId;
use crate::domain::core::time::Timestamp;
use crate::domain::incident::fold;
use crate::domain::report::stats::Measure;
use crate::engine::{Engine, EngineError};
use crate::store::StoreError;

/// How many lines of the list of incidents are read at once: enough that the reading of logs is what takes the time.
const PAGE: u32 = 200;

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

impl Engine {
    /// Measures every incident that was opened at `since` or later.
    ///
    /// # Errors
    /// When the store cannot be read at all. A log that is damaged is named, and hides no other.
    pub async fn measures(&self, since: Timestamp) -> Result<Measures, EngineError> {
        let store = &self.parts().store;
        let (mut found, mut seen, mut offset) = (Measures::default(), HashSet::new(), 0);
        loop {
            let page = store.incidents(PAGE, offset).await?;
            for summary in page.iter().filter(|summary| summary.opened_at >= since) {
                // An incident that changes meanwhile moves to the front, and pushes another onto the next page once more.
                if seen.insert(summary.id.clone()) {
                    self.look_at(&summary.id, &mut found).await?;
                }
            }
            // The one changed last stands first, and none changed before it was opened.
            let over = page.last().is_none_or(|last| last.changed_at < since);
            if over || page.len() < PAGE as usize {
                return Ok(found);
            }
            offset = offset.saturating_add(PAGE);
        }
    }

    async fn look_at(&self, id: &IncidentId, into: &mut Measures) -> Result<(), EngineError> {
        let log = match self.parts().store.read(id, 0).await {
            Ok(log) => log,
            Err(StoreError::Damaged(_)) => {
                into.damaged.push(id.clone());
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        };
        match fold(&log) {
            // Planned work is no incident.
            Ok(Some(incident)) if incident.is_maintenance() => {}
            Ok(Some(incident)) => match Measure::of(&incident, &log) {
                Some(measure) => into.measures.push(measure),
                None => into.rehearsals += 1,
            },
            Ok(None) => {}
            Err(_) => into.damaged.push(id.clone()),
        }
        Ok(())
    }
}
