//! The milestones of an incident, and their definitions.

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

/// The `phase` of steps that remedy the problem.
const MITIGATE: &str = "mitigate";

/// A milestone of an incident.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Milestone {
    /// `Detected`, `Opened`, `Acknowledged`, `Notified`, `Mitigated` or `Resolved`.
    pub name: &'static str,
    /// When it was reached; none if the log does not contain it.
    pub at: Option<Moment>,
    /// The time between the opening and the milestone.
    pub after: Option<Length>,
    /// Whether it was before the opening.
    pub before_opening: bool,
    /// The definition, so that the times of several incidents can be compared.
    pub meaning: &'static str,
}

/// The first notice to stakeholders, compared with its deadline.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Notice {
    /// The deadline's name.
    pub deadline: String,
    /// The time from the opening to `due`.
    pub within: Length,
    pub due: Moment,
    /// When the notice was given, if it was.
    pub given: Option<Moment>,
    /// The time between `given` and `due`.
    pub margin: Option<Length>,
    /// Whether the notice was late, or has not been given.
    pub late: bool,
}

/// All milestones, in their intended order.
pub(super) fn of(
    incident: &Incident,
    log: &[Recorded],
    attempts: &[StepAttempt<'_>],
    changes: &[ChangeFact],
) -> Vec<Milestone> {
    let opened = Moment::of_stamp(&incident.opened);
    let detected = incident.detected_at.map_or(opened, |at| Moment { at, seq: Some(incident.opened.seq) });
    let milestone = |name, at: Option<Moment>, meaning| Milestone {
        name,
        at,
        after: at.map(|at| margin(at.at, opened.at).0),
        before_opening: at.is_some_and(|at| at.at < opened.at),
        meaning,
    };
    let notified_means = match notice_deadline(incident) {
        Some(_) => "the step that meets the notice deadline succeeded",
        None => "the first message arrived",
    };
    vec![
        milestone("Detected", Some(detected), "the trouble was first noticed, as far as the opening says"),
        milestone("Opened", Some(opened), "the incident was opened"),
        milestone(
            "Acknowledged",
            incident.acknowledged.as_ref().map(Moment::of_stamp),
            "a person said that they had taken notice",
        ),
        milestone("Notified", notified(incident, log), notified_means),
        milestone(
            "Mitigated",
            mitigated(incident, log, attempts, changes),
            "the last remedy was seen to work: its check, or a mitigating wait or work by hand, ended well",
        ),
        milestone(
            "Resolved",
            incident.resolved.as_ref().map(Moment::of_stamp),
            "the trouble was over: a person said so, or its alerts were",
        ),
    ]
}

/// The notice compared with its deadline; none if no deadline requires a notice.
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

/// The deadline for the first notice: counted from the opening, and met by a step that sends a message or is done by hand. Of
/// several, the one that is due first.
fn notice_deadline(incident: &Incident) -> Option<&Deadline> {
    let is_met_by_notice = |deadline: &&Deadline| {
        let steps = incident.runs.iter().flat_map(|run| run.runbook.all_steps());
        let mut meeting = steps.filter(|step| step.meets.as_ref() == Some(&deadline.name));
        meeting.any(|step| match &step.body {
            StepBody::Action(action) => action.is_message(),
            StepBody::Manual(_) => true,
            StepBody::Ask(_) | StepBody::Wait(_) | StepBody::Parallel(_) | StepBody::Start(_) => false,
        })
    };
    let opened = incident.deadlines.iter().filter(|deadline| deadline.from == DeadlineFrom::Opened);
    opened.filter(is_met_by_notice).min_by_key(|deadline| deadline.due)
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

/// The end of the last remedy that worked: a verified change that was not undone, or a step of the phase `mitigate` that is done by
/// hand or waits until a condition holds.
fn mitigated(
    incident: &Incident,
    log: &[Recorded],
    attempts: &[StepAttempt<'_>],
    changes: &[ChangeFact],
) -> Option<Moment> {
    let checked = changes.iter().filter(|change| change.ok && !change.undone.as_ref().is_some_and(|undone| undone.ok));
    let checked = checked.filter_map(|change| change.check.as_ref().filter(|check| check.ok)?.at);
    let waits = attempts.iter().filter(|attempt| attempt.succeeded() && attempt.step.part == StepPart::Main);
    let waits = waits.filter(|attempt| !attempt.action.effect.changes() && waits_to_mitigate(incident, attempt));
    let waited = waits.filter_map(|attempt| Some(attempt.ended?.0));
    checked.chain(waited).chain(by_hand(incident, log)).max_by_key(|moment| (moment.at, moment.seq))
}

fn waits_to_mitigate(incident: &Incident, attempt: &StepAttempt<'_>) -> bool {
    facts::step(incident, attempt.run, attempt.step)
        .is_some_and(|step| step.until.is_some() && step.phase.as_deref() == Some(MITIGATE))
}

/// When work by hand in the phase `mitigate` was done.
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
