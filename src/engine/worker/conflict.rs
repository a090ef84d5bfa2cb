//! After a conflict: another process was first, and what was drafted is decided again.

#![deny(clippy::wildcard_enum_match_arm)]

use super::{Landed, Worker};
use crate::domain::incident::event::{Event, MessageEvent, StepEvent};
use crate::store::Draft;

impl Worker {
    /// What the world has answered stays true, whoever else has written meanwhile.
    pub(super) fn keep_results(&mut self, drafts: Vec<Draft>) {
        for draft in drafts {
            match draft.into_event() {
                event @ Event::Message(MessageEvent::Notified { .. } | MessageEvent::NotifyFailed { .. }) => {
                    self.landed.push(Landed::Told { event })
                }
                // The end of a message's step follows from the state.
                Event::Step(StepEvent::Ended { run, step, attempt, outcome }) if !self.is_message(run, &step) => {
                    self.landed.push(Landed::Ended { place: (run, step), attempt, outcome });
                }
                Event::Step(StepEvent::Reconciled { run, step, attempt, finding }) => {
                    self.landed.push(Landed::Settled { place: (run, step), attempt, finding });
                }
                // These were decided, and are decided again.
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
                | Event::Run(_) => {}
            }
        }
    }
}
