//! Pressed buttons and submitted forms.
//!
//! **Invariant:** an answer reaches only the question that was shown: another round of it is another question.

use serde_json::Value;

use super::super::parse::button_value::{ButtonAction, ButtonValue, StepQuestion};
use super::super::parse::identity;
use super::super::parse::identity::RequestedIdentity;
use super::super::render::card;
use super::super::render::modal;
use super::super::render::modal::{ModalPurpose, WORDS};
use super::add_note::note_reply;
use super::{HandlerReply, HandlerResult, Interaction, reply_text};
use crate::domain::core::id::{IncidentId, StepKey};
use crate::domain::incident::Incident;
use crate::domain::incident::command::Request;
use crate::domain::incident::event::Gate;
use crate::domain::incident::slack_post::PostSubject;

/// The reply to a button on an outdated message.
const STALE: &str = "This was answered or has changed since the message was written; nothing was done. Type `/runbook` for what waits now.";

/// The reason recorded when a step is skipped by a button.
const BY_BUTTON: &str = "by a button in Slack";

impl Interaction<'_> {
    pub(super) async fn pressed(&self, press: ButtonValue) -> HandlerResult {
        let ButtonValue { incident: id, deed } = press;
        match deed {
            ButtonAction::Status => {
                self.may(RequestedIdentity::Look)?;
                Ok(HandlerReply::Say(self.live(&self.incident(&id).await?)))
            }
            ButtonAction::Acknowledge => {
                let by = self.may_at(&id, None, "take notice of it", RequestedIdentity::Acknowledge).await?;
                let incident = self.ask(&id, by, Request::Acknowledge).await?;
                Ok(self.changed(&incident))
            }
            ButtonAction::Approve(question, digest) => {
                // The engine refuses and records an approval without permission.
                let by = identity::actor(self.estate, &self.from.user);
                let request = Request::Approve { step: Some(question.step.clone()), digest: Some(digest) };
                let incident = self.ask(&id, by, request).await?;
                self.answered(&incident, question).await
            }
            ButtonAction::Resolve => {
                self.may_at(&id, None, "resolve it", RequestedIdentity::Act).await?;
                let incident = self.act(&id, Request::Resolve { summary: None }).await?;
                Ok(self.changed(&incident))
            }
            ButtonAction::Start(runbook) => {
                self.may_at(&id, None, &format!("start `{runbook}`"), RequestedIdentity::Act).await?;
                self.start_proposed(&id, &runbook).await
            }
            ButtonAction::Ask(question) => self.form_for(&id, question, false).await,
            ButtonAction::Deny(question) => self.form_for(&id, question, true).await,
            ButtonAction::Answer(question, value) => {
                self.settle(&id, question, |step| Request::Answer { step, value: Value::String(value) }).await
            }
            ButtonAction::Retry(question) => self.settle(&id, question, |step| Request::Retry { step }).await,
            ButtonAction::Skip(question) => {
                self.settle(&id, question, |step| Request::Skip { step, reason: BY_BUTTON.to_owned() }).await
            }
        }
    }

    pub(super) async fn submitted(&self, purpose: ModalPurpose, fields: &[(String, String)]) -> HandlerResult {
        let field = |name: &str| fields.iter().find(|(field, _)| field == name).map(|(_, value)| value.clone());
        let words = || field(WORDS).unwrap_or_default();
        match purpose {
            ModalPurpose::Start { runbook, order } => self.start_filled(&runbook, order, fields).await,
            ModalPurpose::Answer(id, question) => {
                self.settle(&id, question, |step| Request::Answer { step, value: Value::String(words()) }).await
            }
            ModalPurpose::Deny(id, question) => {
                // The engine refuses and records a denial without permission.
                self.asked(&id, &question).await?;
                let by = identity::actor(self.estate, &self.from.user);
                let request = Request::Deny { step: Some(question.step.clone()), reason: words() };
                let incident = self.ask(&id, by, request).await?;
                self.answered(&incident, question).await
            }
            ModalPurpose::Keep(note) => {
                let id = field(modal::INCIDENT)
                    .and_then(|id| id.parse().ok())
                    .ok_or_else(|| reply_text("No incident was picked."))?;
                self.may_at(&id, None, "write something down", RequestedIdentity::Act).await?;
                self.act(&id, Request::Note(note)).await?;
                Ok(HandlerReply::Say(reply_text(&note_reply(&id))))
            }
        }
    }

    /// Answers the question that was shown, if it is still open.
    async fn settle(
        &self,
        id: &IncidentId,
        question: StepQuestion,
        request: impl FnOnce(StepKey) -> Request,
    ) -> HandlerResult {
        self.current(id, &question).await?;
        let incident = self.act(id, request(question.step.clone())).await?;
        self.answered(&incident, question).await
    }

    /// Shows the answer in place of an ephemeral message, which the incident messages do not update.
    async fn answered(&self, incident: &Incident, question: StepQuestion) -> HandlerResult {
        if !self.from.is_alone() {
            return Ok(HandlerReply::Done(None));
        }
        let log = self.handlers.engine.log(&incident.id).await.map_err(|error| super::engine_refusal(&error))?;
        let StepQuestion { run, step, round } = question;
        let card = card::of(incident, &log, &PostSubject::Waits { run, step, round }, None);
        Ok(HandlerReply::Done(Some(card.leading_to(incident))))
    }

    /// Shows the incident's state in place of an ephemeral message, which the incident messages do not update.
    fn changed(&self, incident: &Incident) -> HandlerReply {
        HandlerReply::Done(self.from.is_alone().then(|| self.live(incident)))
    }

    /// The incident, if the question is still open and the person may answer it.
    async fn current(&self, id: &IncidentId, question: &StepQuestion) -> Result<Incident, super::Card> {
        self.may_at(id, Some(&question.step), "answer it", RequestedIdentity::Act).await?;
        self.asked(id, question).await
    }

    /// The incident, if the question is still open; permission is not checked.
    async fn asked(&self, id: &IncidentId, question: &StepQuestion) -> Result<Incident, super::Card> {
        let incident = self.incident(id).await?;
        match incident.waits(question.run, &question.step, question.round) {
            Some(_) => Ok(incident),
            None => Err(reply_text(STALE)),
        }
    }

    async fn form_for(&self, id: &IncidentId, question: StepQuestion, deny: bool) -> HandlerResult {
        let incident = self.current(id, &question).await?;
        let gate = incident.waits(question.run, &question.step, question.round).ok_or_else(|| reply_text(STALE))?;
        let ((title, fields), purpose) = match gate {
            Gate::Approve { change, .. } if deny => {
                (modal::deny(&change.what), ModalPurpose::Deny(id.clone(), question))
            }
            Gate::Ask { prompt, choices, many, .. } => {
                (modal::answer(prompt, choices, *many), ModalPurpose::Answer(id.clone(), question))
            }
            _ => return Err(reply_text(STALE)),
        };
        Ok(HandlerReply::Form { title, fields, purpose })
    }
}
