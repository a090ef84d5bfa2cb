//! Pressed buttons and submitted forms.
//!
//! **Invariant:** an answer reaches only the question that was shown: another round of it is another question.

use serde_json::Value;

use super::super::parse::button_value::{Deed, Press, Question};
use super::super::parse::identity;
use super::super::parse::identity::Wish;
use super::super::render::card;
use super::super::render::modal;
use super::super::render::modal::{Purpose, WORDS};
use super::add_note::kept;
use super::{Answer, Said, Visit, say};
use crate::domain::core::id::{IncidentId, StepKey};
use crate::domain::incident::Incident;
use crate::domain::incident::command::Request;
use crate::domain::incident::event::Gate;
use crate::domain::incident::slack_post::Subject;

/// What is said of a click on an old message.
const STALE: &str = "This was answered or has changed since the message was written; nothing was done. Type `/runbook` for what waits now.";

/// Why a step is skipped that was skipped by a button.
const BY_BUTTON: &str = "by a button in Slack";

impl Visit<'_> {
    pub(super) async fn pressed(&self, press: Press) -> Said {
        let Press { incident: id, deed } = press;
        match deed {
            Deed::Status => {
                self.may(Wish::Look)?;
                Ok(Answer::Say(self.live(&self.incident(&id).await?)))
            }
            Deed::Acknowledge => {
                let by = self.may_at(&id, None, "take notice of it", Wish::Acknowledge).await?;
                let incident = self.ask(&id, by, Request::Acknowledge).await?;
                Ok(self.changed(&incident))
            }
            Deed::Approve(question, digest) => {
                // Who may not is refused by the engine, which writes it down.
                let by = identity::actor(self.estate, &self.from.user);
                let request = Request::Approve { step: Some(question.step.clone()), digest: Some(digest) };
                let incident = self.ask(&id, by, request).await?;
                self.answered(&incident, question).await
            }
            Deed::Resolve => {
                self.may_at(&id, None, "resolve it", Wish::Act).await?;
                let incident = self.act(&id, Request::Resolve { summary: None }).await?;
                Ok(self.changed(&incident))
            }
            Deed::Start(runbook) => {
                self.may_at(&id, None, &format!("start `{runbook}`"), Wish::Act).await?;
                self.start_proposed(&id, &runbook).await
            }
            Deed::Ask(question) => self.form_for(&id, question, false).await,
            Deed::Deny(question) => self.form_for(&id, question, true).await,
            Deed::Answer(question, value) => {
                self.settle(&id, question, |step| Request::Answer { step, value: Value::String(value) }).await
            }
            Deed::Retry(question) => self.settle(&id, question, |step| Request::Retry { step }).await,
            Deed::Skip(question) => {
                self.settle(&id, question, |step| Request::Skip { step, reason: BY_BUTTON.to_owned() }).await
            }
        }
    }

    pub(super) async fn submitted(&self, purpose: Purpose, fields: &[(String, String)]) -> Said {
        let field = |name: &str| fields.iter().find(|(field, _)| field == name).map(|(_, value)| value.clone());
        let words = || field(WORDS).unwrap_or_default();
        match purpose {
            Purpose::Start { runbook, order } => self.start_filled(&runbook, order, fields).await,
            Purpose::Answer(id, question) => {
                self.settle(&id, question, |step| Request::Answer { step, value: Value::String(words()) }).await
            }
            Purpose::Deny(id, question) => {
                // Who may not is refused by the engine, which writes it down.
                self.asked(&id, &question).await?;
                let by = identity::actor(self.estate, &self.from.user);
                let request = Request::Deny { step: Some(question.step.clone()), reason: words() };
                let incident = self.ask(&id, by, request).await?;
                self.answered(&incident, question).await
            }
            Purpose::Keep(note) => {
                let id = field(modal::INCIDENT)
                    .and_then(|id| id.parse().ok())
                    .ok_or_else(|| say("No incident was picked."))?;
                self.may_at(&id, None, "write something down", Wish::Act).await?;
                self.act(&id, Request::Note(note)).await?;
                Ok(Answer::Say(say(&kept(&id))))
            }
        }
    }

    /// Answers the question that was shown, if it is still asked.
    async fn settle(&self, id: &IncidentId, question: Question, request: impl FnOnce(StepKey) -> Request) -> Said {
        self.current(id, &question).await?;
        let incident = self.act(id, request(question.step.clone())).await?;
        self.answered(&incident, question).await
    }

    /// Who has answered and when, for a message that the board does not change.
    async fn answered(&self, incident: &Incident, question: Question) -> Said {
        if !self.from.is_alone() {
            return Ok(Answer::Done(None));
        }
        let log = self.desk.engine.log(&incident.id).await.map_err(|error| super::no(&error))?;
        let Question { run, step, round } = question;
        let card = card::of(incident, &log, &Subject::Waits { run, step, round }, None);
        Ok(Answer::Done(Some(card.leading_to(incident))))
    }

    /// How an incident stands now, for a message that the board does not change.
    fn changed(&self, incident: &Incident) -> Answer {
        Answer::Done(self.from.is_alone().then(|| self.live(incident)))
    }

    /// The incident, if it still asks this question.
    async fn current(&self, id: &IncidentId, question: &Question) -> Result<Incident, super::Card> {
        self.may_at(id, Some(&question.step), "answer it", Wish::Act).await?;
        self.asked(id, question).await
    }

    /// The same, whoever asks.
    async fn asked(&self, id: &IncidentId, question: &Question) -> Result<Incident, super::Card> {
        let incident = self.incident(id).await?;
        match incident.waits(question.run, &question.step, question.round) {
            Some(_) => Ok(incident),
            None => Err(say(STALE)),
        }
    }

    async fn form_for(&self, id: &IncidentId, question: Question, deny: bool) -> Said {
        let incident = self.current(id, &question).await?;
        let gate = incident.waits(question.run, &question.step, question.round).ok_or_else(|| say(STALE))?;
        let ((title, fields), purpose) = match gate {
            Gate::Approve { change, .. } if deny => (modal::deny(&change.what), Purpose::Deny(id.clone(), question)),
            Gate::Ask { prompt, choices, many, .. } => {
                (modal::answer(prompt, choices, *many), Purpose::Answer(id.clone(), question))
            }
            _ => return Err(say(STALE)),
        };
        Ok(Answer::Form { title, fields, purpose })
    }
}
