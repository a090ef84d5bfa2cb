//! The state of a project at one moment: a row per service and datastore, problems first.
//!
//! A row joins two sources: the state of the unit that systemd reports, and the answer of the service's health endpoints.
//!
//! **Invariant:** a subject that could not be checked is never shown as healthy.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::domain::config::estate::{Criticality, Estate};
use crate::domain::core::glob_name::suffixed;
use crate::domain::core::text::one_line;
use crate::domain::core::time::Timestamp;

mod change;
mod remedy;

pub use self::change::changes;
pub use self::remedy::{Remedy, remedy};

/// The longest reason of a row, in characters. A longer one is the body of an answer.
const REASON_LIMIT: usize = 200;

/// The kind of a service; a datastore has its own.
const SERVICE: &str = "service";

/// The health of a subject, the worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum HealthGrade {
    /// It does not run or does not answer.
    Down,
    /// It starts, or it answers and is not ready, or it answers and its unit is not up.
    Degraded,
    /// It could not be checked.
    Unknown,
    /// It runs, and if its health was checked, it is ready.
    Up,
}

impl HealthGrade {
    /// Every grade, the worst first.
    pub const ALL: [Self; 4] = [Self::Down, Self::Degraded, Self::Unknown, Self::Up];

    /// Its name, for people and in JSON.
    pub fn code(self) -> &'static str {
        match self {
            Self::Down => "down",
            Self::Degraded => "degraded",
            Self::Unknown => "unknown",
            Self::Up => "up",
        }
    }
}

/// A service or a datastore of the estate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusSubject {
    /// Its name in the estate.
    pub name: String,
    /// `service`, or the datastore's kind.
    pub kind: String,
    /// Whether the platform is down without it.
    pub critical: bool,
    /// The full name of its unit.
    pub unit: Option<String>,
}

impl StatusSubject {
    /// Whether it is a service.
    pub fn is_service(&self) -> bool {
        self.kind == SERVICE
    }
}

/// The services of an estate by name, then its datastores by name.
pub fn subjects(estate: &Estate) -> Vec<StatusSubject> {
    let services = estate.services.iter().map(|(name, service)| StatusSubject {
        name: name.clone(),
        kind: SERVICE.to_owned(),
        critical: service.criticality == Criticality::Critical,
        unit: Some(suffixed(service.unit.clone())),
    });
    let stores = estate.datastores.iter().map(|(name, store)| StatusSubject {
        name: name.clone(),
        kind: store.kind.clone(),
        critical: false,
        unit: store.unit.clone().map(suffixed),
    });
    services.chain(stores).collect()
}

/// The state of a unit as systemd reports it.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct UnitState {
    /// The full name, such as `shop-gateway.service`.
    pub name: String,
    /// `ActiveState`: `active`, `inactive`, `failed`, `activating`, …
    pub active: String,
    /// `SubState`, which depends on the type of unit: `running`, `dead`, `auto-restart`.
    pub sub: String,
    /// `LoadState`: `loaded`, `not-found`, `masked`, …
    pub load: String,
    /// Whether it is started; a `oneshot` that has ended may be.
    #[serde(rename = "up")]
    pub is_up: bool,
    /// `Result` of its last invocation: `success`, `exit-code`, …; only for a unit that is not up.
    pub result: Option<String>,
    /// How its main process ended: `exited 1`, `killed 9`; only for a unit that is not up.
    pub exit: Option<String>,
    /// Since when it has been in this state.
    pub since: Option<Timestamp>,
    /// How often systemd restarted it automatically.
    pub restarts: Option<u32>,
    /// The memory in use, in bytes.
    pub memory: Option<u64>,
}

impl UnitState {
    /// Whether systemd has no such unit.
    pub fn is_missing(&self) -> bool {
        self.load == "not-found"
    }

    /// A short name of its state.
    pub fn code(&self) -> &str {
        match (self.load.as_str(), self.active.as_str(), self.sub.as_str()) {
            ("not-found", ..) => "missing",
            ("masked", ..) => "masked",
            (_, "activating", "auto-restart") => "restarting",
            (_, "activating", _) => "starting",
            (_, "deactivating", _) => "stopping",
            (_, active, _) => active,
        }
    }

    /// Why it is not up.
    fn down_reason(&self) -> String {
        let why = match self.result.as_deref() {
            Some("start-limit-hit") => Some("started too often"),
            Some("oom-kill") => Some("killed, out of memory"),
            Some("timeout") => Some("timed out"),
            result => self.exit.as_deref().or(result.filter(|result| *result != "success")),
        };
        match (self.code(), why) {
            ("missing", _) => "not installed".to_owned(),
            (code @ ("failed" | "restarting"), Some(why)) => format!("{code}: {why}"),
            ("inactive", _) => "stopped".to_owned(),
            (code, _) => code.to_owned(),
        }
    }
}

/// The result of a health check of a subject.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Probe {
    /// Whether it is alive; none if the check could not be made.
    pub live: Option<bool>,
    /// Whether it is ready; none if it does not report that.
    pub ready: Option<bool>,
    /// How long the answer took, in milliseconds.
    pub latency_ms: Option<u64>,
    /// The states of its dependencies that it reports.
    pub dependencies: BTreeMap<String, String>,
    /// Why it is not alive, not ready, or could not be checked.
    #[serde(rename = "trouble")]
    pub error: Option<String>,
    /// A remark on an answer that is accepted although it is unusual.
    pub remark: Option<String>,
}

impl Probe {
    /// The check could not be made.
    pub fn not_probed(why: impl Into<String>) -> Self {
        Self { error: Some(why.into()), ..Self::default() }
    }

    /// It did not answer, or reports that it is not alive.
    pub fn not_alive(why: impl Into<String>) -> Self {
        Self { live: Some(false), ..Self::not_probed(why) }
    }
}

/// The observed state of a subject's unit.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(untagged)]
pub enum UnitObservation {
    /// The subject has no unit, or it has not been checked yet.
    #[default]
    None,
    /// systemd's report.
    Reported(UnitState),
    /// systemd cannot be reached.
    Unreachable,
}

/// The status of one subject.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StatusRow {
    /// Its name in the estate.
    pub name: String,
    /// `service`, or the datastore's kind.
    pub kind: String,
    /// Whether the platform is down without it.
    pub critical: bool,
    #[serde(rename = "state")]
    pub grade: HealthGrade,
    /// The reason of the grade, or the remark on an unusual answer.
    pub reason: Option<String>,
    pub unit: UnitObservation,
    /// The result of the health check; none if there was none.
    pub health: Option<Probe>,
}

impl StatusRow {
    /// The status of a subject, by its unit and its health check.
    pub fn of(subject: &StatusSubject, unit: UnitObservation, health: Option<Probe>) -> Self {
        let (grade, reason) = graded(&unit, health.as_ref());
        Self {
            name: subject.name.clone(),
            kind: subject.kind.clone(),
            critical: subject.critical,
            grade,
            reason: reason.map(|reason| one_line(&reason, REASON_LIMIT)),
            unit,
            health,
        }
    }

    /// Whether it is a service.
    pub fn is_service(&self) -> bool {
        self.kind == SERVICE
    }

    /// The state of its unit, if systemd reported one.
    pub fn seen(&self) -> Option<&UnitState> {
        match &self.unit {
            UnitObservation::Reported(unit) => Some(unit),
            UnitObservation::None | UnitObservation::Unreachable => None,
        }
    }

    /// How long the health check took, in milliseconds.
    pub fn latency_ms(&self) -> Option<u64> {
        self.health.as_ref()?.latency_ms
    }

    /// The order of rows: the worst grade first, then critical ones, then services before datastores, then by name.
    fn rank(&self) -> (HealthGrade, bool, bool, &str) {
        (self.grade, !self.critical, !self.is_service(), &self.name)
    }
}

/// Sorts rows for reading, problems first.
pub fn sort(rows: &mut [StatusRow]) {
    rows.sort_by(|one, other| one.rank().cmp(&other.rank()));
}

/// The number of rows with a grade.
pub fn count(rows: &[StatusRow], grade: HealthGrade) -> usize {
    rows.iter().filter(|row| row.grade == grade).count()
}

/// The grade of a subject and its reason.
fn graded(unit: &UnitObservation, health: Option<&Probe>) -> (HealthGrade, Option<String>) {
    let error = health.and_then(|health| health.error.clone());
    let live = health.and_then(|health| health.live);
    if let UnitObservation::Reported(unit) = unit
        && !unit.is_up
    {
        return match (live, unit.code()) {
            (Some(true), code) => (HealthGrade::Degraded, Some(format!("it answers, and its unit is {code}"))),
            (_, "starting") => (HealthGrade::Degraded, Some("starting".to_owned())),
            _ => (HealthGrade::Down, Some(unit.down_reason())),
        };
    }
    match (live, health.and_then(|health| health.ready), unit) {
        (Some(false), ..) => (HealthGrade::Down, error),
        (Some(true), Some(false), _) => (HealthGrade::Degraded, error),
        (Some(true), ..) => (HealthGrade::Up, health.and_then(|health| health.remark.clone())),
        // The health check could not be made, and a started unit alone may be unhealthy.
        (None, ..) if error.is_some() => (HealthGrade::Unknown, error),
        (None, _, UnitObservation::Reported(_)) => (HealthGrade::Up, None),
        (None, _, UnitObservation::Unreachable) => (HealthGrade::Unknown, Some("systemd cannot be reached".to_owned())),
        (None, _, UnitObservation::None) => (HealthGrade::Unknown, Some("not checked".to_owned())),
    }
}

#[cfg(test)]
mod tests;
