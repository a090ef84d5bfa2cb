//! The store: the contract of every backend, and of SQLite also damage, locks, other processes, full disks and SIGKILL.

use chrono::{DateTime, TimeDelta, Utc};
use runbook::domain::core::id::IncidentId;
use runbook::domain::incident::event::{Actor, Event, IncidentEvent};
use runbook::store::NewEvent;

mod contract;
mod damage;
mod file;
mod locks;
mod moved;
mod processes;

/// An incident's id.
fn id(text: &str) -> IncidentId {
    text.parse().unwrap()
}

/// The instant `seconds` after a fixed one.
fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_780_000_000, 0).unwrap() + TimeDelta::seconds(seconds)
}

/// A note by a person, written at second `seconds`.
fn note(seconds: i64, text: impl Into<String>) -> NewEvent {
    NewEvent::new(
        at(seconds),
        Actor::person("ada", "cli"),
        Event::Incident(IncidentEvent::NoteAdded { text: text.into() }),
    )
}

/// This many different notes.
fn notes(count: usize) -> Vec<NewEvent> {
    (0..count).map(|n| note(n.try_into().unwrap(), format!("note {n}"))).collect()
}
