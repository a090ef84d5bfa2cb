//! What a search of the journal needs of its surroundings: the shop, if there is one, and its environment.
//!
//! Deliberately absent: the store. Only `--attach` opens it.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Logs;
use super::line::{LineStyle, LineWriter};
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

/// Where to search, and how to show the result.
#[derive(Debug)]
pub(super) struct SearchContext {
    pub(super) context: Context,
    pub(super) clean: Clean,
    /// Services and datastores by unit name without `.service`, which is how most of them name themselves.
    names: BTreeMap<String, String>,
    /// Whether an estate names the services.
    pub(super) has_estate: bool,
}

impl SearchContext {
    pub(super) fn new(logs: &Logs, session: &Session) -> Result<Self> {
        let shop = project_label(session)?;
        let estate = shop.as_ref().map(|shop| shop.estate(&session.output)).transpose()?.cloned();
        let has_estate = estate.is_some();
        let estate = estate.unwrap_or_default();
        let (name, environment) = match &shop {
            Some(_) if logs.files.is_none() || logs.environment.is_some() => {
                known_environment(logs.environment.as_deref(), &estate)?
            }
            _ => Default::default(),
        };
        if shop.is_none() {
            session
                .output
                .print_message("there is no estate here: services are units, and no secret is known to leave out");
        }
        let working = &session.settings.working_directory;
        if let Some(files) = logs.files.as_ref().filter(|files| !working.join(files).is_dir()) {
            return Err(Failure::usage(format!("there is no directory `{}`", files.display())).hint(
                "It is one with journal files, such as `/var/log/journal/<machine id>` copied from another host.",
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
                guard_host(&name, &environment, ", or name copied files: `--directory DIR`")?;
                environment
            }
        };
        let secrets = shop.as_ref().map(|shop| session.secrets(&estate, shop)).unwrap_or_default();
        let directory = shop.map_or_else(|| working.clone(), |shop| shop.directory);
        let context = action_context::context(session, ActionTarget { directory, estate, name, environment }, secrets)?;
        let (names, clean) = (names(&context.estate), Clean(Arc::clone(&context.redactor)));
        Ok(Self { context, clean, names, has_estate })
    }

    /// The error when nothing could be read.
    pub(super) fn unread(&self, reason: String) -> Failure {
        let failure = Failure::error(reason);
        match self.has_estate {
            true => {
                let environment = shell_word(&self.context.environment_name);
                failure.hint(format!("`runbook doctor --env {environment}` looks at what stands in the way."))
            }
            false => failure,
        }
    }

    /// The service that wrote a line, by its name in the estate.
    pub(super) fn service(&self, entry: &JournalEntry) -> String {
        let own = entry.service();
        let unit = || self.names.get(entry.unit()?.strip_suffix(".service")?);
        let name = self.names.get(&own).or_else(unit).unwrap_or(&own);
        self.clean.text(name)
    }

    /// Formats lines for standard output.
    pub(super) fn line_writer(&self, session: &Session) -> LineWriter<'_> {
        let width = session.settings.width();
        LineWriter::new(self, LineStyle { width, letters: session.settings.has_unicode(), is_evidence: false })
    }
}

/// The project; none if it is not named and none is found.
fn project_label(session: &Session) -> Result<Option<Project>> {
    match Project::open(&session.settings) {
        Ok(shop) => Ok(Some(shop)),
        Err(failure) if failure.exit != crate::surface::exit::Exit::USAGE => Err(failure),
        Err(_) if matches!(session.settings.shop, ProjectSource::Found(_)) => Ok(None),
        Err(failure) => Err(failure),
    }
}

fn names(estate: &Estate) -> BTreeMap<String, String> {
    let stem = |unit: &str| unit.strip_suffix(".service").unwrap_or(unit).to_owned();
    let stores = estate.datastores.iter().filter_map(|(name, store)| Some((stem(store.unit.as_ref()?), name.clone())));
    stores.chain(estate.services.iter().map(|(name, service)| (stem(&service.unit), name.clone()))).collect()
}
