//! The timeline: what has happened, a line an event, for people.
//!
//! Every event has an entry; those that a reader in a hurry can do without are not `notable`. A reading that is
//! repeated until it holds is one attempt, so it is one line here.
//!
//! **Invariant:** no entry holds a control character or a line break, whatever the log holds; the same log gives the
//! same entries; a log that does not fold still gives every line, with keys where names cannot be known.

#![deny(clippy::wildcard_enum_match_arm)]

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::core::id::{RunId, StepKey, StepPart};
use crate::domain::core::text::one_line;
use crate::domain::core::time::Timestamp;
use crate::domain::incident;
use crate::domain::incident::Incident;
use crate::domain::incident::event::{Delivery, Event, IncidentEvent, Recorded, RunEvent, StepEvent};
use crate::domain::incident::run::Run;

mod alert;
mod deadline;
mod line;
mod people;
mod phrase;
mod schedule;

use crate::domain::report::timeline::line::Phrase;
pub use crate::domain::report::timeline::line::Sign;

/// The longest text of an entry, in characters; what is cut off is in the entry's `detail`.
pub const TEXT_LIMIT: usize = 240;

/// The longest name of a step, in characters.
const NAME_LIMIT: usize = 100;

/// What has happened, in order.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Timeline {
    /// An entry an event.
    pub entries: Vec<TimelineEntry>,
}

/// One line.
#[derive(Debug, Clone, PartialEq)]
pub struct TimelineEntry {
    /// The event's number.
    pub seq: u64,
    pub at: Timestamp,
    /// Who: a person's name, or `runbook`.
    pub who: String,
    /// What sort of line it is.
    pub sign: Sign,
    /// What happened, on one line.
    pub text: String,
    /// More, for who asks for it; on one line as well.
    pub detail: Option<String>,
    /// Whether a reader in a hurry wants it.
    pub notable: bool,
    /// The run and the step that it is about.
    pub place: Option<(RunId, StepKey)>,
}

impl Timeline {
    /// The timeline of a log.
    pub fn of(log: &[Recorded]) -> Self {
        let mut reader = TimelineReader::default();
        let mut entries: Vec<TimelineEntry> = log.iter().map(|recorded| reader.read(recorded)).collect();
        // What has begun and not ended is the most important thing to know of a log that goes no further.
        for seq in reader.unfinished.values() {
            if let Some(entry) = entries.iter_mut().find(|entry| entry.seq == *seq) {
                entry.notable = true;
            }
        }
        Self { entries }
    }

    /// The lines for a reader in a hurry.
    pub fn notable(&self) -> impl Iterator<Item = &TimelineEntry> {
        self.entries.iter().filter(|entry| entry.notable)
    }
}

/// Reads a log from its beginning: an entry is worded by what was true just before its event.
#[derive(Debug, Default)]
pub(crate) struct TimelineReader {
    incident: Option<Incident>,
    names: BTreeMap<(RunId, StepKey), String>,
    /// Steps that have tried to tell somebody something: what became of it is in those lines already.
    tellers: BTreeSet<(RunId, StepKey)>,
    /// Attempts that have begun and not ended, by the event that began them.
    unfinished: BTreeMap<(RunId, StepKey), u64>,
}

impl TimelineReader {
    fn read(&mut self, recorded: &Recorded) -> TimelineEntry {
        let place = place(&recorded.event);
        // A run's own copy of its runbook is needed to word its first event.
        if matches!(
            recorded.event,
            Event::Incident(IncidentEvent::Opened { .. }) | Event::Run(RunEvent::Started { .. })
        ) {
            self.apply(recorded);
        }
        let phrase = phrase::of(self, recorded);
        self.apply(recorded);
        self.remember(recorded);
        entry(recorded, phrase, place)
    }

    fn apply(&mut self, recorded: &Recorded) {
        if self.incident.as_ref().is_none_or(|incident| incident.seq < recorded.seq) {
            // A log that does not fold is shown as far as it can be; `runbook verify` says what is wrong with it.
            let _ = incident::extend(&mut self.incident, std::slice::from_ref(recorded));
        }
    }

    fn remember(&mut self, recorded: &Recorded) {
        match &recorded.event {
            Event::Step(event) => self.remember_step(event, recorded.seq),
            Event::Message(event) => {
                let place = event.delivery().and_then(Delivery::step);
                self.tellers.extend(place.map(|(run, step)| (run, step.clone())));
            }
            Event::Incident(_) | Event::Alert(_) | Event::Deadline(_) | Event::Role(_) | Event::Run(_) => {}
        }
    }

    fn remember_step(&mut self, event: &StepEvent, seq: u64) {
        let (run, step) = event.place();
        match event {
            StepEvent::Started { .. } => {
                self.unfinished.insert((run, step.clone()), seq);
            }
            StepEvent::Ended { .. } | StepEvent::Reconciled { .. } => {
                self.unfinished.remove(&(run, step.clone()));
            }
            StepEvent::Skipped { .. }
            | StepEvent::Expanded { .. }
            | StepEvent::Asked { .. }
            | StepEvent::Answered { .. }
            | StepEvent::Approved { .. }
            | StepEvent::Denied { .. }
            | StepEvent::RetryScheduled { .. }
            | StepEvent::Concluded { .. }
            | StepEvent::UndoRequested { .. } => {}
        }
    }

    /// The run, as it was before the event.
    pub(crate) fn run(&self, run: RunId) -> Option<&Run> {
        self.incident.as_ref()?.run(run)
    }

    /// The incident, as it was before the event.
    pub(crate) fn incident(&self) -> Option<&Incident> {
        self.incident.as_ref()
    }

    /// Whether the step has tried to tell somebody something.
    pub(crate) fn has_notified(&self, run: RunId, key: &StepKey) -> bool {
        self.tellers.contains(&(run, key.clone()))
    }

    /// What people call a step, as it was called when it was first spoken of.
    pub(crate) fn name(&mut self, run: RunId, key: &StepKey) -> String {
        let main = key.part(StepPart::Main);
        let known = self.names.get(&(run, main.clone())).cloned();
        let name = known.unwrap_or_else(|| {
            let incident = self.incident.as_ref();
            let name = incident.and_then(|incident| name(incident, incident.run(run)?, &main));
            let name = name.unwrap_or_else(|| main.to_string());
            self.names.insert((run, main), name.clone());
            name
        });
        match key.part {
            StepPart::Main => name,
            StepPart::Verify => format!("check of {name}"),
            StepPart::Undo => format!("taking back {name}"),
        }
    }
}

/// One line for who was told, who was not, who has which role and who was refused; none for any other event.
pub fn of_people(incident: &Incident, recorded: &Recorded) -> Option<(Sign, String)> {
    let phrase = match &recorded.event {
        Event::Role(event) => people::role(Some(incident), event, recorded.by.name()),
        Event::Message(event) => people::message(Some(incident), event),
        Event::Incident(IncidentEvent::SeverityChanged(to)) => people::regraded(Some(incident), *to),
        Event::Incident(
            IncidentEvent::Opened { .. }
            | IncidentEvent::Acknowledged
            | IncidentEvent::NoteAdded { .. }
            | IncidentEvent::RunProposed(_)
            | IncidentEvent::OccurrenceSkipped(_)
            | IncidentEvent::Resolved { .. }
            | IncidentEvent::PostmortemWritten { .. }
            | IncidentEvent::ReportWritten { .. }
            | IncidentEvent::PostmortemCompleted,
        )
        | Event::Alert(_)
        | Event::Deadline(_)
        | Event::Run(_)
        | Event::Step(_) => return None,
    };
    (phrase.sign != Sign::Inner).then(|| (phrase.sign, one_line(&phrase.text, TEXT_LIMIT)))
}

/// What a step is called in its runbook, templates filled in; the item is named where the name does not say it.
pub(crate) fn name(incident: &Incident, run: &Run, key: &StepKey) -> Option<String> {
    let step = run.runbook.step(&key.id)?;
    let name = crate::domain::incident::template_scope::text(incident, run, key, &step.name).ok()?;
    let name = one_line(&name, NAME_LIMIT);
    if name.is_empty() {
        return None;
    }
    let item = crate::domain::incident::template_scope::item(run, key).filter(|_| !step.name.contains('{'));
    Some(match item {
        None => name,
        Some(serde_json::Value::String(item)) => format!("{name} ({})", one_line(item, NAME_LIMIT)),
        Some(item) => format!("{name} ({})", one_line(&item.to_string(), NAME_LIMIT)),
    })
}

fn entry(recorded: &Recorded, phrase: Phrase, place: Option<(RunId, StepKey)>) -> TimelineEntry {
    let text = one_line(&phrase.text, TEXT_LIMIT);
    let whole = one_line(&phrase.text, crate::domain::incident::command::WORDS_LIMIT);
    let cut = (whole != text).then_some(whole);
    TimelineEntry {
        seq: recorded.seq,
        at: recorded.at,
        who: one_line(recorded.by.name(), NAME_LIMIT),
        sign: phrase.sign,
        detail: phrase.detail.map(|detail| one_line(&detail, crate::domain::incident::command::WORDS_LIMIT)).or(cut),
        text,
        notable: phrase.notable,
        place,
    }
}

/// The run and step that an event is about.
pub(crate) fn place(event: &Event) -> Option<(RunId, StepKey)> {
    crate::domain::incident::step::place(event).map(|(run, step)| (run, step.clone()))
}

#[cfg(test)]
mod tests;
