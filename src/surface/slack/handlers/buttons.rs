//! Handles buttons and submitted forms.
//!
//! **Invariant:** an answer applies only to the question that the button or form showed. When a step asks again, that is another
//! question.

use serde_json::Value;

use super::super::parse::button_value::{ButtonAction, ButtonValue, StepQuestion};
use super::super::parse::identity;
use super::super::parse::identity::Permission;
use super::super::render::card;
use super::super::render::modal;
use super::super::render::modal::{ModalPurpose, WORDS};
use super::add_note::note_reply;
use super::{HandlerReply, HandlerResult, Interaction, refusal_at, reply_text};
use crate::domain::core::id::IncidentId;
use crate::domain::incident::Incident;
use crate::domain::incident::command::Request;
use crate::domain::incident::command::target::StepTarget;
use crate::domain::incident::decide::step_verb::StepVerb;
use crate::domain::incident::event::Gate;
use crate::domain::incident::slack_post::PostSubject;

/// The reply to a button on an outdated message.
const STALE: &str = "The question was answered or has changed since this message; nothing was done. Type `/runbook` for the open questions.";

/// The reason recorded when a step is skipped by a button.
const BY_BUTTON: &str = "by a button in Slack";

impl Interaction<'_> {
    pub(super) async fn pressed(&self, press: ButtonValue) -> HandlerResult {
        let ButtonValue { incident: id, action } = press;
        match action {
            ButtonAction::Status => {
                self.may(Permission::Read)?;
                Ok(HandlerReply::Message(self.live(&self.incident(&id).await?)))
            }
            ButtonAction::Acknowledge => {
                let by = self.may_at(&id, None, "acknowledge it", Permission::Acknowledge).await?;
                let incident = self.ask(&id, by, Request::Acknowledge).await?;
                Ok(self.changed(&incident))
            }
            ButtonAction::Approve(question, digest) => {
                // The engine checks the permission, and records a refusal.
                let by = identity::actor(self.estate, &self.from.user);
                let target = question.target(&self.incident(&id).await?, StepVerb::Approve);
                let request = target.clone().map(|target| Request::Approve { target, digest });
                let incident = self.ask_resolved(&id, by, request).await?;
                let target = target.map_err(|refused| refusal_at(&id, &refused.into()))?;
                self.answered(&incident, target).await
            }
            ButtonAction::Resolve => {
                self.may_at(&id, None, "resolve it", Permission::Act).await?;
                let incident = self.act(&id, Request::Resolve { summary: None }).await?;
                Ok(self.changed(&incident))
            }
            ButtonAction::Start(runbook) => {
                self.may_at(&id, None, &format!("start `{runbook}`"), Permission::Act).await?;
                self.start_proposed(&id, &runbook).await
            }
            ButtonAction::Ask(question) => self.form_for(&id, &question, StepVerb::Answer).await,
            ButtonAction::Deny(question) => self.form_for(&id, &question, StepVerb::Deny).await,
            ButtonAction::Answer(question, value) => {
                let answer = |target| Request::Answer { target, value: Value::String(value) };
                self.answer_question(&id, &question, StepVerb::Answer, answer).await
            }
            ButtonAction::Retry(question) => {
                self.answer_question(&id, &question, StepVerb::Retry, |target| Request::Retry { target }).await
            }
            ButtonAction::Skip(question) => {
                let skip = |target| Request::Skip { target, reason: BY_BUTTON.to_owned() };
                self.answer_question(&id, &question, StepVerb::Skip, skip).await
            }
        }
    }

    pub(super) async fn submitted(&self, purpose: ModalPurpose, fields: &[(String, String)]) -> HandlerResult {
        let field = |name: &str| fields.iter().find(|(field, _)| field == name).map(|(_, value)| value.clone());
        let text = || field(WORDS).unwrap_or_default();
        match purpose {
            ModalPurpose::Start { runbook, order } => self.start_filled(&runbook, order, fields).await,
            ModalPurpose::Answer(id, question) => {
                let answer = |target| Request::Answer { target, value: Value::String(text()) };
                self.answer_question(&id, &question, StepVerb::Answer, answer).await
            }
            ModalPurpose::Deny(id, question) => {
                // The engine checks the permission, and records a refusal.
                let (_, target) = self.current_unchecked(&id, &question, StepVerb::Deny).await?;
                let by = identity::actor(self.estate, &self.from.user);
                let incident = self.ask(&id, by, Request::Deny { target: target.clone(), reason: text() }).await?;
                self.answered(&incident, target).await
            }
            ModalPurpose::Keep(note) => {
                let id = field(modal::INCIDENT)
                    .and_then(|id| id.parse().ok())
                    .ok_or_else(|| reply_text("No incident was selected."))?;
                self.may_at(&id, None, "add a note", Permission::Act).await?;
                self.act(&id, Request::Note(note)).await?;
                Ok(HandlerReply::Message(reply_text(&note_reply(&id))))
            }
        }
    }

    /// Answers the question that was shown, if it is still open.
    async fn answer_question(
        &self,
        id: &IncidentId,
        question: &StepQuestion,
        verb: StepVerb,
        request: impl FnOnce(StepTarget) -> Request,
    ) -> HandlerResult {
        let (_, target) = self.current(id, question, verb).await?;
        let incident = self.act(id, request(target.clone())).await?;
        self.answered(&incident, target).await
    }

    /// Shows the answer in place of an ephemeral message, which the incident messages do not update.
    async fn answered(&self, incident: &Incident, target: StepTarget) -> HandlerResult {
        if !self.from.is_from_ephemeral() {
            return Ok(HandlerReply::Done(None));
        }
        let log = self.handlers.engine.log(&incident.id).await.map_err(|error| super::engine_refusal(&error))?;
        let StepTarget { run, step, question: round, .. } = target;
        let card = card::of(incident, &log, &PostSubject::Waits { run, step, round }, None);
        Ok(HandlerReply::Done(Some(card.with_next_step(incident))))
    }

    /// Shows the incident's state in place of an ephemeral message, which the incident messages do not update.
    fn changed(&self, incident: &Incident) -> HandlerReply {
        HandlerReply::Done(self.from.is_from_ephemeral().then(|| self.live(incident)))
    }

    /// The incident and the step that was shown, if it still asks this question.
    async fn current(
        &self,
        id: &IncidentId,
        question: &StepQuestion,
        verb: StepVerb,
    ) -> Result<(Incident, StepTarget), super::Card> {
        self.may_at(id, Some(&question.reference()), "answer it", Permission::Act).await?;
        self.current_unchecked(id, question, verb).await
    }

    /// As [`current`](Self::current), without checking permission.
    async fn current_unchecked(
        &self,
        id: &IncidentId,
        question: &StepQuestion,
        verb: StepVerb,
    ) -> Result<(Incident, StepTarget), super::Card> {
        let incident = self.incident(id).await?;
        let target = question.target(&incident, verb).map_err(|refused| refusal_at(id, &refused.into()))?;
        match incident.waits(target.run, &target.step, target.question) {
            Some(_) => Ok((incident, target)),
            None => Err(reply_text(STALE)),
        }
    }

    async fn form_for(&self, id: &IncidentId, question: &StepQuestion, verb: StepVerb) -> HandlerResult {
        let (incident, target) = self.current(id, question, verb).await?;
        let gate = incident.waits(target.run, &target.step, target.question).ok_or_else(|| reply_text(STALE))?;
        let shown = StepQuestion::of(&target);
        let ((title, fields), purpose) = match (gate, verb) {
            (Gate::Approve { change, .. }, StepVerb::Deny) => {
                (modal::deny(&change.what), ModalPurpose::Deny(id.clone(), shown))
            }
            (Gate::Ask { prompt, choices, many, .. }, StepVerb::Answer) => {
                (modal::answer(prompt, choices, *many), ModalPurpose::Answer(id.clone(), shown))
            }
            _ => return Err(reply_text(STALE)),
        };
        Ok(HandlerReply::Form { title, fields, purpose })
    }
}
