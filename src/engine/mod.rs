//! The loop: takes commands in by one door, finds out what is due, does it and records what became of it.
//!
//! **Invariant:** every change of an incident goes through [`Engine::submit`] or the worker in [`turn`];
//! both decide on a folded log and append with the number they decided on.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::actions::Secrets;
use crate::clock::SharedClock;
use crate::domain::command::{Command, Refused};
use crate::domain::event::Recorded;
use crate::domain::id::{IncidentId, RunId, StepKey};
use crate::domain::incident::{Illegal, Incident};
use crate::domain::redact::Redactor;
use crate::store::{Claim, EventStore, StoreError};

pub mod archive;
pub mod catalog;
pub mod courier;

/// What an engine is made of.
#[derive(Debug, Clone)]
pub struct Parts {
    /// Where logs live.
    pub store: Arc<dyn EventStore>,
    /// Where `now` comes from.
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
}

/// When [`Engine::drive`] comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Patience {
    /// As soon as only a person can go on.
    UntilPerson,
    /// When every run is over.
    UntilOver,
}

/// Why [`Engine::drive`] came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stop {
    /// Every run is over and nothing is owed.
    Over,
    /// Only a person can go on.
    NeedsPerson,
    /// Another live process works on it.
    Taken(Claim),
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
    /// Our own input or output outside the store.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// The system's word.
        source: std::io::Error,
    },
}

/// What a face hears of an incident.
#[derive(Debug, Clone, PartialEq)]
pub enum News {
    /// Events that are durable, in order.
    Events(Vec<Recorded>),
    /// A line that a running step has printed, redacted; never recorded. Only heard in the process that runs it.
    Line {
        /// The run.
        run: RunId,
        /// The step.
        step: StepKey,
        /// The line, not yet made printable.
        text: String,
    },
}

/// The news of one incident: from this process at once, from others within a quarter of a second.
#[derive(Debug)]
pub struct Feed {}

impl Feed {
    /// Waits for the next news. Cancel-safe.
    pub async fn next(&mut self) -> Result<News, EngineError> {
        std::future::pending().await
    }
}

impl Engine {
    /// An engine of these parts.
    pub fn new(parts: Parts) -> Self {
        Self { parts: Arc::new(parts) }
    }

    /// What it is made of.
    pub fn parts(&self) -> &Parts {
        &self.parts
    }

    /// The one door in: decides on the present state and appends; again when somebody else was first.
    pub async fn submit(&self, _incident: &IncidentId, _command: Command) -> Result<Incident, EngineError> {
        std::future::pending().await
    }

    /// What is true of an incident.
    pub async fn incident(&self, _id: &IncidentId) -> Result<Incident, EngineError> {
        std::future::pending().await
    }

    /// The incident whose id begins with `prefix`; with none given, the one changed last.
    pub async fn find(&self, _prefix: Option<&str>) -> Result<IncidentId, EngineError> {
        std::future::pending().await
    }

    /// The news of an incident from event `after` on.
    pub fn feed(&self, _incident: &IncidentId, _after: u64) -> Feed {
        Feed {}
    }

    /// Works on an incident: claims it, does what is due, sleeps until something is, and comes back as `patience` says.
    pub async fn drive(
        &self,
        _incident: &IncidentId,
        _patience: Patience,
        _detach: &CancellationToken,
    ) -> Result<Stop, EngineError> {
        std::future::pending().await
    }
}
