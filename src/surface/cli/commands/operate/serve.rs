//! `runbook serve`: receives alerts and supervises incidents.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use rustix::fs::{FlockOperation, flock};
use sd_notify::NotifyState;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use self::reload::Reload;
use crate::actions::Secrets;
use crate::domain::config::estate::Estate;
use crate::domain::core::diagnostic;
use crate::domain::core::id::IncidentId;
use crate::engine::dispatcher::{Dispatcher, DispatcherConfig};
use crate::engine::{Parts, page_link};
use crate::surface::cli::context::project::Project;
use crate::surface::cli::context::session::{OpenEngine, Session};
use crate::surface::cli::follow::undelivered;
use crate::surface::cli::output::error::{Failure, Result};
use crate::surface::exit::Exit;
use crate::surface::intake::server::{self, Listener, Server};
use crate::surface::slack::{self, SlackInterface};
use crate::surface::web;

mod catch_up;
mod reload;

/// The default address; requests from outside come through a proxy that terminates TLS.
pub(crate) const ADDRESS: &str = "127.0.0.1:8417";

/// The status that systemd shows for a healthy process.
const STATUS: &str = "taking alerts";

/// Takes alerts from those who send them, starts runbooks, and keeps every
/// incident going
///
/// Senders post to /hooks/SENDER; estate.yaml says who they are and how
/// they prove it, and the `on` of a runbook which alerts start it. An answer
/// of 2xx means that the log holds it. Listens on this machine alone, unless
/// every route asks for credentials. `runbook simulate` shows what an alert
/// would do. Starts what is scheduled (`runbook schedule`), and has it as a
/// calendar at /calendar.ics. Takes a socket from systemd, and tells it that
/// it is ready.
/// At SIGHUP it takes up edited files, unless they have problems.
///
/// Examples:
///   runbook serve
///   runbook serve --listen 127.0.0.1:9000
///   runbook serve --listen 10.0.0.5:8417 --token-secret scrape_token
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Serve {
    /// Where to listen; may be given several times [default: 127.0.0.1:8417]
    #[arg(long, value_name = "ADDRESS:PORT", env = "RUNBOOK_LISTEN", value_delimiter = ',')]
    listen: Vec<SocketAddr>,
    /// The secret of the estate that /health, /metrics and /calendar.ics ask for as a bearer token
    #[arg(long, value_name = "SECRET", env = "RUNBOOK_TOKEN_SECRET")]
    token_secret: Vec<String>,
}

impl Serve {
    /// Serves until it is asked to stop.
    pub fn run(self, session: &Session) -> Result {
        let shop = Project::open(&session.settings)?;
        let estate = shop.estate(&session.output)?.clone();
        for (source, problems) in shop.catalog.problems() {
            let count = diagnostic::count(problems.len());
            session.output.warn(&format!("`{}` has {count}, and is not used until they are gone", source.name));
        }
        self.tokens_are_in(&estate)?;
        let open_engine = session.open_for_many(shop)?;
        let _lock = lock(session, open_engine.engine.parts())?;
        open_engine.wait(self.serve(&open_engine, &estate))
    }

    async fn serve(&self, open_engine: &OpenEngine<'_>, estate: &Estate) -> Result {
        let stop = stopping()?;
        let hangups = heard(SignalKind::hangup())?;
        let listeners = self.listeners(estate, &open_engine.engine.parts().secrets).await?;
        let local = listeners.iter().all(Listener::is_local);
        let (duty, dispatcher_task) =
            Dispatcher::begin(open_engine.engine.clone(), terms(open_engine)?, stop.clone()).await?;
        let shown: Vec<String> = listeners.iter().map(Listener::shown).collect();
        let server =
            Server::new(open_engine.engine.clone(), duty, self.token_secret.clone()).map_err(Failure::usage)?;
        let server = Arc::new(server);
        warn_unverifiable_senders(open_engine.session, estate, &open_engine.engine.parts().secrets);
        open_engine.session.output.print_message(&format!("listening on {}", shown.join(", ")));
        open_engine
            .session
            .output
            .next(&[open_engine.session.command("simulate <file>"), open_engine.session.command("incidents")]);
        tokio::spawn(attended(Arc::clone(&server), stop.clone()));
        let lookout = catch_up::begin(&server, estate, &stop);
        let slack = slack(open_engine, &stop).await?;
        let reload = Reload::new(open_engine, &server, self, local, lookout, &slack);
        if let Some(why) =
            estate.page.as_ref().and_then(|page| page_link::secret_problem(page, &open_engine.engine.parts().secrets))
        {
            open_engine.session.output.warn(&format!("incidents have no page, and all else goes on: {why}"));
        }
        let others = slack::router(Arc::clone(&slack)).merge(web::router(open_engine.engine.clone()));
        tokio::select! {
            () = server::run(Arc::clone(&server), others, listeners, stop.clone()) => {}
            () = reload.whenever(hangups, &stop) => {}
        }
        slack.ended().await;
        // Steps in progress are parked and continue when the next process starts.
        let _ = dispatcher_task.await;
        Ok(Exit::DONE)
    }

    /// The sockets passed by systemd, otherwise the addresses that were asked for.
    async fn listeners(&self, estate: &Estate, secrets: &Secrets) -> Result<Vec<Listener>> {
        let mut listeners = handed_over()?;
        if listeners.is_empty() {
            let usual = || vec![ADDRESS.parse().expect("a constant address is one")];
            for address in if self.listen.is_empty() { usual() } else { self.listen.clone() } {
                let listener = Listener::bind(address).await.map_err(|error| {
                    Failure::error(format!("`{address}` cannot be listened on: {error}"))
                        .hint("Name another: `--listen 127.0.0.1:9000`.")
                })?;
                listeners.push(listener);
            }
        }
        if listeners.iter().any(|listener| !listener.is_local()) {
            self.every_route_is_guarded(estate, secrets)?;
        }
        Ok(listeners)
    }

    /// Checks that the estate has the named secrets.
    fn tokens_are_in(&self, estate: &Estate) -> Result<()> {
        let Some(unknown) = self.token_secret.iter().find(|name| !estate.secrets.contains_key(*name)) else {
            return Ok(());
        };
        Err(Failure::usage(format!("there is no secret `{}` in the estate", unknown.escape_debug()))
            .did_you_mean(unknown, estate.secrets.keys().map(String::as_str)))
    }

    /// Checks that every route requires credentials, before listening beyond this machine.
    fn every_route_is_guarded(&self, estate: &Estate, secrets: &Secrets) -> Result<()> {
        let mut open = server::open_routes(&estate.senders, &self.token_secret);
        // The link to a page is a credential, provided that its key is secret.
        let page = estate.page.as_ref().and_then(|page| page_link::secret_problem(page, secrets));
        open.extend(page.map(|why| format!("/incidents/<id> ({why})")));
        if open.is_empty() {
            return Ok(());
        }
        Err(Failure::not_allowed(format!(
            "beyond this machine every route needs credentials, and these have none: {}",
            open.join(", ")
        ))
        .hint("Give each sender an `auth` in estate.yaml, and `--token-secret` for the others.")
        .hint("Or listen on 127.0.0.1, behind a proxy."))
    }
}

/// Warns about senders whose secrets cannot be read; their requests are answered with 503.
fn warn_unverifiable_senders(session: &Session, estate: &Estate, secrets: &Secrets) {
    for (name, sender) in &estate.senders {
        let unreadable = sender.auth.secrets().iter().find_map(|secret| secrets.get(secret).err());
        if let Some(why) = unreadable {
            session.output.warn(&format!("what `{name}` posts cannot be checked, and is not taken: {why}"));
        }
    }
}

/// The Slack app, if the estate declares one. Alerts are accepted even if it cannot be used.
async fn slack(open_engine: &OpenEngine<'_>, stop: &CancellationToken) -> Result<Arc<SlackInterface>> {
    let DispatcherConfig { chance, opening, .. } = terms(open_engine)?;
    let face = SlackInterface::new(open_engine.engine.clone(), slack::SlackConfig { chance, opening }, stop.clone());
    if let Err(why) = face.reload().await {
        open_engine.session.output.warn(&format!("the Slack app cannot be used, and all else can: {why}"));
    }
    Ok(face)
}

fn terms(open_engine: &OpenEngine<'_>) -> Result<DispatcherConfig> {
    let state = open_engine.session.state()?;
    let directory = open_engine.engine.parts().directory.to_string_lossy().into_owned();
    let file = move |id: &IncidentId| -> PathBuf { state.join(format!("{id}.shop")) };
    let (mine, theirs) = (directory.clone(), file.clone());
    let schedules = Some(open_engine.session.schedules()?);
    Ok(DispatcherConfig {
        chance: crate::surface::cli::chance,
        opening: Box::new(move |id| {
            if let Err(error) = std::fs::write(file(id), &directory) {
                tracing::warn!(incident = %id, %error, "its shop cannot be remembered");
            }
        }),
        is_ours: Box::new(move |id| std::fs::read_to_string(theirs(id)).is_ok_and(|shop| shop == mine)),
        schedules,
    })
}

/// Locks the log: two servers on one log would each open an incident for the same group of alerts.
fn lock(session: &Session, parts: &Parts) -> Result<std::fs::File> {
    let path = session.state()?.join(undelivered::LOCK);
    let file = std::fs::File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(|error| Failure::error(format!("`{}` cannot be written: {error}", path.display())))?;
    flock(&file, FlockOperation::NonBlockingLockExclusive).map_err(|_| {
        Failure::usage("another `runbook serve` works with this log already")
            .hint("Stop it first, or give this one another `--state`.")
    })?;
    undelivered::sign(&file, &parts.holder, &parts.directory)
        .map_err(|error| Failure::error(format!("`{}` cannot be written: {error}", path.display())))?;
    Ok(file)
}

/// A token that is cancelled when a signal asks the process to stop.
fn stopping() -> Result<CancellationToken> {
    let stop = CancellationToken::new();
    for kind in [SignalKind::interrupt(), SignalKind::terminate()] {
        let mut signal = heard(kind)?;
        let stop = stop.clone();
        tokio::spawn(async move {
            signal.recv().await;
            let _ = sd_notify::notify(&[NotifyState::Stopping]);
            stop.cancel();
            // A second signal ends the process at once; the log is consistent at any moment.
            signal.recv().await;
            std::process::exit(i32::from(Exit::INTERRUPTED.code()));
        });
    }
    Ok(stop)
}

fn heard(kind: SignalKind) -> Result<Signal> {
    signal(kind).map_err(|error| Failure::error(format!("signals cannot be heard: {error}")))
}

/// The sockets that systemd passes to the process (sd_listen_fds(3)).
fn handed_over() -> Result<Vec<Listener>> {
    let mut given = listenfd::ListenFd::from_env();
    let unfit = |error: std::io::Error| Failure::error(format!("a socket of systemd's cannot be used: {error}"));
    let mut listeners = Vec::new();
    for index in 0..given.len() {
        // A socket that is not TCP stays in its place for the next call.
        let listener = match given.take_tcp_listener(index) {
            Ok(tcp) => tcp.map(|tcp| {
                tcp.set_nonblocking(true)?;
                tokio::net::TcpListener::from_std(tcp).map(Listener::Tcp)
            }),
            Err(_) => given.take_unix_listener(index).map_err(unfit)?.map(|unix| {
                unix.set_nonblocking(true)?;
                tokio::net::UnixListener::from_std(unix).map(Listener::Unix)
            }),
        };
        listeners.extend(listener.transpose().map_err(unfit)?);
    }
    Ok(listeners)
}

/// Notifies systemd that the process is ready, then feeds the watchdog while it is healthy.
#[expect(clippy::disallowed_methods, reason = "the watchdog counts real time, whatever clock decides about incidents")]
async fn attended(server: Arc<Server>, stop: CancellationToken) {
    let _ = sd_notify::notify(&[NotifyState::Ready, NotifyState::Status(STATUS)]);
    let Some(within) = sd_notify::watchdog_enabled() else { return };
    while !stop.is_cancelled() {
        if server.is_ready().await.is_ok() {
            let _ = sd_notify::notify(&[NotifyState::Watchdog]);
        }
        tokio::time::sleep(within / 3).await;
    }
}
