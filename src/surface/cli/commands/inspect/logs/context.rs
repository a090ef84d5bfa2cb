//! The context of a journal search: the project, if there is one, and its environment.
//!
//! Not here: the store, which only `--attach` opens.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Logs;
use super::sanitize::Clean;
use crate::actions::Context;
use crate::domain::config::estate::{Environment, Estate};
use crate::domain::config::host::Host;
use crate::domain::core::text::shell_word;
use crate::domain::journal::entry::JournalEntry;
use crate::surface::cli::context::action_context;
use crate::surface::cli::context::action_context::ActionTarget;
use crate::surface::cli::context::project::{Project, guard_host, known_environment};
use crate::surface::cli::context::session::Session;
use crate::surface::cli::context::settings::ProjectSource;
use crate::surface::cli::output::error::{Failure, Result};

/// Where a search runs, and how its lines are made safe to show.
#[derive(Debug)]
pub(super) struct SearchContext {
    pub(super) action_context: Context,
    pub(super) clean: Clean,
    /// The names of services and datastores by unit name without `.service`. Most services log under that name.
    names: BTreeMap<String, String>,
    /// Whether there is an estate.
    pub(super) has_estate: bool,
}

impl SearchContext {
    pub(super) fn new(logs: &Logs, session: &Session) -> Result<Self> {
        let project = open_project(session)?;
        let estate = project.as_ref().map(|project| project.estate(&session.output)).transpose()?.cloned();
        let has_estate = estate.is_some();
        let estate = estate.unwrap_or_default();
        let (name, environment) = match &project {
            Some(_) if logs.files.is_none() || logs.environment.is_some() => {
                known_environment(logs.environment.as_deref(), &estate)?
            }
            _ => Default::default(),
        };
        if project.is_none() {
            session
                .output
                .print_message("there is no estate here: `--service` takes unit names, and no secrets are redacted");
        }
        let working = &session.settings.working_directory;
        if let Some(files) = logs.files.as_ref().filter(|files| !working.join(files).is_dir()) {
            return Err(Failure::usage(format!("there is no directory `{}`", files.display())).hint(
                "Type a directory with journal files, such as `/var/log/journal/<machine id>` copied from another host.",
            ));
        }
        let environment = match &logs.files {
            // Copied files are on this host, whichever host wrote them.
            Some(files) => Environment {
                host: Host::Local,
                journal: Some(working.join(files).to_string_lossy().into_owned()),
                ..environment
            },
            None => {
                guard_host(&name, &environment, ", or name a directory with copied journal files: `--directory DIR`")?;
                environment
            }
        };
        let secrets = project.as_ref().map(|project| session.secrets(&estate, project)).unwrap_or_default();
        let directory = project.map_or_else(|| working.clone(), |project| project.directory);
        let action_context =
            action_context::context(session, ActionTarget { directory, estate, name, environment }, secrets)?;
        let (names, clean) = (names(&action_context.estate), Clean(Arc::clone(&action_context.redactor)));
        Ok(Self { action_context, clean, names, has_estate })
    }

    /// The error if the journal could not be read.
    pub(super) fn unread(&self, reason: String) -> Failure {
        let failure = Failure::error(reason);
        match self.has_estate {
            true => {
                let environment = shell_word(&self.action_context.environment_name);
                failure.hint(format!("`runbook doctor --env {environment}` checks what is wrong."))
            }
            false => failure,
        }
    }

    /// The service that wrote a line: its name in the estate, otherwise the name in the line.
    pub(super) fn service(&self, entry: &JournalEntry) -> String {
        let own = entry.service();
        let unit = || self.names.get(entry.unit()?.strip_suffix(".service")?);
        let name = self.names.get(&own).or_else(unit).unwrap_or(&own);
        self.clean.text(name)
    }
}

/// The project; none if no flag or variable names one and none is found.
fn open_project(session: &Session) -> Result<Option<Project>> {
    match Project::open(&session.settings) {
        Ok(project) => Ok(Some(project)),
        Err(failure) if failure.exit != crate::surface::exit::Exit::USAGE => Err(failure),
        Err(_) if matches!(session.settings.project, ProjectSource::Found(_)) => Ok(None),
        Err(failure) => Err(failure),
    }
}

/// The names of services and datastores by unit name without `.service`.
fn names(estate: &Estate) -> BTreeMap<String, String> {
    let stem = |unit: &str| unit.strip_suffix(".service").unwrap_or(unit).to_owned();
    let stores = estate.datastores.iter().filter_map(|(name, store)| Some((stem(store.unit.as_ref()?), name.clone())));
    stores.chain(estate.services.iter().map(|(name, service)| (stem(&service.unit), name.clone()))).collect()
}
