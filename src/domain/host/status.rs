//! The state of a project at one moment: a row per service and datastore, problems first.
//!
//! A row joins two sources: what systemd reports about the unit, and what the service answers.
//!
//! **Invariant:** what could not be checked is never shown as healthy.

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

/// The longest reason that a row gives: longer ones are bodies of answers, not reasons.
const REASON: usize = 200;

/// What a service is called where a datastore has its kind.
const SERVICE: &str = "service";

/// How well a subject is, the worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum HealthGrade {
    /// It does not run or does not answer.
    Down,
    /// It answers, and something is not as it should be.
    Degraded,
    /// It could not be seen.
    Unknown,
    /// It runs, and says that it is well where it was asked.
    Up,
}

impl HealthGrade {
    /// Every grade, the worst first.
    pub const ALL: [Self; 4] = [Self::Down, Self::Degraded, Self::Unknown, Self::Up];

    /// The word for people.
    pub fn code(self) -> &'static str {
        match self {
            Self::Down => "down",
            Self::Degraded => "degraded",
            Self::Unknown => "unknown",
            Self::Up => "up",
        }
    }
}

/// What is looked at: a service or a datastore of the estate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusSubject {
    /// Its name in the estate.
    pub name: String,
    /// `service`, or the datastore's kind.
    pub kind: String,
    /// Whether the shop is down without it.
    pub critical: bool,
    /// Its unit, with its suffix.
    pub unit: Option<String>,
}

impl StatusSubject {
    /// Whether it is a service.
    pub fn is_service(&self) -> bool {
        self.kind == SERVICE
    }
}

/// Everything that an estate names: its services, then its datastores, each by name.
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

/// What systemd says of a unit.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct UnitState {
    /// The full name, such as `shop-gateway.service`.
    pub name: String,
    /// `active`, `inactive`, `failed`, `activating`, …
    pub active: String,
    /// The unit type's own word: `running`, `dead`, `auto-restart`.
    pub sub: String,
    /// `loaded`, `not-found`, `masked`, …
    pub load: String,
    /// Whether it does what a started unit does; an ended `oneshot` does.
    #[serde(rename = "up")]
    pub is_up: bool,
    /// How its last invocation ended: `success`, `exit-code`, …; read only of a unit that is not up.
    pub result: Option<String>,
    /// How its main process ended: `exited 1`, `killed 9`; read only of a unit that is not up.
    pub exit: Option<String>,
    /// Since when it has been in this state.
    pub since: Option<Timestamp>,
    /// How often systemd restarted it by itself.
    pub restarts: Option<u32>,
    /// Memory in use, in bytes.
    pub memory: Option<u64>,
}

impl UnitState {
    /// Whether systemd knows no such unit.
    pub fn is_missing(&self) -> bool {
        self.load == "not-found"
    }

    /// Its state in one word.
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
            Some("oom-kill") => Some("killed for want of memory"),
            Some("timeout") => Some("not ready in its time"),
            result => self.exit.as_deref().or(result.filter(|result| *result != "success")),
        };
        match (self.code(), why) {
            ("missing", _) => "not installed".to_owned(),
            (word @ ("failed" | "restarting"), Some(why)) => format!("{word}: {why}"),
            ("inactive", _) => "stopped".to_owned(),
            (word, _) => word.to_owned(),
        }
    }
}

/// What a subject answers itself.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Probe {
    /// Whether it lives; none when it could not be asked.
    pub live: Option<bool>,
    /// Whether it is ready; none where it says nothing of that.
    pub ready: Option<bool>,
    /// How long the answer took, in milliseconds.
    pub latency_ms: Option<u64>,
    /// What it says of what it leans on.
    pub dependencies: BTreeMap<String, String>,
    /// What is wrong, in a few words; or why it could not be asked.
    pub trouble: Option<String>,
    /// What is odd about an answer that is taken all the same.
    pub remark: Option<String>,
}

impl Probe {
    /// It could not be asked.
    pub fn unasked(why: impl Into<String>) -> Self {
        Self { trouble: Some(why.into()), ..Self::default() }
    }

    /// It did not answer, or not well.
    pub fn dead(why: impl Into<String>) -> Self {
        Self { live: Some(false), ..Self::unasked(why) }
    }
}

/// What is known of a unit: nothing was asked, what systemd says, or that it cannot be reached.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Sighting {
    /// There is no unit, or it has not been looked at yet.
    #[default]
    None,
    /// What systemd says.
    Seen(UnitState),
    /// systemd cannot be reached.
    Blind,
}

/// One subject, judged.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StatusRow {
    /// Its name in the estate.
    pub name: String,
    /// `service`, or the datastore's kind.
    pub kind: String,
    /// Whether the shop is down without it.
    pub critical: bool,
    /// How well it is.
    #[serde(rename = "state")]
    pub grade: HealthGrade,
    /// Why it is not better, or what is odd about it.
    pub reason: Option<String>,
    /// Its unit.
    pub unit: Sighting,
    /// Its own answer; none when it was not asked.
    pub health: Option<Probe>,
}

impl StatusRow {
    /// What is known of a subject, judged.
    pub fn of(subject: &StatusSubject, unit: Sighting, health: Option<Probe>) -> Self {
        let (grade, reason) = judged(&unit, health.as_ref());
        Self {
            name: subject.name.clone(),
            kind: subject.kind.clone(),
            critical: subject.critical,
            grade,
            reason: reason.map(|reason| one_line(&reason, REASON)),
            unit,
            health,
        }
    }

    /// Whether it is a service.
    pub fn is_service(&self) -> bool {
        self.kind == SERVICE
    }

    /// What systemd says, where it says anything.
    pub fn seen(&self) -> Option<&UnitState> {
        match &self.unit {
            Sighting::Seen(unit) => Some(unit),
            Sighting::None | Sighting::Blind => None,
        }
    }

    /// How long its answer took, in milliseconds.
    pub fn latency_ms(&self) -> Option<u64> {
        self.health.as_ref()?.latency_ms
    }

    /// What rows are ordered by: trouble first, of that the critical, then services before what they lean on, by name.
    fn rank(&self) -> (HealthGrade, bool, bool, &str) {
        (self.grade, !self.critical, !self.is_service(), &self.name)
    }
}

/// Puts rows in the order in which they are read.
pub fn sort(rows: &mut [StatusRow]) {
    rows.sort_by(|one, other| one.rank().cmp(&other.rank()));
}

/// How many rows are of a grade.
pub fn count(rows: &[StatusRow], grade: HealthGrade) -> usize {
    rows.iter().filter(|row| row.grade == grade).count()
}

fn judged(unit: &Sighting, health: Option<&Probe>) -> (HealthGrade, Option<String>) {
    let trouble = health.and_then(|health| health.trouble.clone());
    let live = health.and_then(|health| health.live);
    if let Sighting::Seen(unit) = unit
        && !unit.is_up
    {
        return match (live, unit.code()) {
            (Some(true), word) => (HealthGrade::Degraded, Some(format!("it answers, and its unit is {word}"))),
            (_, "starting") => (HealthGrade::Degraded, Some("starting".to_owned())),
            _ => (HealthGrade::Down, Some(unit.down_reason())),
        };
    }
    match (live, health.and_then(|health| health.ready), unit) {
        (Some(false), ..) => (HealthGrade::Down, trouble),
        (Some(true), Some(false), _) => (HealthGrade::Degraded, trouble),
        (Some(true), ..) => (HealthGrade::Up, health.and_then(|health| health.remark.clone())),
        // It could not be asked: its unit alone does not say that it is well.
        (None, ..) if trouble.is_some() => (HealthGrade::Unknown, trouble),
        (None, _, Sighting::Seen(_)) => (HealthGrade::Up, None),
        (None, _, Sighting::Blind) => (HealthGrade::Unknown, Some("systemd cannot be reached".to_owned())),
        (None, _, Sighting::None) => (HealthGrade::Unknown, Some("nobody has been asked".to_owned())),
    }
}

#[cfg(test)]
mod tests;
