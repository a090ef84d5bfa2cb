//! Starts a runbook: with typed arguments, with those of a proposal, or with a form for the missing ones.

use serde_json::{Map, Value};

use super::super::parse::command::{Typed, first};
use super::super::parse::identity::Permission;
use super::super::parse::start_args::{StartArgs, StartVocabulary};
use super::super::render::card::Card;
use super::super::render::modal;
use super::super::render::modal::{ENVIRONMENT, ModalPurpose};
use super::super::render::question::capital;
use super::refusal::refusal;
use super::{HandlerReply, HandlerResult, Interaction, engine_refusal, reply_text};
use crate::domain::core::id::IncidentId;
use crate::domain::core::suggest::{did_you_mean, nearest};
use crate::domain::incident::Incident;
use crate::domain::incident::command::{Command, Request, StartRequest};
use crate::domain::incident::event::{Actor, Mode};
use crate::domain::runbook::{Param, Runbook};

/// The most attempts to find a free incident id. With 2^32 ids even one collision is rare.
const ID_ATTEMPTS: usize = 8;

impl Interaction<'_> {
    /// Handles `start p1 [k=v …]`, in the named incident or a new one.
    pub(super) async fn start_typed(&self, typed: &Typed) -> HandlerResult {
        self.may_typed(typed, Permission::Act).await?;
        let (id, rest) = first(&typed.rest);
        let catalog = &self.handlers.engine.parts().catalog;
        if id.is_empty() {
            let known: Vec<&str> = catalog.files().map(|(id, _)| id).collect();
            return Err(reply_text(&format!("Type `/runbook start` with a runbook: {}.", known.join(", "))));
        }
        let (runbook, _) = self.runbook(id)?;
        let known = StartVocabulary {
            runbook: &runbook.id,
            params: runbook.params.iter().map(|param| param.name.as_str()).collect(),
            environments: self.estate.environments.keys().map(String::as_str).collect(),
            now: self.handlers.engine.parts().clock.now(),
        };
        let mut order = StartArgs::read(rest, &known).map_err(|refused| refusal(&refused))?;
        order.incident = typed.incident.as_ref().map(ToString::to_string).or(order.incident);
        self.start(id, order).await
    }

    /// Starts a runbook with the fields of the submitted form.
    pub(super) async fn start_filled(
        &self,
        runbook: &str,
        mut order: StartArgs,
        fields: &[(String, String)],
    ) -> HandlerResult {
        for (name, value) in fields {
            match name.as_str() {
                ENVIRONMENT => order.environment = Some(value.clone()),
                name => order.params.push((name.to_owned(), value.clone())),
            }
        }
        self.start(runbook, order).await
    }

    /// Starts a runbook that an alert has proposed, with the proposed parameters.
    pub(super) async fn start_proposed(&self, id: &IncidentId, runbook: &str) -> HandlerResult {
        self.may(Permission::Act)?;
        let incident = self.incident(id).await?;
        if !incident.proposals.iter().any(|proposal| proposal.runbook == runbook) {
            return Err(reply_text("The runbook has already been started, or is no longer proposed."));
        }
        self.start(runbook, StartArgs { incident: Some(id.to_string()), ..StartArgs::default() }).await
    }

    async fn start(&self, id: &str, mut order: StartArgs) -> HandlerResult {
        let by = self.may(Permission::Act)?;
        let (runbook, digest) = self.runbook(id)?;
        let existing = self.existing_incident(id, &mut order).await?;
        let only = || self.estate.environments.keys().next().filter(|_| self.estate.environments.len() == 1);
        order.environment =
            order.environment.or_else(|| self.estate.default_environment.as_ref().or_else(only).cloned());
        let missing: Vec<&Param> = runbook.params.iter().filter(|param| lacks(&order, param)).collect();
        if order.environment.is_none() || !missing.is_empty() {
            let (title, fields) = modal::start(&runbook, self.estate, &missing, order.environment.is_none());
            return Ok(HandlerReply::Form {
                title,
                fields,
                purpose: ModalPurpose::Start { runbook: runbook.id, order },
            });
        }
        let incident = match existing {
            Some(incident) => incident,
            None => self.free_id().await?,
        };
        // The incident must be registered as this project's before its first event is durable.
        (self.handlers.config.before_open)(&incident);
        let start = self.start_request(runbook, digest, order, incident.clone());
        let opened = self.submit_start(&incident, by, start).await?;
        Ok(HandlerReply::Message(self.live(&opened)))
    }

    /// Submits the start. A refusal does not name the incident, which may not exist.
    async fn submit_start(&self, id: &IncidentId, by: Actor, start: StartRequest) -> Result<Incident, Card> {
        let command = Command { by, request: Request::Start(Box::new(start)) };
        let submitted = self.handlers.engine.submit_once(id, command, self.from.name.clone()).await;
        submitted.map_err(|error| engine_refusal(&error))
    }

    /// The existing incident to start in. Takes its environment and the parameters of its proposal where none were typed.
    async fn existing_incident(&self, runbook: &str, order: &mut StartArgs) -> Result<Option<IncidentId>, Card> {
        let Some(named) = &order.incident else { return Ok(None) };
        let id = self.handlers.engine.find(Some(named)).await.map_err(|error| engine_refusal(&error))?;
        let incident = self.incident(&id).await?;
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        for proposal in incident.proposals.iter().filter(|proposal| proposal.runbook == runbook) {
            let is_typed = |name: &String| order.params.iter().any(|(other, _)| other == name);
            let proposed: Vec<_> = proposal.params.iter().filter(|(name, _)| !is_typed(name)).collect();
            order.params.extend(proposed.into_iter().map(|(name, value)| (name.clone(), text(value))));
        }
        order.environment = order.environment.take().or(Some(incident.environment));
        Ok(Some(id))
    }

    pub(super) fn runbook(&self, id: &str) -> Result<(Runbook, String), Card> {
        let catalog = &self.handlers.engine.parts().catalog;
        let known: Vec<&str> = catalog.files().map(|(id, _)| id).collect();
        // Phones capitalise the first letter.
        let lower_case = id.to_lowercase();
        let id = if known.contains(&id) || !known.contains(&lower_case.as_str()) { id } else { &lower_case };
        catalog.get(id).map_err(|why| {
            let hint = match nearest(id, known.iter().copied()) {
                _ if known.contains(&id) => {
                    "On the host, `runbook lint` shows its problems; `/runbook show` lists the other runbooks."
                        .to_owned()
                }
                Some(near) => did_you_mean(&format!("/runbook start {near}")),
                None => format!("`/runbook start` takes one of {}.", known.join(", ")),
            };
            reply_text(&format!("{}. {hint}", capital(&why)))
        })
    }

    fn start_request(&self, runbook: Runbook, digest: String, order: StartArgs, incident: IncidentId) -> StartRequest {
        let params: Map<String, Value> =
            order.params.into_iter().map(|(name, value)| (name, Value::String(value))).collect();
        StartRequest {
            incident,
            runbook,
            digest,
            estate: self.estate.clone(),
            environment: order.environment.unwrap_or_default(),
            params,
            mode: order.mode.unwrap_or(Mode::Guided),
            detected_at: order.detected_at,
            title: order.title,
            parent: None,
            alert: None,
        }
    }

    /// An incident id that is not in use.
    async fn free_id(&self) -> Result<IncidentId, super::Card> {
        for _ in 0..ID_ATTEMPTS {
            let id = IncidentId::from_bits((self.handlers.config.random_bits)());
            let seq = self.handlers.engine.parts().store.seq(&id).await;
            if seq.map_err(|error| super::engine_refusal(&error.into()))? == 0 {
                return Ok(id);
            }
        }
        Err(reply_text("No incident id is free. Try again."))
    }
}

fn lacks(order: &StartArgs, param: &Param) -> bool {
    param.default.is_none() && !order.params.iter().any(|(name, _)| *name == param.name)
}
