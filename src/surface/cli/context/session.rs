//! The settings and the output of a command, and the engine with its runtime for commands that open it.
//!
//! **Invariant:** creating a [`Session`] opens nothing. Only its methods `open…` and `runtime` start a runtime, and only
//! `open…` reads or creates the store.

use std::fs::DirBuilder;
use std::future::Future;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use secrecy::{ExposeSecret, SecretString};
use tokio::runtime::Runtime;

use super::hostname::hostname;
use super::project::Project;
use super::settings::{ProjectSource, Settings};
use super::{local_user, secrets};
use crate::actions::Secrets;
use crate::clock::{SharedClock, SystemClock};
use crate::domain::config::estate::Estate;
use crate::domain::core::id::IncidentId;
use crate::domain::incident::Incident;
use crate::domain::incident::command::{Command, Refused, Request};
use crate::domain::incident::event::{Actor, Recorded};
use crate::domain::redact::Redactor;
use crate::engine::catalog::Catalog;
use crate::engine::{self, Engine, EngineError, Parts};
use crate::store::EventStore;
use crate::store::sqlite::Sqlite;
use crate::surface::cli::output::error::{Failure, Result};
use crate::surface::cli::output::writer::Output;

/// The name of the log's file in the state directory.
const LOG_FILE: &str = "runbook.db";
/// The name of the file in the state directory that records since when each schedule is active.
const SCHEDULES_FILE: &str = "schedules.json";
/// How many recent incidents are searched for an id similar to a mistyped one.
const NEAREST_OF: u32 = 200;
/// The name that a person types for the most recently changed incident.
const LAST: &str = "last";

/// The settings and the output of a command.
#[derive(Debug)]
pub struct Session {
    pub settings: Settings,
    pub output: Output,
}

/// An engine and the runtime in which it runs.
#[derive(Debug)]
pub struct OpenEngine<'a> {
    pub session: &'a Session,
    pub engine: Engine,
    /// The person at the command line.
    pub actor: Actor,
    runtime: Runtime,
}

impl Session {
    /// A session with these settings.
    pub fn new(settings: Settings) -> Self {
        let output = Output::new(settings.format);
        Self { settings, output }
    }

    /// The system clock.
    pub fn clock(&self) -> SharedClock {
        Arc::new(SystemClock)
    }

    /// The command `runbook <arguments>`, with the flags to repeat.
    pub fn command(&self, arguments: &str) -> String {
        format!("{} {arguments}", self.settings.command())
    }

    /// The state directory.
    pub fn state(&self) -> Result<PathBuf> {
        self.settings.state.clone().map_err(|reason| {
            Failure::usage(format!("there is no directory for the log: {reason}"))
                .hint("Name a directory: `--state DIR` or `RUNBOOK_STATE`.")
        })
    }

    /// The path of the log.
    pub fn log(&self) -> Result<PathBuf> {
        Ok(self.state()?.join(LOG_FILE))
    }

    /// The path of the schedules' state.
    pub fn schedules(&self) -> Result<PathBuf> {
        Ok(self.state()?.join(SCHEDULES_FILE))
    }

    /// Opens the log for work on this project; creates the log if it does not exist.
    pub fn open(&self, project: Project) -> Result<OpenEngine<'_>> {
        self.open_on(self.runtime()?, project)
    }

    /// As [`Session::open`], with a runtime of several threads: a server reads incidents while another one is decided.
    pub fn open_for_many(&self, project: Project) -> Result<OpenEngine<'_>> {
        /// One thread reads and one decides; writing has its own thread.
        const THREADS: usize = 2;
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        self.open_on(build(runtime.worker_threads(THREADS))?, project)
    }

    fn open_on(&self, runtime: Runtime, project: Project) -> Result<OpenEngine<'_>> {
        let state = self.state()?;
        // Only its owner may read the directory, because the log holds the output of commands.
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&state)
            .map_err(|error| Failure::error(format!("`{}` cannot be created: {error}", state.display())))?;
        let secrets =
            project.catalog.estate().content.as_ref().map(|estate| self.secrets(estate, &project)).unwrap_or_default();
        self.open_engine(runtime, project, secrets)
    }

    /// Opens an existing log. The project may be missing; [`OpenEngine::prepare`] is needed before an incident is changed.
    pub fn open_read_only(&self) -> Result<OpenEngine<'_>> {
        self.require_log()?;
        let no_project = || Project { directory: self.settings.working_directory.clone(), catalog: Catalog::default() };
        self.open_engine(
            self.runtime()?,
            Project::open(&self.settings).unwrap_or_else(|_| no_project()),
            Secrets::default(),
        )
    }

    /// A single-threaded runtime. Commands mostly wait for the disk, child processes and the network, so handing work
    /// between threads would cost more than it saves.
    pub fn runtime(&self) -> Result<Runtime> {
        build(&mut tokio::runtime::Builder::new_current_thread())
    }

    /// Whether the log exists.
    pub fn has_log(&self) -> Result<bool> {
        Ok(self.state()?.join(LOG_FILE).exists())
    }

    fn require_log(&self) -> Result<()> {
        if self.has_log()? {
            return Ok(());
        }
        let state = self.state()?;
        Err(Failure::usage(format!("there are no incidents in `{}`", state.display()))
            .hint("`runbook start <runbook>` opens one."))
    }

    /// The values of the secrets that an estate names, or their errors.
    pub fn secrets(&self, estate: &Estate, project: &Project) -> Secrets {
        secrets::read(estate, &project.directory, &self.settings.environment)
    }

    fn open_engine(&self, runtime: Runtime, project: Project, secrets: Secrets) -> Result<OpenEngine<'_>> {
        let store = runtime.block_on(Sqlite::open(self.state()?.join(LOG_FILE)))?;
        let actor = local_user::actor(project.catalog.estate().content.as_ref().ok(), &self.settings.environment);
        let engine = Engine::new(self.parts(Arc::new(store), project, secrets)?);
        Ok(OpenEngine { session: self, engine, actor, runtime })
    }

    fn parts(&self, store: Arc<dyn EventStore>, project: Project, secrets: Secrets) -> Result<Parts> {
        let hostname = hostname();
        Ok(Parts {
            store,
            clock: self.clock(),
            redactor: Arc::new(redactor(secrets.iter())?),
            secrets: Arc::new(secrets),
            base_environment: Arc::new(self.settings.base_environment()),
            directory: project.directory,
            catalog: Arc::new(project.catalog),
            holder: engine::holder(&hostname),
            hostname,
        })
    }
}

fn build(builder: &mut tokio::runtime::Builder) -> Result<Runtime> {
    let runtime = builder.enable_all().build();
    runtime.map_err(|error| Failure::error(format!("the runtime cannot start: {error}")))
}

impl OpenEngine<'_> {
    /// Runs a future to its end.
    pub fn wait<F: Future>(&self, future: F) -> F::Output {
        self.runtime.block_on(future)
    }

    /// Prepares to change an incident: loads its project, and every secret that its runs or the project name, so that all
    /// of them are redacted from the log. Returns the incident.
    pub fn prepare(&mut self, id: &IncidentId) -> Result<Incident> {
        let incident = self.incident(id)?;
        let project = self.project_of(id)?;
        let mut estate = Estate::default();
        let runs = incident.runs.iter().map(|run| &*run.estate);
        // The project's estate overrides those of earlier runs, because a secret may have moved.
        for source in runs.chain(project.catalog.estate().content.as_ref().ok()) {
            estate.secrets.extend(source.secrets.clone());
        }
        let secrets = self.session.secrets(&estate, &project);
        let people_of =
            project.catalog.estate().content.as_ref().ok().or_else(|| incident.runs.last().map(|run| &*run.estate));
        self.actor = local_user::actor(people_of, &self.session.settings.environment);
        let store = Arc::clone(&self.engine.parts().store);
        self.engine = Engine::new(self.session.parts(store, project, secrets)?);
        Ok(incident)
    }

    /// The project of an incident: the one that a flag or variable names, otherwise the one in which it was opened.
    fn project_of(&self, id: &IncidentId) -> Result<Project> {
        let recorded = std::fs::read_to_string(self.project_file(id)?).ok().map(PathBuf::from);
        match (&self.session.settings.project, recorded) {
            (ProjectSource::Found(_), Some(directory)) if directory.is_dir() => {
                Project::at(directory, &self.session.settings)
            }
            _ => Project::open(&self.session.settings),
        }
    }

    /// Records the project of an incident, so that it can be continued from any directory.
    pub fn record_project(&self, id: &IncidentId) -> Result<()> {
        let file = self.project_file(id)?;
        let directory = self.engine.parts().directory.to_string_lossy().into_owned();
        std::fs::write(&file, directory)
            .map_err(|error| Failure::error(format!("`{}` cannot be written: {error}", file.display())))
    }

    fn project_file(&self, id: &IncidentId) -> Result<PathBuf> {
        Ok(project_file(&self.session.state()?, id))
    }

    /// The store.
    pub fn store(&self) -> &dyn EventStore {
        &*self.engine.parts().store
    }

    /// Finds an incident by its id or the beginning of its id; `last` or none means the most recently changed one.
    pub fn find(&self, typed: Option<&str>) -> Result<IncidentId> {
        let prefix = typed.filter(|typed| *typed != LAST);
        match (self.wait(self.engine.find(prefix)), prefix) {
            (Ok(id), _) => Ok(id),
            (Err(EngineError::NotFound(_)), None) => {
                Err(Failure::usage("there are no incidents").hint("`runbook start <runbook>` opens one."))
            }
            (Err(EngineError::NotFound(_)), Some(prefix)) => Err(self.unknown_incident(prefix)),
            (Err(error), _) => Err(error.into()),
        }
    }

    fn unknown_incident(&self, typed: &str) -> Failure {
        let known = self.wait(self.store().incidents(NEAREST_OF, 0)).unwrap_or_default();
        let failure = Failure::usage(format!("there is no incident `{}`", typed.escape_debug()));
        let known = known.iter().map(|summary| summary.id.as_str());
        failure.did_you_mean(typed, known).hint("`runbook incidents` lists them.")
    }

    /// The state of an incident.
    pub fn incident(&self, id: &IncidentId) -> Result<Incident> {
        Ok(self.wait(self.engine.incident(id))?)
    }

    /// The whole log of an incident.
    pub fn log(&self, id: &IncidentId) -> Result<Vec<Recorded>> {
        Ok(self.wait(self.store().read(id, 0))?)
    }

    /// Submits a request to an incident as the person at the command line.
    pub fn submit(&self, id: &IncidentId, request: Request) -> Result<Incident> {
        let command = Command { by: self.actor.clone(), request };
        Ok(self.wait(self.engine.submit(id, command))?)
    }

    /// As [`OpenEngine::submit`], for a request that may have been refused while its step was resolved.
    pub fn submit_resolved(&self, id: &IncidentId, request: std::result::Result<Request, Refused>) -> Result<Incident> {
        Ok(self.wait(self.engine.submit_resolved(id, self.actor.clone(), request, None))?)
    }
}

/// The file in the state directory that records in which project an incident was opened.
pub(crate) fn project_file(state: &Path, id: &IncidentId) -> PathBuf {
    state.join(format!("{id}.shop"))
}

/// A redactor for these secrets.
pub fn redactor<'s>(secrets: impl Iterator<Item = (&'s str, &'s SecretString)>) -> Result<Redactor> {
    Redactor::new(secrets.map(|(name, value)| (name, value.expose_secret())))
        .map_err(|error| Failure::usage(error.to_string()).hint("Correct the source of the secret in `estate.yaml`."))
}
