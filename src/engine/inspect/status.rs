//! Reads the status of a whole project: systemd's state of every unit, and the responses of services and datastores. It
//! changes nothing and needs no log.
//!
//! **Invariant:** no subject delays another: each probe has its own limit, and one call reads the states of all units.

use std::collections::HashMap;
use std::pin::pin;
use std::time::Duration;

use futures_util::future::join_all;
use serde::Serialize;
use tokio::sync::Semaphore;

use self::probe::{connect_host, probe};
use crate::actions::Context;
use crate::actions::kinds::systemd::list::list_states;
use crate::clock::{self, SharedClock};
use crate::domain::config::estate::Estate;
use crate::domain::core::time::Timestamp;
use crate::domain::host::status;
use crate::domain::host::status::{Probe, StatusRow, StatusSubject, UnitObservation, UnitState};
use crate::engine::catalog::Catalog;

pub use crate::actions::kinds::systemd::watch::UnitWatch;

mod probe;

/// The most probes that start at the same time. More would skew the latencies.
const CONCURRENT_PROBES: usize = 4;

/// How long a probe occupies a slot. A slower probe continues without one.
const SLOT_TIME: Duration = Duration::from_millis(50);

/// As [`SLOT_TIME`], for a host over SSH, where each probe needs a process.
const REMOTE_SLOT_TIME: Duration = Duration::from_millis(500);

/// Reads the status of a project's subjects.
#[derive(Debug)]
pub struct StatusSurvey {
    context: Context,
    subjects: Vec<StatusSubject>,
    /// Limit for one probe; without it, nothing is probed.
    limit: Option<Duration>,
    slots: Semaphore,
}

/// systemd's states of the units by name, or the error when systemd cannot be reached.
pub type Units = Result<HashMap<String, UnitState>, String>;

/// The status at one instant.
#[derive(Debug, Serialize)]
pub struct StatusReport {
    pub at: Timestamp,
    pub environment: String,
    /// The error when systemd cannot be reached.
    pub systemd: Option<String>,
    /// Every subject, failures first.
    pub rows: Vec<StatusRow>,
}

impl StatusSurvey {
    /// A survey of these subjects. Each probe may take `limit`; without a limit, only units are read.
    pub fn new(context: Context, mut subjects: Vec<StatusSubject>, limit: Option<Duration>) -> Self {
        if limit.is_none() {
            // Without a probe, nothing is known of a subject without a unit.
            subjects.retain(|subject| subject.unit.is_some());
        }
        Self { context, subjects, limit, slots: Semaphore::new(CONCURRENT_PROBES) }
    }

    /// The subjects in the estate's order.
    pub fn subjects(&self) -> &[StatusSubject] {
        &self.subjects
    }

    /// The name of the surveyed environment.
    pub fn environment(&self) -> &str {
        &self.context.environment_name
    }

    /// The estate with the subjects.
    pub fn estate(&self) -> &Estate {
        &self.context.estate
    }

    /// The clock that times the probes.
    pub fn clock(&self) -> &SharedClock {
        &self.context.clock
    }

    /// Whether subjects are probed.
    pub fn probes(&self) -> bool {
        self.limit.is_some()
    }

    /// systemd's states of all units.
    pub async fn units(&self) -> Units {
        let names = self.names();
        if names.is_empty() { Ok(HashMap::new()) } else { list_states(&names, &self.context).await }
    }

    /// Subscribes to changes of the units.
    ///
    /// # Errors
    /// The reason why systemd cannot be reached.
    pub async fn unit_watch(&self) -> Result<UnitWatch, String> {
        UnitWatch::take(&self.names(), &self.context).await
    }

    fn names(&self) -> Vec<&str> {
        self.subjects.iter().filter_map(|subject| subject.unit.as_deref()).collect()
    }

    /// Probes one subject; `None` if there is nothing to probe.
    pub async fn probe(&self, subject: &StatusSubject) -> Option<Probe> {
        let limit = self.limit?;
        if let Err(unasked) = connect_host(subject, &self.context).await {
            return Some(unasked);
        }
        // The semaphore is never closed.
        let permit = self.slots.acquire().await.ok()?;
        let mut probing = pin!(probe(subject, limit, &self.context));
        tokio::select! {
            probe = &mut probing => return probe,
            () = clock::sleep(&*self.context.clock, self.slot_time()) => drop(permit),
        }
        probing.await
    }

    fn slot_time(&self) -> Duration {
        if self.context.environment.host.ssh().is_some() { REMOTE_SLOT_TIME } else { SLOT_TIME }
    }

    /// Reads all units and probes all subjects once.
    pub async fn read_all(&self) -> StatusReport {
        let probes = join_all(self.subjects.iter().map(|subject| self.probe(subject)));
        let (units, probes) = futures_util::join!(self.units(), probes);
        let probed = self.subjects.iter().zip(probes);
        let mut rows: Vec<StatusRow> =
            probed.map(|(subject, probe)| StatusRow::of(subject, unit_observation(subject, &units), probe)).collect();
        status::sort(&mut rows);
        let (at, environment) = (self.context.clock.now(), self.environment().to_owned());
        StatusReport { at, environment, systemd: units.err(), rows }
    }
}

/// systemd's state of a subject's unit, if it is known.
pub fn unit_observation(subject: &StatusSubject, units: &Units) -> UnitObservation {
    match (&subject.unit, units) {
        (None, _) => UnitObservation::None,
        (Some(_), Err(_)) => UnitObservation::Unreachable,
        (Some(name), Ok(units)) => {
            units.get(name).cloned().map_or(UnitObservation::Unreachable, UnitObservation::Reported)
        }
    }
}

/// The arguments that start the suggested runbook for a row, without the program's name.
pub fn start_arguments(row: &StatusRow, catalog: &Catalog, environment: &str) -> Option<Vec<String>> {
    let remedy = status::remedy(row, catalog.valid_runbooks(), environment)?;
    let mut arguments = vec!["start".to_owned(), remedy.runbook, "--env".to_owned(), environment.to_owned()];
    arguments
        .extend(remedy.param.into_iter().flat_map(|param| ["--param".to_owned(), format!("{param}={}", row.name)]));
    Some(arguments)
}
