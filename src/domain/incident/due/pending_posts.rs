//! What an incident shows in a chat, and which of it is still to be posted.
//!
//! One message shows the state of the incident and is edited in place; further ones are posted only for news that people must
//! notice. Which ones follows from the incident. Where each was posted is in the log, so that after a restart the same message
//! is edited and none is posted twice.
//!
//! Not here: the rendering, and messages to stakeholders (see [`message`](crate::domain::incident::message)).

use crate::domain::core::id::{RunId, StepKey};
use crate::domain::incident::deadline::{Deadline, DeadlineStatus};
use crate::domain::incident::event::{Gate, RunOutcome};
use crate::domain::incident::run::{Run, RunStatus};
use crate::domain::incident::slack_post::{PostSubject, SlackPost};
use crate::domain::incident::{Incident, IncidentStatus};

impl Incident {
    /// Which of a step's questions is asked now: each is another one, whatever it asks.
    pub fn round(&self, run: RunId, step: &StepKey) -> u32 {
        let state = self.run(run).and_then(|run| run.state(step));
        state.map_or(0, |state| state.asked)
    }

    /// The gate that waits for a person at a step, if it is still this question.
    pub fn waits(&self, run: RunId, step: &StepKey, round: u32) -> Option<&Gate> {
        let gate = self.run(run)?.state(step)?.gate()?;
        (gate.needs_person() && self.round(run, step) == round).then_some(gate)
    }

    /// Where a message about this was posted.
    pub fn posted(&self, subject: &PostSubject) -> Option<&SlackPost> {
        self.posts.get(subject)
    }

    /// The incident's own channel, by its name there.
    pub fn own_channel(&self) -> Option<&str> {
        self.posted(&PostSubject::Channel).map(|post| post.place.as_str()).filter(|place| !place.is_empty())
    }

    /// What the board has to show and does not, in the order in which it is posted.
    pub fn unposted(&self) -> Vec<PostSubject> {
        let over = self.status == IncidentStatus::Resolved;
        // What nobody was shown the beginning of needs no end.
        if over && !self.posts.contains_key(&PostSubject::Live) {
            return Vec::new();
        }
        let mut subjects = Vec::new();
        if !over {
            subjects.push(PostSubject::Live);
            let wanted = |run: &Run| run.estate.slack.as_ref().is_some_and(|app| app.channel_an_incident);
            subjects.extend(self.runs.last().is_some_and(wanted).then_some(PostSubject::Channel));
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
        if over {
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
