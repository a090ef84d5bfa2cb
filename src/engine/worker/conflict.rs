//! Conflicts: when another writer appended first, reads the incident again so that the worker decides again.
//!
//! **Invariant:** after a conflict, the results in the proposal are recorded again.

#![deny(clippy::wildcard_enum_match_arm)]

use std::sync::Arc;

use super::{RunStep, TaskResult, Worker};
use crate::domain::incident::event::{Event, MessageEvent, StepEvent};
use crate::engine::EngineError;
use crate::engine::commit::Proposal;

impl Worker {
    /// The results among the proposed events.
    pub(super) fn results(&self) -> Vec<TaskResult> {
        self.proposal.events().filter_map(|event| self.result(event)).collect()
    }

    fn result(&self, event: &Event) -> Option<TaskResult> {
        match event {
            Event::Message(MessageEvent::Notified { .. } | MessageEvent::NotifyFailed { .. }) => {
                Some(TaskResult::Delivered { event: event.clone() })
            }
            // The end of a step that sends a message is not a task's result: it is derived from the state.
            Event::Step(StepEvent::Ended { run, step, attempt, outcome }) if !self.is_message(*run, step) => {
                let (place, outcome) = ((*run, step.clone()), Arc::clone(outcome));
                Some(TaskResult::Ended { place, attempt: *attempt, outcome })
            }
            Event::Step(StepEvent::Reconciled { run, step, attempt, finding }) => {
                let (place, finding) = ((*run, step.clone()), finding.clone());
                Some(TaskResult::Reconciled { place, attempt: *attempt, finding })
            }
            // These events are decisions, and are decided again.
            Event::Step(
                StepEvent::Ended { .. }
                | StepEvent::Skipped { .. }
                | StepEvent::Expanded { .. }
                | StepEvent::Asked { .. }
                | StepEvent::Answered { .. }
                | StepEvent::Approved { .. }
                | StepEvent::Denied { .. }
                | StepEvent::Started { .. }
                | StepEvent::RetryScheduled { .. }
                | StepEvent::Concluded { .. }
                | StepEvent::UndoRequested { .. },
            )
            | Event::Message(MessageEvent::NoticeOwed { .. } | MessageEvent::Posted(_))
            | Event::Incident(_)
            | Event::Alert(_)
            | Event::Deadline(_)
            | Event::Role(_)
            | Event::Run(_) => None,
        }
    }

    /// Drops pending attempts and messages, cancels the read-only attempts that started early, and reads the incident again.
    pub(super) async fn restart_after_conflict(&mut self, read_only: &[RunStep]) -> Result<(), EngineError> {
        tracing::debug!(incident = %self.id, after = self.proposal.expected(), "another writer appended first");
        self.pending_starts.clear();
        self.cancel_tasks(read_only);
        self.pending_deliveries.clear();
        self.incident = self.engine.incident(&self.id).await?;
        self.proposal = Proposal::on(&self.id, Some(&self.incident));
        Ok(())
    }
}
