//! Applying an event to an incident: each family of events has a transition table.

#![deny(clippy::wildcard_enum_match_arm)]

use std::collections::BTreeMap;
use std::sync::Arc;

use super::event::{Delivery, Event, IncidentEvent, MessageEvent, Recorded, RoleEvent, RunEvent, StepEvent};
use super::permission::Holder;
use super::run::{self, Run, RunStatus};
use super::step::StepState;
use super::{Illegal, Incident, PostmortemDraft, deadline, illegal, stamp};
use crate::domain::core::id::{RunId, StepKey};
use crate::domain::core::time::Timestamp;

mod message_state;
mod transition;

impl Incident {
    /// Applies the next event.
    ///
    /// # Errors
    /// The event cannot follow; the incident may have been changed in part.
    pub fn apply(&mut self, recorded: &Recorded) -> Result<(), Illegal> {
        if recorded.seq != self.seq + 1 {
            return Err(illegal(recorded, &format!("event {} must follow", self.seq + 1)));
        }
        self.status = transition::next(self.status, &recorded.event)
            .ok_or_else(|| illegal(recorded, &format!("the incident is {:?}", self.status)))?;
        self.apply_family(recorded)?;
        self.seq = recorded.seq;
        self.at = recorded.at;
        if transition::is_material(&recorded.event) {
            self.material = recorded.seq;
        }
        Ok(())
    }

    fn apply_family(&mut self, recorded: &Recorded) -> Result<(), Illegal> {
        let refused = |reason: String| illegal(recorded, &reason);
        match &recorded.event {
            Event::Incident(event) => self.apply_incident(event, recorded),
            Event::Alert(event) => return self.alerts.apply(event, recorded.at).map_err(refused),
            Event::Deadline(event) => {
                return deadline::apply(&mut self.deadlines, event, recorded.at).map_err(refused);
            }
            Event::Role(event) => self.apply_role(event, recorded.at),
            Event::Message(event) => return self.apply_message(event, recorded),
            Event::Run(event) => return self.apply_run(event, recorded),
            Event::Step(event) => return self.apply_step(event, recorded),
        }
        Ok(())
    }

    fn apply_incident(&mut self, event: &IncidentEvent, recorded: &Recorded) {
        match event {
            IncidentEvent::Acknowledged => self.acknowledged = Some(stamp(recorded)),
            IncidentEvent::Resolved { summary } => {
                self.resolved = Some(stamp(recorded));
                self.resolution.clone_from(summary);
            }
            IncidentEvent::PostmortemWritten { path, digest } | IncidentEvent::ReportWritten { path, digest } => {
                self.draft = Some(PostmortemDraft { path: path.clone(), digest: digest.clone(), seq: recorded.seq });
            }
            IncidentEvent::PostmortemCompleted => self.completed = Some(stamp(recorded)),
            IncidentEvent::RunProposed(proposed) => {
                self.proposals.retain(|proposal| proposal.runbook != proposed.runbook);
                self.proposals.push(proposed.clone());
            }
            IncidentEvent::SeverityChanged(to) => self.severity = to.severity,
            // `Incident::open` handles the opening. Notes and skipped occurrences are read from the log only.
            IncidentEvent::Opened { .. } | IncidentEvent::NoteAdded { .. } | IncidentEvent::OccurrenceSkipped(_) => {}
        }
    }

    fn apply_role(&mut self, event: &RoleEvent, at: Timestamp) {
        match event {
            RoleEvent::Taken { role, person, id } => {
                let holder = Holder { person: person.clone(), id: id.clone(), since: at };
                self.roles.insert(role.clone(), holder);
            }
            RoleEvent::Released { role } => drop(self.roles.remove(role)),
            RoleEvent::ApprovalRefused(_) => self.refusals += 1,
        }
    }

    fn apply_run(&mut self, event: &RunEvent, recorded: &Recorded) -> Result<(), Illegal> {
        match event {
            RunEvent::Started { run, .. } => self.start_run(*run, event, recorded),
            RunEvent::Stopping { run, .. } | RunEvent::Ended { run, .. } => self.advance_run(*run, event, recorded),
        }
    }

    fn start_run(&mut self, id: RunId, event: &RunEvent, recorded: &Recorded) -> Result<(), Illegal> {
        let RunEvent::Started { runbook, digest, estate, params, mode, parent, alert, schedule, .. } = event else {
            return Err(illegal(recorded, "it does not start a run"));
        };
        if id.0 as usize != self.runs.len() + 1 {
            return Err(illegal(recorded, &format!("run {} must follow", self.runs.len() + 1)));
        }
        self.proposals.retain(|proposal| proposal.runbook != runbook.id);
        self.runs.push(Run {
            id,
            runbook: Arc::new((**runbook).clone()),
            digest: digest.clone(),
            estate: Arc::new((**estate).clone()),
            params: params.clone(),
            mode: *mode,
            parent: parent.clone(),
            alert: *alert,
            schedule: schedule.as_deref().cloned(),
            status: RunStatus::Running,
            by: recorded.by.clone(),
            started_at: recorded.at,
            ended_at: None,
            steps: BTreeMap::new(),
            order: Vec::new(),
            passed: 0,
            ids: runbook.all_steps().into_iter().map(|step| step.id.clone()).collect(),
        });
        Ok(())
    }

    fn advance_run(&mut self, id: RunId, event: &RunEvent, recorded: &Recorded) -> Result<(), Illegal> {
        let run = find(&mut self.runs, id, recorded)?;
        run.status =
            run::next(&run.status, event).ok_or_else(|| illegal(recorded, &format!("run {id} is {:?}", run.status)))?;
        if run.is_over() {
            run.ended_at = Some(recorded.at);
        }
        Ok(())
    }

    fn apply_step(&mut self, event: &StepEvent, recorded: &Recorded) -> Result<(), Illegal> {
        let (id, key) = event.place();
        let run = find(&mut self.runs, id, recorded)?;
        if !run::accepts(&run.status, event) {
            return Err(illegal(recorded, &format!("run {id} is {:?}", run.status)));
        }
        let state = reach(run, key, recorded)?;
        if !state.apply(event, recorded.seq, recorded.at) {
            return Err(illegal(recorded, &format!("step `{key}` is {:?}", state.status)));
        }
        run.advance(event);
        self.apply_step_to_messages(event, recorded.at);
        Ok(())
    }

    fn apply_message(&mut self, event: &MessageEvent, recorded: &Recorded) -> Result<(), Illegal> {
        if let Some((id, key)) = event.delivery().and_then(Delivery::step) {
            reach(find(&mut self.runs, id, recorded)?, key, recorded)?;
        }
        self.apply_to_messages(event, recorded.at).map_err(|reason| illegal(recorded, &reason))
    }
}

fn find<'a>(runs: &'a mut [Run], id: RunId, recorded: &Recorded) -> Result<&'a mut Run, Illegal> {
    (id.0 as usize)
        .checked_sub(1)
        .and_then(|index| runs.get_mut(index))
        .ok_or_else(|| illegal(recorded, &format!("there is no run {id}")))
}

/// The state of a step; a step is reached when an event first names it.
fn reach<'a>(run: &'a mut Run, key: &StepKey, recorded: &Recorded) -> Result<&'a mut StepState, Illegal> {
    if !run.steps.contains_key(key) {
        if !run.ids.contains(&key.id) {
            return Err(illegal(recorded, &format!("the runbook has no step `{}`", key.id)));
        }
        run.order.push(key.clone());
    }
    Ok(run.steps.entry(key.clone()).or_insert_with(|| StepState::new(recorded.at)))
}
