//! `runbook serve`: receives alerts and supervises incidents.

use std::net::SocketAddr;
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
use crate::surface::cli::context::session::{OpenEngine, Session, project_file};
use crate::surface::cli::follow::undelivered;
use crate::surface::cli::output::error::{Failure, Result};
use crate::surface::exit::Exit;
use crate::surface::intake::server::{self, Listener, Server};
use crate::surface::slack::{self, SlackInterface};
use crate::surface::web;

mod catch_up;
mod reload;

/// The default address. Requests from other machines come through a proxy that terminates TLS.
pub(crate) const ADDRESS: &str = "127.0.0.1:8417";

/// The status that systemd shows while the process is healthy.
const STATUS: &str = "receiving alerts";

/// Receive alerts and supervise incidents
///
/// Senders post alerts to /hooks/SENDER. estate.yaml lists the senders and how
/// each is authenticated; the `on` of a runbook says which alerts start it. A
/// response of 2xx means that the alert is in the log. `runbook simulate`
/// shows what an alert would start.
///
/// Also starts scheduled runbooks (`runbook schedule`) and serves them as a
/// calendar at /calendar.ics. Listens on this machine only, unless every route
/// requires credentials. Supports systemd's socket activation, readiness
/// notification and watchdog. SIGHUP reloads edited files; if any file has a
/// problem, the previous configuration stays active.
///
/// Examples:
///   runbook serve
///   runbook serve --listen 127.0.0.1:9000
///   runbook serve --listen 10.0.0.5:8417 --token-secret scrape_token
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Serve {
    /// The address to listen on; may be given several times [default: 127.0.0.1:8417]
    #[arg(long, value_name = "ADDRESS:PORT", env = "RUNBOOK_LISTEN", value_delimiter = ',')]
    listen: Vec<SocketAddr>,
    /// A secret of the estate: the bearer token that /health, /metrics and /calendar.ics require
    #[arg(long, value_name = "SECRET", env = "RUNBOOK_TOKEN_SECRET")]
    token_secret: Vec<String>,
}

impl Serve {
    /// Serves until a signal asks the process to stop.
    pub fn run(self, session: &Session) -> Result {
        let project = Project::open(&session.settings)?;
        let estate = project.estate(&session.output)?.clone();
        for (source, problems) in project.catalog.problems() {
            let count = diagnostic::count(problems.len());
            session.output.warn(&format!("`{}` has {count} and is not used until they are fixed", source.name));
        }
        self.check_token_secrets(&estate)?;
        let open_engine = session.open_for_many(project)?;
        let _lock = lock(session, open_engine.engine.parts())?;
        open_engine.wait(self.serve(&open_engine, &estate))
    }

    async fn serve(&self, open_engine: &OpenEngine<'_>, estate: &Estate) -> Result {
        let stop = stop_on_signal()?;
        let hangups = listen_for(SignalKind::hangup())?;
        let listeners = self.listeners(estate, &open_engine.engine.parts().secrets).await?;
        let is_local = listeners.iter().all(Listener::is_local);
        let (dispatcher, dispatcher_task) =
            Dispatcher::begin(open_engine.engine.clone(), dispatcher_config(open_engine)?, stop.clone()).await?;
        let shown: Vec<String> = listeners.iter().map(Listener::shown).collect();
        let server =
            Server::new(open_engine.engine.clone(), dispatcher, self.token_secret.clone()).map_err(Failure::usage)?;
        let server = Arc::new(server);
        warn_unverifiable_senders(open_engine.session, estate, &open_engine.engine.parts().secrets);
        open_engine.session.output.print_message(&format!("listening on {}", shown.join(", ")));
        open_engine
            .session
            .output
            .next(&[open_engine.session.command("simulate <file>"), open_engine.session.command("incidents")]);
        tokio::spawn(notify_systemd(Arc::clone(&server), stop.clone()));
        let catch_up_token = catch_up::begin(&server, estate, &stop);
        let slack = slack(open_engine, &stop).await?;
        let reload = Reload::new(open_engine, &server, self, is_local, catch_up_token, &slack);
        if let Some(why) =
            estate.page.as_ref().and_then(|page| page_link::secret_problem(page, &open_engine.engine.parts().secrets))
        {
            open_engine.session.output.warn(&format!("incidents have no page: {why}"));
        }
        let other_routes = slack::router(Arc::clone(&slack)).merge(web::router(open_engine.engine.clone()));
        tokio::select! {
            () = server::run(Arc::clone(&server), other_routes, listeners, stop.clone()) => {}
            () = reload.at_each_signal(hangups, &stop) => {}
        }
        slack.ended().await;
        // Steps in progress are parked and continue when the next process starts.
        let _ = dispatcher_task.await;
        Ok(Exit::DONE)
    }

    /// The sockets that systemd passes, otherwise those of `--listen` or the default.
    async fn listeners(&self, estate: &Estate, secrets: &Secrets) -> Result<Vec<Listener>> {
        let mut listeners = systemd_sockets()?;
        if listeners.is_empty() {
            let default = || vec![ADDRESS.parse().expect("the constant is an address")];
            for address in if self.listen.is_empty() { default() } else { self.listen.clone() } {
                let listener = Listener::bind(address).await.map_err(|error| {
                    Failure::error(format!("`{address}` cannot be listened on: {error}"))
                        .hint("Name another address: `--listen 127.0.0.1:9000`.")
                })?;
                listeners.push(listener);
            }
        }
        if listeners.iter().any(|listener| !listener.is_local()) {
            self.check_every_route_has_auth(estate, secrets)?;
        }
        Ok(listeners)
    }

    /// Checks that the estate has the secrets of `--token-secret`.
    fn check_token_secrets(&self, estate: &Estate) -> Result<()> {
        let Some(unknown) = self.token_secret.iter().find(|name| !estate.secrets.contains_key(*name)) else {
            return Ok(());
        };
        Err(Failure::usage(format!("there is no secret `{}` in the estate", unknown.escape_debug()))
            .did_you_mean(unknown, estate.secrets.keys().map(String::as_str)))
    }

    /// Checks that every route requires credentials, so that other machines may reach it.
    fn check_every_route_has_auth(&self, estate: &Estate, secrets: &Secrets) -> Result<()> {
        let mut open = server::open_routes(&estate.senders, &self.token_secret);
        // The link to a page counts as a credential if the key that signs it is secret.
        let page = estate.page.as_ref().and_then(|page| page_link::secret_problem(page, secrets));
        open.extend(page.map(|why| format!("/incidents/<id> ({why})")));
        if open.is_empty() {
            return Ok(());
        }
        Err(Failure::not_allowed(format!(
            "to listen on other than loopback addresses, every route must require credentials; these do not: {}",
            open.join(", ")
        ))
        .hint("Give each sender an `auth` in estate.yaml, and type `--token-secret` for the other routes.")
        .hint("Or listen on 127.0.0.1, behind a proxy."))
    }
}

/// Warns about senders whose secrets cannot be read; their requests are answered with 503.
fn warn_unverifiable_senders(session: &Session, estate: &Estate, secrets: &Secrets) {
    for (name, sender) in &estate.senders {
        let unreadable = sender.auth.secrets().iter().find_map(|secret| secrets.get(secret).err());
        if let Some(why) = unreadable {
            session.output.warn(&format!("requests of `{name}` cannot be authenticated and are refused: {why}"));
        }
    }
}

/// The interface in Slack. If it does not start, a warning is printed and alerts are received all the same.
async fn slack(open_engine: &OpenEngine<'_>, stop: &CancellationToken) -> Result<Arc<SlackInterface>> {
    let DispatcherConfig { random_bits, before_open, .. } = dispatcher_config(open_engine)?;
    let interface =
        SlackInterface::new(open_engine.engine.clone(), slack::SlackConfig { random_bits, before_open }, stop.clone());
    if let Err(why) = interface.reload().await {
        open_engine.session.output.warn(&format!("the Slack app is not available: {why}"));
    }
    Ok(interface)
}

/// The dispatcher's settings: how incidents get ids, and how their project is recorded.
fn dispatcher_config(open_engine: &OpenEngine<'_>) -> Result<DispatcherConfig> {
    let state = open_engine.session.state()?;
    let directory = open_engine.engine.parts().directory.to_string_lossy().into_owned();
    let file = move |id: &IncidentId| project_file(&state, id);
    let (own_directory, file_of) = (directory.clone(), file.clone());
    let schedules = Some(open_engine.session.schedules()?);
    Ok(DispatcherConfig {
        random_bits: crate::surface::cli::random_bits,
        before_open: Box::new(move |id| {
            if let Err(error) = std::fs::write(file(id), &directory) {
                tracing::warn!(incident = %id, %error, "the project of the incident cannot be recorded");
            }
        }),
        is_ours: Box::new(move |id| {
            std::fs::read_to_string(file_of(id)).is_ok_and(|directory| directory == own_directory)
        }),
        schedules,
    })
}

/// Locks the log against a second server, which would open another incident for the same alerts.
fn lock(session: &Session, parts: &Parts) -> Result<std::fs::File> {
    let path = session.state()?.join(undelivered::LOCK);
    let unwritable = |error| Failure::error(format!("`{}` cannot be written: {error}", path.display()));
    let file = std::fs::File::options().create(true).truncate(false).write(true).open(&path).map_err(unwritable)?;
    flock(&file, FlockOperation::NonBlockingLockExclusive).map_err(|_| {
        Failure::usage("another `runbook serve` uses this log already")
            .hint("Stop it first, or give this one another `--state`.")
    })?;
    undelivered::write_lock(&file, &parts.holder, &parts.directory).map_err(unwritable)?;
    Ok(file)
}

/// A token that is cancelled by SIGINT or SIGTERM.
fn stop_on_signal() -> Result<CancellationToken> {
    let stop = CancellationToken::new();
    for kind in [SignalKind::interrupt(), SignalKind::terminate()] {
        let mut signal = listen_for(kind)?;
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

fn listen_for(kind: SignalKind) -> Result<Signal> {
    signal(kind).map_err(|error| Failure::error(format!("signals cannot be handled: {error}")))
}

/// The sockets that systemd passes to the process (sd_listen_fds(3)).
fn systemd_sockets() -> Result<Vec<Listener>> {
    let mut passed = listenfd::ListenFd::from_env();
    let unusable = |error: std::io::Error| Failure::error(format!("a socket from systemd cannot be used: {error}"));
    let mut listeners = Vec::new();
    for index in 0..passed.len() {
        // A socket that is not TCP stays at its index for the next call.
        let listener = match passed.take_tcp_listener(index) {
            Ok(tcp) => tcp.map(|tcp| {
                tcp.set_nonblocking(true)?;
                tokio::net::TcpListener::from_std(tcp).map(Listener::Tcp)
            }),
            Err(_) => passed.take_unix_listener(index).map_err(unusable)?.map(|unix| {
                unix.set_nonblocking(true)?;
                tokio::net::UnixListener::from_std(unix).map(Listener::Unix)
            }),
        };
        listeners.extend(listener.transpose().map_err(unusable)?);
    }
    Ok(listeners)
}

/// Notifies systemd that the process is ready, then resets the watchdog while the server is healthy.
#[expect(clippy::disallowed_methods, reason = "the watchdog counts real time")]
async fn notify_systemd(server: Arc<Server>, stop: CancellationToken) {
    let _ = sd_notify::notify(&[NotifyState::Ready, NotifyState::Status(STATUS)]);
    let Some(timeout) = sd_notify::watchdog_enabled() else { return };
    while !stop.is_cancelled() {
        if server.responds().await.is_ok() {
            let _ = sd_notify::notify(&[NotifyState::Watchdog]);
        }
        tokio::time::sleep(timeout / 3).await;
    }
}
