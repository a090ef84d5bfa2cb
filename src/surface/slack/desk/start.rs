//! Starting a runbook: with what was typed, what an alert gave, or what a form asked for because it was missing.

use serde_json::{Map, Value};

use super::super::form::{self, ENVIRONMENT, Purpose};
use super::super::person::Wish;
use super::super::word::{first, settings};
use super::{Answer, Said, Visit, say};
use crate::domain::command::{Request, Start};
use crate::domain::decide::suggest;
use crate::domain::event::Mode;
use crate::domain::id::IncidentId;
use crate::domain::runbook::{Param, Runbook};

/// The word that names the environment, unless the runbook has a parameter of that name.
const ENV: &str = "env";
/// How often another id is tried when one is taken: with 2^32 of them, once is already rare.
const ID_ATTEMPTS: usize = 8;

/// What is to be started.
struct Order {
    runbook: Runbook,
    digest: String,
    incident: Option<IncidentId>,
    environment: Option<String>,
    params: Vec<(String, String)>,
}

impl Visit<'_> {
    /// `start p1 [k=v …]`, in the incident that was named or a new one.
    pub(super) async fn start_typed(&self, incident: Option<IncidentId>, words: &str) -> Said {
        self.may(Wish::Act)?;
        let (id, rest) = first(words);
        let catalog = &self.desk.engine.parts().catalog;
        if id.is_empty() {
            let known: Vec<&str> = catalog.sheets().map(|(id, _)| id).collect();
            return Err(say(&format!("Say which: `/runbook start` and one of {}.", known.join(", "))));
        }
        let given = settings(rest).map_err(|why| say(&format!("{why}. Type `/runbook start {id} name=value`.")))?;
        self.start_given(id, incident, given).await
    }

    /// With what the form asked for.
    pub(super) async fn start_filled(
        &self,
        runbook: &str,
        incident: Option<IncidentId>,
        mut given: Vec<(String, String)>,
        fields: &[(String, String)],
    ) -> Said {
        for (name, value) in fields {
            given.push((if name == ENVIRONMENT { ENV.to_owned() } else { name.clone() }, value.clone()));
        }
        self.start_given(runbook, incident, given).await
    }

    /// What an alert has proposed, with what it gave.
    pub(super) async fn start_proposed(&self, id: &IncidentId, runbook: &str) -> Said {
        self.may(Wish::Act)?;
        let incident = self.incident(id).await?;
        let proposal = incident.proposals.iter().find(|proposal| proposal.runbook == runbook);
        let proposal = proposal.ok_or_else(|| say("It was started already, or is not proposed any more."))?;
        let word = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let given = proposal.params.iter().map(|(name, value)| (name.clone(), word(value))).collect();
        self.start_given(runbook, Some(id.clone()), given).await
    }

    async fn start_given(&self, id: &str, incident: Option<IncidentId>, given: Vec<(String, String)>) -> Said {
        let by = self.may(Wish::Act)?;
        let mut order = self.order(id, incident, given)?;
        if let Some(incident) = &order.incident {
            order.environment = Some(self.incident(incident).await?.environment);
        }
        let missing: Vec<&Param> = order.runbook.params.iter().filter(|param| order.lacks(param)).collect();
        if order.environment.is_none() || !missing.is_empty() {
            let (title, fields) = form::start(&order.runbook, self.estate, &missing, order.environment.is_none());
            let mut given = order.params.clone();
            given.extend(order.environment.iter().map(|name| (ENV.to_owned(), name.clone())));
            let purpose = Purpose::Start { runbook: order.runbook.id, incident: order.incident, given };
            return Ok(Answer::Form { title, fields, purpose });
        }
        let incident = match &order.incident {
            Some(incident) => incident.clone(),
            None => self.fresh().await?,
        };
        // The one on duty has to know it for the shop's own before it is durable.
        (self.desk.terms.opening)(&incident);
        let start = self.started(order, incident.clone());
        let opened = self.ask(&incident, by, Request::Start(Box::new(start))).await?;
        Ok(Answer::Say(self.live(&opened)))
    }

    fn order(
        &self,
        id: &str,
        incident: Option<IncidentId>,
        given: Vec<(String, String)>,
    ) -> Result<Order, super::Card> {
        let catalog = &self.desk.engine.parts().catalog;
        let (runbook, digest) = catalog.get(id).map_err(|why| {
            let known: Vec<&str> = catalog.sheets().map(|(id, _)| id).collect();
            say(&format!("{}. {}", super::capital(&why), suggest(id, &known, "/runbook start")))
        })?;
        let own = runbook.params.iter().any(|param| param.name == ENV);
        let (named, params): (Vec<_>, Vec<_>) = given.into_iter().partition(|(name, _)| name == ENV && !own);
        let only = || self.estate.environments.keys().next().filter(|_| self.estate.environments.len() == 1);
        let usual = self.estate.default_environment.as_ref().or_else(only).cloned();
        let environment = named.into_iter().next_back().map(|(_, name)| name).or(usual);
        Ok(Order { runbook, digest, incident, environment, params })
    }

    fn started(&self, order: Order, incident: IncidentId) -> Start {
        let params: Map<String, Value> =
            order.params.into_iter().map(|(name, value)| (name, Value::String(value))).collect();
        Start {
            incident,
            runbook: order.runbook,
            digest: order.digest,
            estate: self.estate.clone(),
            environment: order.environment.unwrap_or_default(),
            params,
            mode: Mode::Guided,
            detected_at: None,
            title: None,
            parent: None,
            alert: None,
        }
    }

    /// An id that nobody has.
    async fn fresh(&self) -> Result<IncidentId, super::Card> {
        for _ in 0..ID_ATTEMPTS {
            let id = IncidentId::from_bits((self.desk.terms.chance)());
            let seq = self.desk.engine.parts().store.seq(&id).await;
            if seq.map_err(|error| super::no(&error.into()))? == 0 {
                return Ok(id);
            }
        }
        Err(say("No incident id is free. Try again."))
    }
}

impl Order {
    fn lacks(&self, param: &Param) -> bool {
        param.default.is_none() && !self.params.iter().any(|(name, _)| *name == param.name)
    }
}
