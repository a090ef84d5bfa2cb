//! The timeline: one entry for each event, for people.
//!
//! An entry that is not `notable` is left out of short timelines.
//!
//! **Invariant:** no entry contains a control character or a line break. The same log gives the same entries. A log that does not
//! fold still gives an entry for every event, with keys in place of unknown names.

#![deny(clippy::wildcard_enum_match_arm)]

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::core::id::{RunId, StepKey, StepPart};
use crate::domain::core::text::one_line;
use crate::domain::core::time::Timestamp;
use crate::domain::incident;
use crate::domain::incident::event::{Delivery, Event, IncidentEvent, Recorded, RunEvent, StepEvent};
use crate::domain::incident::run::Run;
use crate::domain::incident::{Incident, command, template_scope};

mod alert;
mod deadline;
mod line;
mod people;
mod phrase;
mod schedule;

use crate::domain::report::timeline::line::Phrase;
pub use crate::domain::report::timeline::line::Sign;

/// The longest text of an entry, in characters. If the text is cut, the whole text is in the entry's `detail`.
pub const TEXT_LIMIT: usize = 240;

/// The longest name of a step, in characters.
const NAME_LIMIT: usize = 100;

/// The entries of a log, in its order.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Timeline {
    /// One entry for each event.
    pub entries: Vec<TimelineEntry>,
}

/// An entry of the timeline.
#[derive(Debug, Clone, PartialEq)]
pub struct TimelineEntry {
    /// The event's number.
    pub seq: u64,
    pub at: Timestamp,
    /// A person's name, or `runbook`.
    pub who: String,
    pub sign: Sign,
    /// One line.
    pub text: String,
    /// Details on one line, for long timelines.
    pub detail: Option<String>,
    /// Whether the entry is in short timelines.
    pub notable: bool,
    /// The run and step of the event.
    pub place: Option<(RunId, StepKey)>,
}

impl Timeline {
    /// The timeline of a log.
    pub fn of(log: &[Recorded]) -> Self {
        let mut reader = TimelineReader::default();
        let mut entries: Vec<TimelineEntry> = log.iter().map(|recorded| reader.read(recorded)).collect();
        // Attempts that have not ended are notable: they are the last thing that is known of them.
        for seq in reader.unfinished.values() {
            if let Some(entry) = entries.iter_mut().find(|entry| entry.seq == *seq) {
                entry.notable = true;
            }
        }
        Self { entries }
    }

    /// The entries of a short timeline.
    pub fn notable(&self) -> impl Iterator<Item = &TimelineEntry> {
        self.entries.iter().filter(|entry| entry.notable)
    }
}

/// Reads a log from its beginning. The text of an entry depends on the incident just before its event.
#[derive(Debug, Default)]
pub(crate) struct TimelineReader {
    incident: Option<Incident>,
    names: BTreeMap<(RunId, StepKey), String>,
    /// Steps with a delivery in the log: the result of such a step is already in the entries of its deliveries.
    notifying: BTreeSet<(RunId, StepKey)>,
    /// Attempts that have not ended, with the number of the event that began them.
    unfinished: BTreeMap<(RunId, StepKey), u64>,
}

impl TimelineReader {
    fn read(&mut self, recorded: &Recorded) -> TimelineEntry {
        let place = place(&recorded.event);
        // The text of these events needs the run that they start.
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
            // A log that does not fold is shown as far as possible; `runbook verify` reports the damage.
            let _ = incident::extend(&mut self.incident, std::slice::from_ref(recorded));
        }
    }

    fn remember(&mut self, recorded: &Recorded) {
        match &recorded.event {
            Event::Step(event) => self.remember_step(event, recorded.seq),
            Event::Message(event) => {
                let place = event.delivery().and_then(Delivery::step);
                self.notifying.extend(place.map(|(run, step)| (run, step.clone())));
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

    /// Whether the log so far has a delivery of the step's message.
    pub(crate) fn has_delivery(&self, run: RunId, key: &StepKey) -> bool {
        self.notifying.contains(&(run, key.clone()))
    }

    /// The name of a step, as it was at the step's first entry.
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

/// The sign and text of an event about people: messages, roles, refusals and severities; none for any other event.
pub fn of_people(incident: &Incident, recorded: &Recorded) -> Option<(Sign, String)> {
    let phrase = match &recorded.event {
        Event::Role(event) => people::role(Some(incident), event, recorded.by.name()),
        Event::Message(event) => people::message(Some(incident), event),
        Event::Incident(IncidentEvent::SeverityChanged(to)) => people::severity_changed(Some(incident), *to),
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
    (phrase.sign != Sign::Internal).then(|| (phrase.sign, one_line(&phrase.text, TEXT_LIMIT)))
}

/// The rendered name of a step. The item of a `for_each` is added, unless the name is a template and so can contain it.
pub(crate) fn name(incident: &Incident, run: &Run, key: &StepKey) -> Option<String> {
    let step = run.runbook.step(&key.id)?;
    let name = template_scope::text(incident, run, key, &step.name).ok()?;
    let name = one_line(&name, NAME_LIMIT);
    if name.is_empty() {
        return None;
    }
    let item = template_scope::item(run, key).filter(|_| !step.name.contains('{'));
    Some(match item {
        None => name,
        Some(serde_json::Value::String(item)) => format!("{name} ({})", one_line(item, NAME_LIMIT)),
        Some(item) => format!("{name} ({})", one_line(&item.to_string(), NAME_LIMIT)),
    })
}

fn entry(recorded: &Recorded, phrase: Phrase, place: Option<(RunId, StepKey)>) -> TimelineEntry {
    let text = one_line(&phrase.text, TEXT_LIMIT);
    let whole = one_line(&phrase.text, command::TEXT_LIMIT);
    let cut = (whole != text).then_some(whole);
    TimelineEntry {
        seq: recorded.seq,
        at: recorded.at,
        who: one_line(recorded.by.name(), NAME_LIMIT),
        sign: phrase.sign,
        detail: phrase.detail.map(|detail| one_line(&detail, command::TEXT_LIMIT)).or(cut),
        text,
        notable: phrase.notable,
        place,
    }
}

/// The run and step of an event.
pub(crate) fn place(event: &Event) -> Option<(RunId, StepKey)> {
    crate::domain::incident::step::place(event).map(|(run, step)| (run, step.clone()))
}

#[cfg(test)]
mod tests;
