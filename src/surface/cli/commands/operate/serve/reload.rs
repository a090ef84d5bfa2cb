//! Hot reload at SIGHUP: all edited files become active, or none.
//!
//! **Invariant:** the previous configuration stays active, and the reason is printed, if a file has a problem, a secret has
//! become unreadable, or a route would be open to everybody.
//!
//! A value that was ever loaded as a secret is redacted until the process ends.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use sd_notify::NotifyState;
use secrecy::{ExposeSecret, SecretString};
use tokio::signal::unix::Signal;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::{Serve, catch_up};
use crate::actions::Secrets;
use crate::domain::config::estate::Estate;
use crate::domain::core::diagnostic;
use crate::domain::core::diagnostic::Style;
use crate::engine::catalog::Catalog;
use crate::engine::reload::ProjectFiles;
use crate::surface::cli::context::project::Project;
use crate::surface::cli::context::secrets;
use crate::surface::cli::context::session::{OpenEngine, redactor};
use crate::surface::cli::context::settings::Settings;
use crate::surface::cli::output::error::{Failure, Result};
use crate::surface::intake::server::Server;
use crate::surface::slack::SlackInterface;

/// The status that systemd shows after a failed reload.
const OUTDATED: &str = "receiving alerts; the edited files have problems, the previous configuration is active";

/// The parts of a running server that a reload uses or replaces.
pub(super) struct Reload<'a> {
    open_engine: &'a OpenEngine<'a>,
    server: &'a Arc<Server>,
    serve: &'a Serve,
    /// Whether the server listens on this machine only.
    is_local: bool,
    /// Ends the tasks that catch up with senders.
    catch_up: CancellationToken,
    slack: &'a SlackInterface,
    /// Names and former values of secrets, which are still redacted.
    former: Vec<(String, SecretString)>,
}

impl<'a> Reload<'a> {
    pub(super) fn new(
        open_engine: &'a OpenEngine<'a>,
        server: &'a Arc<Server>,
        serve: &'a Serve,
        is_local: bool,
        catch_up: CancellationToken,
        slack: &'a SlackInterface,
    ) -> Self {
        Self { open_engine, server, serve, is_local, catch_up, slack, former: Vec::new() }
    }

    /// Reloads at each signal. It never returns.
    pub(super) async fn at_each_signal(mut self, mut hangups: Signal, stop: &CancellationToken) {
        while hangups.recv().await.is_some() {
            let now = NotifyState::monotonic_usec_now();
            let reloading: Vec<NotifyState<'_>> = std::iter::once(NotifyState::Reloading).chain(now).collect();
            let _ = sd_notify::notify(&reloading);
            let result = self.reload(stop).await;
            let output = &self.open_engine.session.output;
            match &result {
                Ok(changes) => output.print_message(changes),
                Err(failure) => failure.print(),
            }
            self.server.reloaded(result.is_ok());
            // A process that stops has reported this to systemd already.
            if stop.is_cancelled() {
                break;
            }
            let status = if result.is_ok() { super::STATUS } else { OUTDATED };
            let _ = sd_notify::notify(&[NotifyState::Ready, NotifyState::Status(status)]);
        }
        std::future::pending().await
    }

    /// Reloads everything; returns a message that names the changes.
    async fn reload(&mut self, stop: &CancellationToken) -> Result<String> {
        let engine = self.server.engine();
        let (project, new_secrets) =
            read(engine.parts().directory.clone(), self.open_engine.session.settings.clone()).await?;
        let estate = self.valid_estate(&project)?.clone();
        self.serve.check_token_secrets(&estate)?;
        if !self.is_local {
            self.serve.check_every_route_has_auth(&estate, &new_secrets)?;
        }
        let parts = engine.parts();
        still_readable(&parts.secrets, &new_secrets, &estate)?;
        let changes = changes(&parts.catalog, &project.catalog, (&parts.secrets, &new_secrets));
        self.former.extend(replaced(&parts.secrets, &new_secrets).map(|(name, old)| (name.to_owned(), old.clone())));
        let secrets = new_secrets.and_older(&parts.secrets);
        let former = self.former.iter().map(|(name, value)| (name.as_str(), value));
        let redactor = redactor(secrets.iter().chain(former))?;
        self.server.reload(ProjectFiles { catalog: project.catalog, secrets, redactor }).map_err(Failure::usage)?;
        self.catch_up.cancel();
        self.catch_up = catch_up::begin(self.server, &estate, stop);
        super::warn_unverifiable_senders(self.open_engine.session, &estate, &self.server.engine().parts().secrets);
        if let Err(why) = self.slack.reload().await {
            self.open_engine.session.output.warn(&format!("the Slack app keeps its previous configuration: {why}"));
        }
        Ok(changes)
    }

    /// The estate if no file of the project has problems; otherwise prints the problems.
    fn valid_estate<'s>(&self, project: &'s Project) -> Result<&'s Estate> {
        let problems = project.catalog.problems();
        for (source, problems) in &problems {
            self.open_engine.session.output.print_styled(&diagnostic::render(source, problems, Style::Styled));
        }
        let count = diagnostic::count(problems.iter().map(|(_, problems)| problems.len()).sum());
        match &project.catalog.estate().content {
            Ok(estate) if problems.is_empty() => Ok(estate),
            _ => Err(Failure::problems(format!(
                "the edited files have {count}; the previous configuration stays active"
            ))),
        }
    }
}

/// Reads the project and its secrets in a separate thread, so that a slow disk does not delay alerts. It is not a thread of
/// the runtime, because the runtime waits for its threads when the process stops.
async fn read(directory: PathBuf, settings: Settings) -> Result<(Project, Secrets)> {
    let (sender, receiver) = oneshot::channel();
    let work = move || {
        let project = Project::at(directory, &settings)?;
        let estate = project.catalog.estate().content.as_ref().ok();
        let secrets = estate.map(|estate| secrets::read(estate, &project.directory, &settings.environment));
        Ok((project, secrets.unwrap_or_default()))
    };
    let failed = || Failure::error("the edited files cannot be read; the previous configuration stays active");
    // The receiver may be gone when the thread is done.
    let thread = std::thread::Builder::new().name("reload".to_owned()).spawn(move || drop(sender.send(work())));
    thread.map_err(|_| failed())?;
    receiver.await.map_err(|_| failed())?
}

/// Checks that every secret that was readable before is still readable, if the estate still names it.
fn still_readable(old: &Secrets, new_secrets: &Secrets, estate: &Estate) -> Result<()> {
    let lost = old.iter().filter(|(name, _)| estate.secrets.contains_key(*name));
    let why = lost.filter_map(|(name, _)| new_secrets.get(name).err()).next();
    why.map_or(Ok(()), |why| {
        Err(Failure::usage(format!("a secret cannot be read any more; the previous configuration stays active: {why}")))
    })
}

/// The secrets whose value has changed, with the old value.
fn replaced<'s>(old: &'s Secrets, new_secrets: &'s Secrets) -> impl Iterator<Item = (&'s str, &'s SecretString)> {
    old.iter().filter(|(name, old)| new_secrets.get(name).is_ok_and(|new| new.expose_secret() != old.expose_secret()))
}

/// A message that names the changes.
fn changes(old: &Catalog, new: &Catalog, secrets: (&Secrets, &Secrets)) -> String {
    let mut changes = Vec::new();
    if old.estate().digest != new.estate().digest {
        changes.push("estate.yaml changed".to_owned());
    }
    if old.template().map(|file| &file.digest) != new.template().map(|file| &file.digest) {
        changes.push("the template for post-mortems changed".to_owned());
    }
    let ids: BTreeSet<&str> = old.files().chain(new.files()).map(|(id, _)| id).collect();
    let digest = |catalog: &Catalog, id: &str| catalog.file(id).map(|file| file.digest.clone());
    changes.extend(ids.into_iter().filter_map(|id| match (digest(old, id), digest(new, id)) {
        (Some(old), Some(new)) if old == new => None,
        (Some(_), Some(_)) => Some(format!("`{id}` changed")),
        (None, _) => Some(format!("`{id}` was added")),
        (_, None) => Some(format!("`{id}` was removed")),
    }));
    changes.extend(replaced(secrets.0, secrets.1).map(|(name, _)| format!("secret `{name}` changed")));
    if changes.is_empty() { "reloaded: no changes".to_owned() } else { format!("reloaded: {}", changes.join(", ")) }
}
