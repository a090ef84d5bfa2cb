//! The engine: validates commands, appends events, and runs whatever the state requires.
//!
//! **Invariant:** every event is appended by [`commit`]. Each caller decides on a folded state and appends after the last event
//! of that state. The callers are commands ([`Engine::submit`]), the [`worker`] and the [`dispatcher`].

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

/// The values and services that an engine works with.
#[derive(Debug, Clone)]
pub struct Parts {
    /// The log.
    pub store: Arc<dyn EventStore>,
    pub clock: SharedClock,
    /// The values of the estate's secrets.
    pub secrets: Arc<Secrets>,
    /// Removes the secrets from text.
    pub redactor: Arc<Redactor>,
    /// The environment variables that every child process gets: PATH, HOME, LANG, TZ.
    pub base_environment: Arc<BTreeMap<String, String>>,
    /// The project directory: the one that holds `runbooks/`.
    pub directory: PathBuf,
    /// The runbooks that a step may start.
    pub catalog: Arc<catalog::Catalog>,
    /// The name of this process in leases, made by [`holder`].
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
    fold_cache: Arc<fold_cache::FoldCache>,
    newest: Arc<reload::LoadedFiles>,
}

/// When [`Engine::drive`] returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReturnWhen {
    /// As soon as only a person can continue.
    UntilPerson,
    /// When every run is over.
    UntilOver,
    /// As soon as nothing is in progress. The caller decides when to call again.
    UntilQuiet,
}

/// Why [`Engine::drive`] returned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stop {
    /// Every run and undo is over. Messages may still be pending.
    Over,
    /// The runs wait for a person.
    NeedsPerson,
    /// Nothing is in progress, and nothing is due yet.
    Quiet,
    /// Another worker holds or held the lease.
    Taken(Lease),
    /// The token was cancelled. Results up to then are recorded.
    Detached,
}

/// Why an operation of the engine failed.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The command is refused.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The store has an error.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// An event of the log is illegal in its state: the log is damaged.
    #[error(transparent)]
    Illegal(#[from] Illegal),
    /// No such incident.
    #[error("there is no incident `{0}`")]
    NotFound(String),
    /// More than one incident id begins with the prefix.
    #[error("more than one incident begins with `{prefix}`: {}", .candidates.join(", "))]
    Ambiguous {
        /// The prefix that a person typed.
        prefix: String,
        /// The incidents, at most [`CANDIDATE_LIMIT`].
        candidates: Vec<String>,
    },
    /// The post-mortem draft or the report is not on disk.
    #[error(transparent)]
    ReportFile(#[from] report_files::ReportFileError),
    /// Input or output outside the store failed.
    #[error("{what}: {source}")]
    Io {
        /// The operation.
        what: String,
        /// The error of the operating system.
        source: std::io::Error,
    },
}

impl Engine {
    /// Makes an engine from its parts.
    pub fn new(parts: Parts) -> Self {
        let delivery = delivery::DeliveryService::new(
            Arc::clone(&parts.secrets),
            Arc::clone(&parts.redactor),
            Arc::clone(&parts.clock),
            Arc::clone(&parts.base_environment),
            parts.directory.clone(),
        );
        let (parts, delivery) = (Arc::new(parts), Arc::new(delivery));
        let newest = Arc::new(reload::LoadedFiles::new(&parts, &delivery));
        Self { parts, publisher: Arc::new(Publisher::new()), delivery, fold_cache: Arc::default(), newest }
    }

    /// The values and services that it works with.
    pub fn parts(&self) -> &Parts {
        &self.parts
    }

    /// The service that delivers its messages.
    pub fn delivery(&self) -> &delivery::DeliveryService {
        &self.delivery
    }

    /// Submits a command: decides on the current state and appends. Decides again after a conflict.
    pub async fn submit(&self, incident: &IncidentId, command: Command) -> Result<Incident, EngineError> {
        self.submit_as(incident, command.by, Ok(command.request), Vec::new()).await
    }

    /// Submits a command at most once: registers `name` with the events. If the name is already registered, this returns
    /// [`StoreError::Taken`].
    pub async fn submit_once(
        &self,
        incident: &IncidentId,
        command: Command,
        name: String,
    ) -> Result<Incident, EngineError> {
        self.submit_as(incident, command.by, Ok(command.request), vec![name]).await
    }

    /// Submits a request that an interface has already resolved to a step, or records the refusal of the interface if it has an
    /// event. With a name, the request is submitted at most once.
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
        let decide = |state: Option<&Incident>, at| {
            let decided = command.as_ref().map_err(Refused::clone).and_then(|command| decide(state, command, at));
            let (events, refused) = match decided {
                Ok(events) => (events, None),
                // A refusal that has an event is recorded before it is returned.
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

    /// Every event of an incident, in order.
    pub async fn log(&self, id: &IncidentId) -> Result<Vec<Recorded>, EngineError> {
        let log = self.parts.store.read(id, 0).await?;
        if log.is_empty() { Err(EngineError::NotFound(id.to_string())) } else { Ok(log) }
    }

    /// The current state of an incident.
    pub async fn incident(&self, id: &IncidentId) -> Result<Incident, EngineError> {
        self.current_state(id).await?.ok_or_else(|| EngineError::NotFound(id.to_string()))
    }

    /// The current state of an incident; none when the log has no such incident.
    async fn current_state(&self, id: &IncidentId) -> Result<Option<Incident>, EngineError> {
        let mut state = self.fold_cache.get(id);
        let after = state.as_ref().map_or(0, |incident| incident.seq);
        let added = self.parts.store.read(id, after).await?;
        extend(&mut state, &added)?;
        if !added.is_empty() {
            state.iter().for_each(|state| self.fold_cache.put(state));
        }
        Ok(state)
    }

    /// The incident whose id begins with `prefix`. Without a prefix, the incident that changed most recently.
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

    /// Subscribes to an incident: the events behind event `after`, and live output.
    pub fn subscribe(&self, incident: &IncidentId, after: u64) -> Subscription {
        Subscription::new(Arc::clone(&self.parts), &self.publisher, incident.clone(), after)
    }

    /// Refuses to start a run on a host that is not one of the environment's `hostname` guard.
    fn guard_host(&self, command: &Command) -> Result<(), Refused> {
        let Request::Start(start) = &command.request else {
            return Ok(());
        };
        let environment = start.estate.environments.get(&start.environment);
        match environment.and_then(|environment| environment.refuses(&self.parts.hostname)) {
            Some(pattern) => {
                let message = format!("`{}` is not a host of `{}`", self.parts.hostname, start.environment);
                Err(Refused::not_allowed(message).hint(format!("Run this command on a host that matches `{pattern}`.")))
            }
            None => Ok(()),
        }
    }

    /// The events of the run that a step starts, or the reason why it cannot start.
    fn child_run(
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

    /// Writes the post-mortem draft or the report from the durable events. Returns the event that records it.
    async fn write_postmortem_draft(&self, id: &IncidentId, incident: &Incident) -> Result<Event, EngineError> {
        let log = self.log(id).await?;
        let report_files::WrittenReport { path, digest } = report_files::write(&self.parts.directory, incident, &log)?;
        Ok(match incident.is_maintenance() {
            true => Event::Incident(IncidentEvent::ReportWritten { path, digest }),
            false => Event::Incident(IncidentEvent::PostmortemWritten { path, digest }),
        })
    }
}
