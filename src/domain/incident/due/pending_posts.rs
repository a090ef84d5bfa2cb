//! The messages that show an incident in Slack, and which of them are still to be posted.
//!
//! One message shows the incident's state and is edited in place. Further messages are posted only for news that people must
//! notice.
//!
//! **Invariant:** the place of each posted message is in the log, so after a restart the same message is edited, and none is
//! posted twice.
//!
//! Not here: the rendering; messages to stakeholders (see [`message`](crate::domain::incident::message)).

use crate::domain::core::id::{RunId, StepKey};
use crate::domain::incident::deadline::{Deadline, DeadlineStatus};
use crate::domain::incident::event::{Gate, RunOutcome};
use crate::domain::incident::run::{Run, RunStatus};
use crate::domain::incident::slack_post::{PostSubject, SlackPost};
use crate::domain::incident::{Incident, IncidentStatus};

impl Incident {
    /// The number of a step's latest question.
    pub fn round(&self, run: RunId, step: &StepKey) -> u32 {
        let state = self.run(run).and_then(|run| run.state(step));
        state.map_or(0, |state| state.questions)
    }

    /// The gate at which a step waits for a person, if it is still the question with this number.
    pub fn waits(&self, run: RunId, step: &StepKey, round: u32) -> Option<&Gate> {
        let gate = self.run(run)?.state(step)?.gate()?;
        (gate.needs_person() && self.round(run, step) == round).then_some(gate)
    }

    /// The posted message with this subject.
    pub fn posted(&self, subject: &PostSubject) -> Option<&SlackPost> {
        self.posts.get(subject)
    }

    /// The channel that was created for this incident, in Slack's notation.
    pub fn own_channel(&self) -> Option<&str> {
        self.posted(&PostSubject::Channel).map(|post| post.place.as_str()).filter(|place| !place.is_empty())
    }

    /// The subjects that are not posted yet, in the order in which they are posted.
    pub fn unposted(&self) -> Vec<PostSubject> {
        let is_resolved = self.status == IncidentStatus::Resolved;
        // The resolution of an incident that was never shown is not posted.
        if is_resolved && !self.posts.contains_key(&PostSubject::Live) {
            return Vec::new();
        }
        let mut subjects = Vec::new();
        if !is_resolved {
            subjects.push(PostSubject::Live);
            let has_channel = |run: &Run| run.estate.slack.as_ref().is_some_and(|app| app.channel_an_incident);
            subjects.extend(self.runs.last().is_some_and(has_channel).then_some(PostSubject::Channel));
            let waiting = self.waiting_for_person().into_iter();
            subjects.extend(waiting.map(|(run, step, _)| PostSubject::Waits {
                run,
                step: step.clone(),
                round: self.round(run, step),
            }));
            subjects.extend(self.deadlines.iter().filter_map(at_risk));
        }
        let failed = self.runs.iter().filter(|run| run.status == RunStatus::Ended(RunOutcome::Failed));
        subjects.extend(failed.map(|run| PostSubject::Failed { run: run.id }));
        if is_resolved {
            subjects.push(PostSubject::Resolved);
        }
        subjects.retain(|subject| !self.posts.contains_key(subject));
        subjects
    }
}

fn at_risk(deadline: &Deadline) -> Option<PostSubject> {
    let missed = deadline.status == DeadlineStatus::Missed;
    let near = deadline.status == DeadlineStatus::Running && deadline.warned;
    (missed || near).then(|| PostSubject::AtRisk { deadline: deadline.name.clone(), due: deadline.due, missed })
}
