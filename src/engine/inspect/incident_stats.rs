//! Measures past incidents. Reads the log page by page.
//!
//! **Invariant:** the log of only one incident is in memory at a time. Its measures have a few hundred bytes.
//!
//! Not here: the statistics themselves; see [`crate::domain::report::stats::summary`].

use std::collections::HashSet;

use crate::domain::core::id::IncidentId;
use crate::domain::core::time::Timestamp;
use crate::domain::incident::fold;
use crate::domain::report::stats::Measure;
use crate::engine::{Engine, EngineError};
use crate::store::StoreError;

/// Incidents per page: so many that most time is spent on their logs.
const PAGE: u32 = 200;

/// The measures of past incidents, and the incidents without measures.
#[derive(Debug, Default)]
pub struct Measures {
    /// Incidents that can be measured.
    pub measures: Vec<Measure>,
    /// The number of rehearsals, which are left out.
    pub rehearsals: u64,
    /// Incidents whose log cannot be read.
    pub damaged: Vec<IncidentId>,
}

impl Engine {
    /// Measures every incident opened at `since` or later.
    ///
    /// # Errors
    /// If the store cannot be read. An incident with a damaged log is listed and does not affect the others.
    pub async fn measures(&self, since: Timestamp) -> Result<Measures, EngineError> {
        let store = &self.parts().store;
        let (mut found, mut measured, mut offset) = (Measures::default(), HashSet::new(), 0);
        loop {
            let page = store.incidents(PAGE, offset).await?;
            for summary in page.iter().filter(|summary| summary.opened_at >= since) {
                // An incident that changes during the loop moves to the first page, and the last of this page to the next.
                if measured.insert(summary.id.clone()) {
                    self.measure(&summary.id, &mut found).await?;
                }
            }
            // The order is by the last change, which is not before the opening. So older pages have no further incident.
            let over = page.last().is_none_or(|last| last.changed_at < since);
            if over || page.len() < PAGE as usize {
                return Ok(found);
            }
            offset = offset.saturating_add(PAGE);
        }
    }

    async fn measure(&self, id: &IncidentId, into: &mut Measures) -> Result<(), EngineError> {
        let log = match self.parts().store.read(id, 0).await {
            Ok(log) => log,
            Err(StoreError::Damaged(_)) => {
                into.damaged.push(id.clone());
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        };
        match fold(&log) {
            // Maintenance incidents are not measured.
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
