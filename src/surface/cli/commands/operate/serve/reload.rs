//! Hot reload at SIGHUP: all edited files become active, or none.
//!
//! **Invariant:** the previous configuration stays active, and the reason is printed, in these cases: a file has a
//! problem, a secret has become unreadable, or a route would be open to everybody.
//!
//! A value that was ever read as a secret is redacted until the process ends.

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
const OUTDATED: &str = "taking alerts; the edited files have problems, and those before are in force";

/// What a reload uses and replaces.
pub(super) struct Reload<'a> {
    open_engine: &'a OpenEngine<'a>,
    server: &'a Arc<Server>,
    serve: &'a Serve,
    /// Whether the server listens on this machine only.
    local: bool,
    lookout: CancellationToken,
    slack: &'a SlackInterface,
    /// Former values of secrets, which are still redacted.
    retired: Vec<(String, SecretString)>,
}

impl<'a> Reload<'a> {
    pub(super) fn new(
        open_engine: &'a OpenEngine<'a>,
        server: &'a Arc<Server>,
        serve: &'a Serve,
        local: bool,
        lookout: CancellationToken,
        slack: &'a SlackInterface,
    ) -> Self {
        Self { open_engine, server, serve, local, lookout, slack, retired: Vec::new() }
    }

    /// Reloads at each signal. It never returns.
    pub(super) async fn whenever(mut self, mut hangups: Signal, stop: &CancellationToken) {
        while hangups.recv().await.is_some() {
            let now = NotifyState::monotonic_usec_now();
            let begun: Vec<NotifyState<'_>> = std::iter::once(NotifyState::Reloading).chain(now).collect();
            let _ = sd_notify::notify(&begun);
            let reloaded = self.reload(stop).await;
            let output = &self.open_engine.session.output;
            match &reloaded {
                Ok(changes) => output.print_message(changes),
                Err(failure) => failure.print(),
            }
            self.server.reloaded(reloaded.is_ok());
            // A stopping process has already reported that to systemd.
            if stop.is_cancelled() {
                break;
            }
            let status = if reloaded.is_ok() { super::STATUS } else { OUTDATED };
            let _ = sd_notify::notify(&[NotifyState::Ready, NotifyState::Status(status)]);
        }
        std::future::pending().await
    }

    /// Reloads everything; returns what has changed, in words.
    async fn reload(&mut self, stop: &CancellationToken) -> Result<String> {
        let engine = self.server.engine();
        let (shop, fresh) = read(engine.parts().directory.clone(), self.open_engine.session.settings.clone()).await?;
        let estate = self.sound(&shop)?.clone();
        self.serve.tokens_are_in(&estate)?;
        if !self.local {
            self.serve.every_route_is_guarded(&estate, &fresh)?;
        }
        let parts = engine.parts();
        still_readable(&parts.secrets, &fresh, &estate)?;
        let changes = changes(&parts.catalog, &shop.catalog, (&parts.secrets, &fresh));
        self.retired.extend(replaced(&parts.secrets, &fresh).map(|(name, old)| (name.to_owned(), old.clone())));
        let secrets = fresh.and_older(&parts.secrets);
        let retired = self.retired.iter().map(|(name, value)| (name.as_str(), value));
        let redactor = redactor(secrets.iter().chain(retired))?;
        self.server.reload(ProjectFiles { catalog: shop.catalog, secrets, redactor }).map_err(Failure::usage)?;
        self.lookout.cancel();
        self.lookout = catch_up::begin(self.server, &estate, stop);
        super::warn_unverifiable_senders(self.open_engine.session, &estate, &self.server.engine().parts().secrets);
        if let Err(why) = self.slack.reload().await {
            self.open_engine.session.output.warn(&format!("the Slack app stays as it was: {why}"));
        }
        Ok(changes)
    }

    /// The estate, if the project has no problems; otherwise prints them.
    fn sound<'s>(&self, shop: &'s Project) -> Result<&'s Estate> {
        let problems = shop.catalog.problems();
        for (source, problems) in &problems {
            self.open_engine.session.output.print_styled(&diagnostic::render(source, problems, Style::Styled));
        }
        let count = diagnostic::count(problems.iter().map(|(_, problems)| problems.len()).sum());
        match &shop.catalog.estate().content {
            Ok(estate) if problems.is_empty() => Ok(estate),
            _ => Err(Failure::problems(format!("the edited files have {count}, and those before stay in force"))),
        }
    }
}

/// Reads the project and its secrets in a thread of its own. Alerts are accepted while the disk is slow. The runtime
/// would wait for one of its own threads when the process stops.
async fn read(directory: PathBuf, settings: Settings) -> Result<(Project, Secrets)> {
    let (sender, receiver) = oneshot::channel();
    let work = move || {
        let shop = Project::at(directory, &settings)?;
        let estate = shop.catalog.estate().content.as_ref().ok();
        let secrets = estate.map(|estate| secrets::read(estate, &shop.directory, &settings.environment));
        Ok((shop, secrets.unwrap_or_default()))
    };
    let cannot = || Failure::error("the edited files cannot be read now, and those before stay in force");
    // The receiver may be gone when it is done.
    let thread = std::thread::Builder::new().name("reload".to_owned()).spawn(move || drop(sender.send(work())));
    thread.map_err(|_| cannot())?;
    receiver.await.map_err(|_| cannot())?
}

/// Checks that every secret of the estate that was readable before still is.
fn still_readable(old: &Secrets, fresh: &Secrets, estate: &Estate) -> Result<()> {
    let lost = old.iter().filter(|(name, _)| estate.secrets.contains_key(*name));
    let why = lost.filter_map(|(name, _)| fresh.get(name).err()).next();
    why.map_or(Ok(()), |why| {
        Err(Failure::usage(format!("what was read before cannot be read any more, and stays in force: {why}")))
    })
}

/// The secrets whose value has changed, with the old value.
fn replaced<'s>(old: &'s Secrets, fresh: &'s Secrets) -> impl Iterator<Item = (&'s str, &'s SecretString)> {
    old.iter().filter(|(name, old)| fresh.get(name).is_ok_and(|new| new.expose_secret() != old.expose_secret()))
}

/// What has changed, in words.
fn changes(old: &Catalog, new: &Catalog, secrets: (&Secrets, &Secrets)) -> String {
    let mut words = Vec::new();
    if old.estate().digest != new.estate().digest {
        words.push("the estate is another".to_owned());
    }
    if old.template().map(|sheet| &sheet.digest) != new.template().map(|sheet| &sheet.digest) {
        words.push("the template is another".to_owned());
    }
    let ids: BTreeSet<&str> = old.sheets().chain(new.sheets()).map(|(id, _)| id).collect();
    let digest = |catalog: &Catalog, id: &str| catalog.sheet(id).map(|sheet| sheet.digest.clone());
    words.extend(ids.into_iter().filter_map(|id| match (digest(old, id), digest(new, id)) {
        (Some(old), Some(new)) if old == new => None,
        (Some(_), Some(_)) => Some(format!("`{id}` is another")),
        (None, _) => Some(format!("`{id}` is new")),
        (_, None) => Some(format!("`{id}` is gone")),
    }));
    words.extend(replaced(secrets.0, secrets.1).map(|(name, _)| format!("secret `{name}` has another value")));
    if words.is_empty() {
        "read again: nothing has changed".to_owned()
    } else {
        format!("taken up: {}", words.join(", "))
    }
}
