//! The engine: validates commands, appends events, and runs whatever the state requires.
//!
//! **Invariant:** every change of an incident goes through [`Engine::submit`] or a [`worker`]. Both decide on folded state and
//! append with the sequence number that they decided on; [`commit`] does the appending.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::{Map, Value};

use self::commit::Decision;
use self::subscription::Publisher;
use crate::actions::Secrets;
use crate::clock::SharedClock;
use crate::domain::core::id::{IncidentId, RunId, StepKey};
use crate::domain::core::time::Timestamp;
use crate::domain::incident::command::{Command, Refused, Request, StartRequest};
use crate::domain::incident::decide::decide;
use crate::domain::incident::event::{Actor, Event, IncidentEvent, Parent, Recorded};
use crate::domain::incident::{Illegal, Incident, extend};
use crate::domain::redact::Redactor;
use crate::store::{EventStore, Lease, StoreError};

pub use self::lease::{holder, is_alive};
pub use self::subscription::{IncidentUpdate, Subscription};

pub mod catalog;
mod commit;
pub mod delivery;
pub mod dispatcher;
mod fold_cache;
pub mod inspect;
mod lease;
pub mod page_link;
pub mod reload;
pub mod report_files;
pub mod schedule_state;
mod subscription;
mod worker;

/// How many candidates an ambiguous prefix names.
const CANDIDATE_LIMIT: u32 = 8;

/// What an engine is made of.
#[derive(Debug, Clone)]
pub struct Parts {
    /// Where logs live.
    pub store: Arc<dyn EventStore>,
    pub clock: SharedClock,
    /// The values of the estate's secrets.
    pub secrets: Arc<Secrets>,
    /// What scrubs them.
    pub redactor: Arc<Redactor>,
    /// The environment variables that every child gets: PATH, HOME, LANG, TZ.
    pub basics: Arc<BTreeMap<String, String>>,
    /// The shop's directory: the one that holds `runbooks/`.
    pub directory: PathBuf,
    /// The runbooks that a step may start.
    pub catalog: Arc<catalog::Catalog>,
    /// This process, for claims: `host:pid:start time:random`.
    pub holder: String,
    /// This host's name, compared with an environment's `hostname` guard.
    pub hostname: String,
}

/// The engine. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Engine {
    parts: Arc<Parts>,
    publisher: Arc<Publisher>,
    delivery: Arc<delivery::DeliveryService>,
    known: Arc<fold_cache::FoldCache>,
    newest: Arc<reload::LoadedFiles>,
}

/// When [`Engine::drive`] comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReturnWhen {
    /// As soon as only a person can go on.
    UntilPerson,
    /// When every run is over.
    UntilOver,
    /// As soon as nothing is being done: the caller knows when to come back.
    UntilQuiet,
}

/// Why [`Engine::drive`] came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stop {
    /// Every run is over and nothing is owed.
    Over,
    /// The runs wait for a person.
    NeedsPerson,
    /// Nothing is being done, and nothing is owed yet.
    Quiet,
    /// Another live process works on it.
    Taken(Lease),
    /// The token was cancelled; what was being done is recorded as far as it came.
    Detached,
}

/// Our own trouble, or our no.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// Our no to a person.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The store's trouble.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A damaged log.
    #[error(transparent)]
    Illegal(#[from] Illegal),
    /// No such incident.
    #[error("there is no incident `{0}`")]
    NotFound(String),
    /// More than one incident begins so.
    #[error("more than one incident begins with `{prefix}`: {}", .candidates.join(", "))]
    Ambiguous {
        /// What was typed.
        prefix: String,
        /// Which begin so.
        candidates: Vec<String>,
    },
    /// The post-mortem draft is not on disk.
    #[error(transparent)]
    Archive(#[from] report_files::ReportFileError),
    /// Our own input or output outside the store.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// The system's word.
        source: std::io::Error,
    },
}

impl Engine {
    /// An engine of these parts.
    pub fn new(parts: Parts) -> Self {
        let delivery = delivery::DeliveryService::new(
            Arc::clone(&parts.secrets),
            Arc::clone(&parts.redactor),
            Arc::clone(&parts.clock),
            Arc::clone(&parts.basics),
            parts.directory.clone(),
        );
        let (parts, delivery) = (Arc::new(parts), Arc::new(delivery));
        let newest = Arc::new(reload::LoadedFiles::new(&parts, &delivery));
        Self { parts, publisher: Arc::new(Publisher::new()), delivery, known: Arc::default(), newest }
    }

    /// What it is made of.
    pub fn parts(&self) -> &Parts {
        &self.parts
    }

    /// What delivers its messages.
    pub fn delivery(&self) -> &delivery::DeliveryService {
        &self.delivery
    }

    /// Submits a command: decides on the current state and appends. Decides again after a conflict.
    pub async fn submit(&self, incident: &IncidentId, command: Command) -> Result<Incident, EngineError> {
        self.submit_as(incident, command.by, Ok(command.request), Vec::new()).await
    }

    /// Submits a command at most once. The request's name is registered with the events; a name that any process
    /// registered before gives [`StoreError::Taken`].
    pub async fn submit_once(
        &self,
        incident: &IncidentId,
        command: Command,
        name: String,
    ) -> Result<Incident, EngineError> {
        self.submit_as(incident, command.by, Ok(command.request), vec![name]).await
    }

    /// The same for what a person typed, once an interface has found the step that is meant or refused: such a refusal is
    /// recorded like one of [`decide`]. The request's name is given where it has one.
    pub async fn submit_resolved(
        &self,
        incident: &IncidentId,
        by: Actor,
        request: Result<Request, Refused>,
        name: Option<String>,
    ) -> Result<Incident, EngineError> {
        self.submit_as(incident, by, request, name.into_iter().collect()).await
    }

    async fn submit_as(
        &self,
        incident: &IncidentId,
        by: Actor,
        request: Result<Request, Refused>,
        names: Vec<String>,
    ) -> Result<Incident, EngineError> {
        let command = request.map(|request| Command { by: by.clone(), request });
        if let Ok(command) = &command {
            self.guard_host(command)?;
        }
        let decide = |present: Option<&Incident>, at| {
            let decided = command.as_ref().map_err(Refused::clone).and_then(|command| decide(present, command, at));
            let (events, refused) = match decided {
                Ok(events) => (events, None),
                // A refusal that others must know of is recorded before it is returned.
                Err(Refused { record: Some(event), message, hint, cause }) => {
                    (vec![*event], Some(Refused { message, hint, cause, record: None }))
                }
                Err(refused) => return Err(refused),
            };
            Ok((Decision { by: by.clone(), at, events }, refused))
        };
        match self.decide_and_commit(incident, &names, decide).await? {
            (_, Some(refused)) => Err(refused.into()),
            (state, None) => state.ok_or_else(|| EngineError::NotFound(incident.to_string())),
        }
    }

    /// The events of an incident, none missing.
    pub async fn log(&self, id: &IncidentId) -> Result<Vec<Recorded>, EngineError> {
        let log = self.parts.store.read(id, 0).await?;
        if log.is_empty() { Err(EngineError::NotFound(id.to_string())) } else { Ok(log) }
    }

    /// What is true of an incident.
    pub async fn incident(&self, id: &IncidentId) -> Result<Incident, EngineError> {
        self.present(id).await?.ok_or_else(|| EngineError::NotFound(id.to_string()))
    }

    /// What is true of an incident, if there is one.
    async fn present(&self, id: &IncidentId) -> Result<Option<Incident>, EngineError> {
        let mut present = self.known.get(id);
        let after = present.as_ref().map_or(0, |incident| incident.seq);
        let added = self.parts.store.read(id, after).await?;
        extend(&mut present, &added)?;
        if !added.is_empty() {
            present.iter().for_each(|present| self.known.keep(present));
        }
        Ok(present)
    }

    /// The incident whose id begins with `prefix`; with none given, the one changed last.
    pub async fn find(&self, prefix: Option<&str>) -> Result<IncidentId, EngineError> {
        let Some(prefix) = prefix else {
            let latest = self.parts.store.incidents(1, 0).await?;
            let latest = latest.into_iter().next().map(|summary| summary.id);
            return latest.ok_or_else(|| {
                Refused::usage("there is no incident yet").hint("Open one: `runbook start <id>`.").into()
            });
        };
        let mut candidates = self.parts.store.find(prefix, CANDIDATE_LIMIT).await?;
        if let Some(exact) = candidates.iter().find(|id| id.as_str() == prefix) {
            return Ok(exact.clone());
        }
        match (candidates.pop(), candidates.is_empty()) {
            (Some(only), true) => Ok(only),
            (Some(last), false) => {
                let candidates = candidates.iter().chain([&last]).map(ToString::to_string).collect();
                Err(EngineError::Ambiguous { prefix: prefix.to_owned(), candidates })
            }
            (None, _) => Err(EngineError::NotFound(prefix.to_owned())),
        }
    }

    /// The news of an incident from event `after` on.
    pub fn feed(&self, incident: &IncidentId, after: u64) -> Subscription {
        Subscription::new(Arc::clone(&self.parts), &self.publisher, incident.clone(), after)
    }

    /// Nothing runs on a host that the environment's guard does not name.
    fn guard_host(&self, command: &Command) -> Result<(), Refused> {
        let Request::Start(start) = &command.request else {
            return Ok(());
        };
        let environment = start.estate.environments.get(&start.environment);
        match environment.and_then(|environment| environment.refuses(&self.parts.hostname)) {
            Some(pattern) => {
                let message = format!("`{}` is not a host of `{}`", self.parts.hostname, start.environment);
                Err(Refused::not_allowed(message).hint(format!("Its hosts are `{pattern}`: type it there.")))
            }
            None => Ok(()),
        }
    }

    /// The events of a runbook that a step starts; why not, in words.
    fn further_run(
        &self,
        incident: &Incident,
        run: RunId,
        step: &StepKey,
        runbook: &str,
        params: Map<String, Value>,
        now: Timestamp,
    ) -> Result<Vec<Event>, String> {
        let (runbook, digest) = self.parts.catalog.get(runbook)?;
        let parent = incident.run(run).ok_or_else(|| format!("there is no run {run}"))?;
        let start = StartRequest {
            incident: incident.id.clone(),
            runbook,
            digest,
            estate: (*parent.estate).clone(),
            environment: incident.environment.clone(),
            params,
            mode: parent.mode,
            detected_at: None,
            title: None,
            parent: Some(Parent { run, step: step.clone() }),
            alert: None,
        };
        let command = Command { by: Actor::Engine, request: Request::Start(Box::new(start)) };
        decide(Some(incident), &command, now).map_err(|refused| refused.to_string())
    }

    /// Writes the post-mortem draft, or the report, of what is durable; the event that says so.
    async fn write_postmortem_draft(&self, id: &IncidentId, incident: &Incident) -> Result<Event, EngineError> {
        let log = self.log(id).await?;
        let report_files::WrittenReport { path, digest } = report_files::write(&self.parts.directory, incident, &log)?;
        Ok(match incident.is_maintenance() {
            true => Event::Incident(IncidentEvent::ReportWritten { path, digest }),
            false => Event::Incident(IncidentEvent::PostmortemWritten { path, digest }),
        })
    }
}
