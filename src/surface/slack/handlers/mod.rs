//! Handles actions from Slack: each gets one reply, within the permissions of the person.
//!
//! **Invariant:** every request is submitted with its unique name, so a repeated delivery changes nothing. This layer checks
//! only who may use the app.

use std::sync::Arc;

use slack_morphism::prelude::SlackBlock;

use super::SlackConfig;
use super::connect::payload::{Act, Inbound};
use super::parse::button_value::ButtonValue;
use super::parse::command::Typed;
use super::parse::identity;
use super::parse::identity::Permission;
use super::render::card;
use super::render::card::Card;
use super::render::modal;
use super::render::modal::{Carried, ModalPurpose};
use crate::domain::config::estate::Estate;
use crate::domain::core::id::IncidentId;
use crate::domain::incident::command::target::StepReference;
use crate::domain::incident::command::{Command, Refused, Request};
use crate::domain::incident::event::Actor;
use crate::domain::incident::{Incident, IncidentStatus};
use crate::engine::Engine;

mod add_note;
mod buttons;
mod handoff;
mod questions;
mod read_commands;
mod refusal;
mod run_commands;
mod start;
mod typed_commands;

pub(super) use self::refusal::reply_text;
use self::refusal::{choose_incident, engine_refusal, near_miss, no_open_incident, refusal_at, unknown_incident};

/// The reply to an action.
#[derive(Debug)]
pub enum HandlerReply {
    /// A message that nobody else sees.
    Message(Card),
    Form {
        title: String,
        fields: Vec<SlackBlock>,
        purpose: ModalPurpose,
    },
    /// No reply, since the incident message shows the result. The card, if any, replaces an ephemeral message.
    Done(Option<Card>),
}

/// A reply, or a refusal that is shown as a message.
pub type HandlerResult = Result<HandlerReply, Card>;

/// Handles actions from Slack.
#[derive(Debug)]
pub struct Handlers {
    pub(super) engine: Engine,
    pub(super) config: Arc<SlackConfig>,
}

/// One action and its context.
struct Interaction<'a> {
    handlers: &'a Handlers,
    estate: &'a Estate,
    from: &'a Inbound,
}

impl Handlers {
    /// Handles an action, with the project's files of the last reload.
    pub async fn answer(&self, from: &Inbound) -> HandlerReply {
        Self { engine: self.engine.refreshed(), config: Arc::clone(&self.config) }.answered(from).await
    }

    async fn answered(&self, from: &Inbound) -> HandlerReply {
        let Ok(estate) = &self.engine.parts().catalog.estate().content else {
            return HandlerReply::Message(reply_text("estate.yaml has problems; `runbook lint` shows them"));
        };
        let interaction = Interaction { handlers: self, estate, from };
        let result = match &from.act {
            Act::Typed(words) => interaction.typed(Typed::read(words)).await,
            Act::Pressed(value) => match ButtonValue::decoded(value) {
                Some(press) => interaction.pressed(press).await,
                None => Err(reply_text(
                    "This button is from another version of runbook. Type `/runbook` for the open questions.",
                )),
            },
            Act::Submitted { form, carried, fields } if form == modal::FORM => match serde_json::from_str(carried) {
                Ok(Carried { purpose, .. }) => interaction.submitted(purpose, fields).await,
                Err(_) => Err(reply_text("This form is from another version of runbook. Type the command again.")),
            },
            Act::Submitted { .. } => Ok(HandlerReply::Done(None)),
            Act::AddToTimeline { text, author, messages } => interaction.saved(text, author.as_deref(), messages).await,
        };
        match result {
            // A person without read permission gets only the refusal, without a next command.
            Err(card) if interaction.may(Permission::Read).is_err() => HandlerReply::Message(card),
            Ok(HandlerReply::Message(card)) | Err(card) => HandlerReply::Message(card.with_next_command()),
            Ok(other) => other,
        }
    }
}

impl Interaction<'_> {
    fn may(&self, permission: Permission) -> Result<Actor, Card> {
        identity::may(self.estate, &self.from.user, permission).map_err(|why| reply_text(&why))
    }

    /// Submits a request to an incident.
    async fn ask(&self, id: &IncidentId, by: Actor, request: Request) -> Result<Incident, Card> {
        self.ask_resolved(id, by, Ok(request)).await
    }

    /// Submits a request about a step, or the refusal when no step was found.
    async fn ask_resolved(
        &self,
        id: &IncidentId,
        by: Actor,
        request: Result<Request, Refused>,
    ) -> Result<Incident, Card> {
        let submitted = self.handlers.engine.submit_resolved(id, by, request, Some(self.from.name.clone()));
        submitted.await.map_err(|error| refusal_at(id, &error))
    }

    /// Submits a request that only people of the estate may make.
    async fn act(&self, id: &IncidentId, request: Request) -> Result<Incident, Card> {
        let by = self.may(Permission::Act)?;
        self.ask(id, by, request).await
    }

    /// Checks permission for an action on an incident. A refusal is recorded in that incident.
    async fn may_at(
        &self,
        id: &IncidentId,
        step: Option<&StepReference>,
        wanted: &str,
        permission: Permission,
    ) -> Result<Actor, Card> {
        let refused = match self.may(permission) {
            Ok(by) => return Ok(by),
            Err(refused) => refused,
        };
        self.refuse_unknown_user(id, step, wanted).await;
        Err(refused)
    }

    /// Checks permission for a typed command. A refusal is recorded in the incident of the command, or only in the process
    /// log if there is none.
    async fn may_typed(&self, typed: &Typed, permission: Permission) -> Result<Actor, Card> {
        let refused = match self.may(permission) {
            Ok(by) => return Ok(by),
            Err(refused) => refused,
        };
        let wanted = format!("use `/runbook {}`", typed.verb);
        match self.target_incident(typed).await {
            // A `start` without an incident opens a new one.
            Ok(incident) if typed.verb != "start" || typed.incident.is_some() => {
                self.refuse_unknown_user(&incident.id, None, &wanted).await
            }
            Ok(_) | Err(_) => tracing::warn!(user = self.from.user, wanted, "a person without permission was refused"),
        }
        Err(refused)
    }

    async fn refuse_unknown_user(&self, id: &IncidentId, step: Option<&StepReference>, wanted: &str) {
        let by = identity::actor(self.estate, &self.from.user);
        let request = Request::RefuseUnknownUser { step: step.cloned(), wanted: wanted.to_owned() };
        if let Err(error) = self.handlers.engine.submit_once(id, Command { by, request }, self.from.name.clone()).await
        {
            tracing::warn!(incident = %id, %error, "the refusal of a person without permission cannot be recorded");
        }
    }

    /// The incident's state as a message.
    fn live(&self, incident: &Incident) -> Card {
        card::live(incident, &[], self.handlers.engine.page_link(&incident.id).as_deref())
    }

    async fn incident(&self, id: &IncidentId) -> Result<Incident, Card> {
        self.handlers.engine.incident(id).await.map_err(|error| engine_refusal(&error))
    }

    /// The open incidents, most severe first.
    async fn open(&self) -> Result<Vec<Incident>, Card> {
        let live = self.handlers.engine.parts().store.live().await.map_err(|error| engine_refusal(&error.into()))?;
        let mut open = Vec::new();
        for summary in live {
            // A damaged incident must not hide the others.
            if let Ok(incident) = self.handlers.engine.incident(&summary.id).await {
                open.push(incident);
            }
        }
        open.retain(|incident| incident.status != IncidentStatus::Resolved);
        open.sort_by_key(|incident| (incident.severity, incident.opened.at));
        Ok(open)
    }

    /// The incident of a command: the named one, or the only open one.
    async fn target_incident(&self, typed: &Typed) -> Result<Incident, Card> {
        if let Some(id) = &typed.incident {
            return self.incident(id).await;
        }
        let mut open = self.open().await?;
        if let Some(card) = near_miss(typed, &open) {
            return Err(card);
        }
        match open.len() {
            0 => Err(no_open_incident(typed, self.handlers.engine.find(None).await.ok().as_ref())),
            1 => Ok(open.remove(0)),
            _ => Err(choose_incident(typed, &open)),
        }
    }

    /// The incident of a command. If none is named or open, the most recently changed one.
    async fn incident_or_last(&self, typed: &Typed) -> Result<Incident, Card> {
        match self.target_incident(typed).await {
            Err(card) if typed.incident.is_none() && self.open().await?.is_empty() => {
                let last = self.handlers.engine.find(None).await.map_err(|_| card)?;
                self.incident(&last).await
            }
            found => found,
        }
    }

    /// Finds the incident of a command whose only argument is the beginning of an incident's id.
    async fn with_incident(&self, mut typed: Typed) -> Result<Typed, Card> {
        if typed.incident.is_none() && !typed.rest.is_empty() {
            self.may(Permission::Read)?;
            let found = self.handlers.engine.find(Some(&typed.rest.to_lowercase())).await;
            typed.incident = Some(found.map_err(|error| unknown_incident(&typed, &error))?);
        }
        Ok(typed)
    }
}
