//! The times that are measured, and what each of them means.

#![deny(clippy::wildcard_enum_match_arm)]

use serde::Serialize;

use super::attempt::StepAttempt;
use super::facts;
use super::facts::ChangeFact;
use super::{Length, Moment, margin};
use crate::domain::core::id::{RunId, StepKey, StepPart};
use crate::domain::incident::Incident;
use crate::domain::incident::deadline::{Deadline, DeadlineStatus};
use crate::domain::incident::event::{DeadlineEvent, Event, MessageEvent, Recorded, StepEvent};
use crate::domain::runbook::{DeadlineFrom, StepBody};

/// The phase whose steps take the trouble away, as runbooks call it.
const MITIGATE: &str = "mitigate";

/// One of the times that are measured.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Milestone {
    /// `Detected`, `Opened`, `Acknowledged`, `Notified`, `Mitigated` or `Resolved`.
    pub name: &'static str,
    /// When; none when the log does not say.
    pub at: Option<Moment>,
    /// How long after the opening, or before it.
    pub after: Option<Length>,
    /// Whether it was before the opening.
    pub before_opening: bool,
    /// What the time means, so that numbers of several incidents can be compared.
    pub meaning: &'static str,
}

/// The first notice against its deadline.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Notice {
    /// The deadline's name.
    pub deadline: String,
    /// How much time it gave, from the opening.
    pub within: Length,
    /// When it was due.
    pub due: Moment,
    /// When notice was given; none when it was not.
    pub given: Option<Moment>,
    /// How far before or after it was due that was.
    pub margin: Option<Length>,
    /// Whether it was too late, or has not been given.
    pub late: bool,
}

/// Every milestone, in the order in which they are meant to come.
pub(super) fn of(
    incident: &Incident,
    log: &[Recorded],
    attempts: &[StepAttempt<'_>],
    changes: &[ChangeFact],
) -> Vec<Milestone> {
    let opened = Moment::mark(&incident.opened);
    let detected = incident.detected_at.map_or(opened, |at| Moment { at, seq: Some(incident.opened.seq) });
    let of = |name, at: Option<Moment>, meaning| Milestone {
        name,
        at,
        after: at.map(|at| margin(at.at, opened.at).0),
        before_opening: at.is_some_and(|at| at.at < opened.at),
        meaning,
    };
    let told = match notice_deadline(incident) {
        Some(_) => "the step that meets the notice deadline succeeded",
        None => "the first message arrived",
    };
    vec![
        of("Detected", Some(detected), "the trouble was first noticed, as far as the opening says"),
        of("Opened", Some(opened), "the incident was opened"),
        of(
            "Acknowledged",
            incident.acknowledged.as_ref().map(Moment::mark),
            "a person said that they had taken notice",
        ),
        of("Notified", notified(incident, log), told),
        of(
            "Mitigated",
            mitigated(incident, log, attempts, changes),
            "the last remedy was seen to work: its check, or a mitigating wait or work by hand, ended well",
        ),
        of(
            "Resolved",
            incident.resolved.as_ref().map(Moment::mark),
            "the trouble was over: a person said so, or its alerts were",
        ),
    ]
}

/// The notice against its deadline; none when no deadline asks for a notice.
pub(super) fn notice(incident: &Incident, milestones: &[Milestone]) -> Option<Notice> {
    let deadline = notice_deadline(incident)?;
    let given = milestones.iter().find(|milestone| milestone.name == "Notified").and_then(|milestone| milestone.at);
    let measured = given.map(|given| margin(deadline.due, given.at));
    Some(Notice {
        deadline: deadline.name.clone(),
        within: Length::between(incident.opened.at, deadline.due),
        due: Moment { at: deadline.due, seq: None },
        given,
        margin: measured.map(|(length, _)| length),
        late: measured.is_none_or(|(_, late)| late),
    })
}

/// The deadline for telling people: counted from the opening, and met by a message or by hand; among several
/// the first to run out.
fn notice_deadline(incident: &Incident) -> Option<&Deadline> {
    let told = |deadline: &&Deadline| {
        let steps = incident.runs.iter().flat_map(|run| run.runbook.all_steps());
        let mut meeting = steps.filter(|step| step.meets.as_ref() == Some(&deadline.name));
        meeting.any(|step| match &step.body {
            StepBody::Action(action) => action.is_message(),
            StepBody::Manual(_) => true,
            StepBody::Ask(_) | StepBody::Wait(_) | StepBody::Parallel(_) | StepBody::Start(_) => false,
        })
    };
    let opened = incident.deadlines.iter().filter(|deadline| deadline.from == DeadlineFrom::Opened);
    opened.filter(told).min_by_key(|deadline| deadline.due)
}

fn notified(incident: &Incident, log: &[Recorded]) -> Option<Moment> {
    if let Some(deadline) = notice_deadline(incident) {
        let at = match deadline.status {
            DeadlineStatus::Met { at, .. } | DeadlineStatus::MetLate { at, .. } => at,
            DeadlineStatus::Running | DeadlineStatus::Missed | DeadlineStatus::Lifted => return None,
        };
        let is_met = |recorded: &&Recorded| matches!(&recorded.event, Event::Deadline(DeadlineEvent::Met { name, .. }) if *name == deadline.name);
        return Some(Moment { at, seq: log.iter().find(is_met).map(|recorded| recorded.seq) });
    }
    let first = log.iter().find(|recorded| matches!(recorded.event, Event::Message(MessageEvent::Notified { .. })))?;
    Some(Moment::of(first.seq, first.at))
}

/// The end of the last remedy that worked: a change whose check came true and which was not taken back, or a step of
/// the phase `mitigate` that waits until things are well or is done by hand.
fn mitigated(
    incident: &Incident,
    log: &[Recorded],
    attempts: &[StepAttempt<'_>],
    changes: &[ChangeFact],
) -> Option<Moment> {
    let checked = changes.iter().filter(|change| change.ok && !change.undone.as_ref().is_some_and(|undone| undone.ok));
    let checked = checked.filter_map(|change| change.check.as_ref().filter(|check| check.ok)?.at);
    let waited = attempts.iter().filter(|tried| tried.worked() && tried.step.part == StepPart::Main);
    let waited = waited.filter(|tried| !tried.action.effect.changes() && waits_to_mitigate(incident, tried));
    let waited = waited.filter_map(|tried| Some(tried.ended?.0));
    checked.chain(waited).chain(by_hand(incident, log)).max_by_key(|moment| (moment.at, moment.seq))
}

fn waits_to_mitigate(incident: &Incident, tried: &StepAttempt<'_>) -> bool {
    facts::step(incident, tried.run, tried.step)
        .is_some_and(|step| step.until.is_some() && step.phase.as_deref() == Some(MITIGATE))
}

/// What was done by hand to mitigate.
fn by_hand(incident: &Incident, log: &[Recorded]) -> Vec<Moment> {
    let mut asked: Vec<(RunId, &StepKey)> = Vec::new();
    let mut done = Vec::new();
    for recorded in log {
        let Event::Step(event) = &recorded.event else { continue };
        match event {
            StepEvent::Asked { run, step, gate } if facts::is_by_hand(gate) => asked.push((*run, step)),
            StepEvent::Answered { run, step, .. } if asked.contains(&(*run, step)) => {
                let phase = facts::step(incident, *run, step).and_then(|step| step.phase.as_deref());
                if phase == Some(MITIGATE) {
                    done.push(Moment::of(recorded.seq, recorded.at));
                }
            }
            StepEvent::Asked { .. }
            | StepEvent::Answered { .. }
            | StepEvent::Skipped { .. }
            | StepEvent::Expanded { .. }
            | StepEvent::Approved { .. }
            | StepEvent::Denied { .. }
            | StepEvent::Started { .. }
            | StepEvent::Ended { .. }
            | StepEvent::Reconciled { .. }
            | StepEvent::RetryScheduled { .. }
            | StepEvent::Concluded { .. }
            | StepEvent::UndoRequested { .. } => {}
        }
    }
    done
}
