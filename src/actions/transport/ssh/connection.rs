//! One connection to each host, which everything shares: OpenSSH's own multiplexing, its socket in a directory of ours.
//!
//! OpenSSH is the transport, so that keys, agents, bastions and everything else in its configuration work as they do for a person.
//! What this program insists on stands in front of that configuration, where ssh takes the first word it finds, and holds for bastions too:
//! nobody is asked anything, a host whose key is not known is not talked to, no agent and no display is forwarded, and a
//! connection that has gone silent is given up within [`SILENCE`].
//!
//! **Invariant:** a session goes over the shared connection or not at all; ssh would else make one of its own.
//!
//! **Invariant:** the connection belongs to no step. It is gone [`PERSIST`] after its last session, also when this process was killed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{Mutex as Gate, Semaphore, SemaphorePermit};

use super::connect_error::{self, ConnectError};
use super::{remote_supervisor, socket_dir};
use crate::actions::Context;
use crate::actions::transport::process;
use crate::actions::transport::process::capture::{ChildStream, Sink};
use crate::actions::transport::process::{AGENT, Ending, Job};
use crate::actions::transport::timeout::within;
use crate::domain::config::estate::SshHost;
use crate::domain::core::glob_name::matches;
use crate::domain::core::text::one_line;
use crate::domain::core::time::Timestamp;
use crate::sync::lock;

/// Limit for connecting: one or two bastions, and a handshake on a busy host.
const CONNECT: Duration = Duration::from_secs(30);

/// Seconds that ssh waits for one machine (`ConnectTimeout`).
const ANSWER: u64 = 10;

/// `ServerAliveInterval` in seconds, and `ServerAliveCountMax`.
const ASK: u64 = 5;
const IN_VAIN: u64 = 3;

/// The longest time until a silent connection is closed.
pub const SILENCE: Duration = Duration::from_secs(ASK * IN_VAIN);

/// Seconds that an unused connection stays open (`ControlPersist`), so that the next step can use it.
const PERSIST: u64 = 60;

/// Concurrent sessions over one connection. A server allows ten (`MaxSessions`); two are left for the systemd bus.
const SESSIONS: usize = 8;

/// What ssh prints if the remote host or a bastion closes the connection during the key exchange.
pub(crate) const HUNG_UP: &str = "kex_exchange_identification";

/// Bytes kept of what ssh prints.
const SAID: usize = 16 * 1024;

/// What identifies a connection: the host, the required host name, and the directory of its configuration.
type ConnectionKey = (SshHost, Option<String>, PathBuf);

static LINKS: Mutex<BTreeMap<ConnectionKey, Arc<SshConnection>>> = Mutex::new(BTreeMap::new());

/// The shared connection to one host.
pub(crate) struct SshConnection {
    host: SshHost,
    /// The pattern that the host's name must match.
    guard: Option<String>,
    control: Gate<Control>,
    sessions: Semaphore,
}

#[derive(Default)]
struct Control {
    /// The control socket, while there may be one.
    path: Option<PathBuf>,
    /// When the last attempt failed, and why.
    refused: Option<(Timestamp, ConnectError)>,
}

/// The shared connection to a host. All callers get the same one.
pub(crate) fn to(host: &SshHost, context: &Context) -> Arc<SshConnection> {
    let guard = context.environment.hostname.clone();
    let key = (host.clone(), guard.clone(), context.directory.clone());
    let mut links = lock(&LINKS);
    let link = links.entry(key).or_insert_with(|| {
        let (control, sessions) = (Gate::new(Control::default()), Semaphore::new(SESSIONS));
        Arc::new(SshConnection { host: host.clone(), guard, control, sessions })
    });
    Arc::clone(link)
}

impl SshConnection {
    /// Waits for one of the [`SESSIONS`] slots.
    pub(crate) async fn place(&self) -> SemaphorePermit<'_> {
        self.sessions.acquire().await.expect("it is never closed")
    }

    /// The control socket of the connection; connects if there is none. The connection may have died since it was last
    /// used.
    ///
    /// # Errors
    /// Why there is no connection, and what to type.
    pub(crate) async fn up(&self, context: &Context) -> Result<PathBuf, ConnectError> {
        let came = context.clock.now();
        let mut control = self.control.lock().await;
        if let Some(path) = control.path.as_ref().filter(|path| path.exists()) {
            return Ok(path.clone());
        }
        // Waiters get the same error. If each tried again, the last would wait for all of them.
        if let Some((_, reason)) = control.refused.as_ref().filter(|(at, _)| *at > came) {
            return Err(reason.clone());
        }
        *control = Control::default();
        match self.made(context).await {
            Ok(path) => {
                control.path = Some(path.clone());
                Ok(path)
            }
            Err(reason) => {
                let now = context.clock.now();
                // If the caller's own time was over, that says nothing about the host.
                let is_own = context.cancel.is_cancelled() || context.deadline.is_some_and(|deadline| deadline <= now);
                control.refused = (!is_own).then(|| (now, reason.clone()));
                Err(reason)
            }
        }
    }

    /// Connects, and checks the host's name if the environment requires one.
    async fn made(&self, context: &Context) -> Result<PathBuf, ConnectError> {
        let path = self.connected(context).await?;
        if let Some(pattern) = &self.guard {
            self.guarded(pattern, &path, context).await.inspect_err(|_| close(&path))?;
        }
        Ok(path)
    }

    /// Whether a connection is still alive. Forgets it if it is not.
    pub(crate) async fn is_alive(&self, path: &Path, context: &Context) -> bool {
        let words =
            ["ssh", "-F", "none", "-S", &path.to_string_lossy(), "-O", "check", "--", "runbook"].map(str::to_owned);
        let (job, mut said) = (local(words.to_vec(), context), SshMessages::default());
        let checked = within(CONNECT, context, process::run_detached(&job, context, &mut said)).await;
        if matches!(checked, Ok(Ok(Ending::Code(0)))) {
            return true;
        }
        let mut control = self.control.lock().await;
        if control.path.as_deref() == Some(path) {
            control.path = None;
            // A connection that ended by itself has removed its socket.
            let _ = std::fs::remove_file(path);
        }
        false
    }

    async fn connected(&self, context: &Context) -> Result<PathBuf, ConnectError> {
        let failed = |reason: String| ConnectError::unreachable(&self.host, reason);
        let room =
            socket_dir::socket_dir().map_err(|error| failed(format!("there is no place for its socket: {error}")))?;
        let path = room.join(format!("c{}", &crate::actions::transport::host::random()[..8]));
        let config = self.config(&room, context).map_err(|error| failed(format!("ssh's configuration: {error}")))?;
        let mut job = local(self.master(&config, &path), context);
        job.environment.extend(context.basics.get(AGENT).map(|agent| (AGENT.to_owned(), agent.clone())));
        let job = job.env("SSH_ASKPASS_REQUIRE", "never");
        let mut said = SshMessages::default();
        let ended = within(CONNECT, context, process::run_detached(&job, context, &mut said)).await;
        match ended.map_err(|trouble| failed(trouble.text))? {
            Ok(Ending::Code(0)) => Ok(path),
            Ok(Ending::TimedOut) => Err(failed("the step's time was over before".to_owned())),
            Ok(Ending::Cancelled) => Err(failed("it was stopped before".to_owned())),
            Ok(_) => {
                let said = self.explained(said.text(), &config, context).await;
                Err(connect_error::of(&context.redactor.scrub(&said), &self.host))
            }
            Err(process::NotStarted::NotFound(..)) => {
                Err(failed("there is no `ssh` here; install OpenSSH's client".to_owned()))
            }
            Err(error) => Err(failed(error.to_string())),
        }
    }

    /// Explains a connection that a bastion closed; otherwise returns `said`. ssh silences bastions when it goes into
    /// the background, so it is run again in the foreground.
    async fn explained(&self, said: String, config: &Path, context: &Context) -> String {
        if !said.contains(HUNG_UP) {
            return said;
        }
        let (job, mut again) = (local(self.words(config, &["-T"]), context), SshMessages::default());
        // It is expected to fail again. If it does not, the first message is all there is.
        let ended = within(CONNECT, context, process::run_detached(&job, context, &mut again)).await;
        if matches!(ended, Ok(Ok(Ending::Code(255)))) { again.text() } else { said }
    }

    /// The command that connects. ssh goes into the background when the connection is up.
    fn master(&self, config: &Path, control: &Path) -> Vec<String> {
        let (control, persist) = (control.display().to_string(), format!("ControlPersist={PERSIST}"));
        self.words(config, &["-N", "-T", "-S", &control, "-o", "ControlMaster=yes", "-o", &persist])
    }

    /// The ssh command with the generated configuration, the host's options, and `more`.
    fn words(&self, config: &Path, more: &[&str]) -> Vec<String> {
        let mut words = vec!["ssh".to_owned(), "-F".to_owned(), config.display().to_string()];
        words.extend(more.iter().map(|&word| word.to_owned()));
        words.extend(self.host.port.iter().flat_map(|port| ["-p".to_owned(), port.to_string()]));
        for (name, value) in &self.host.options {
            let quote = if value.contains(char::is_whitespace) { "\"" } else { "" };
            words.extend(["-o".to_owned(), format!("{name}={quote}{value}{quote}")]);
        }
        words.extend(["--".to_owned(), self.host.to.clone()]);
        words
    }

    /// Writes the configuration: ours first, then the account's or the estate's, then the machine's. ssh passes a file
    /// on to the bastions of `ProxyJump`, but not command-line options.
    fn config(&self, room: &Path, context: &Context) -> std::io::Result<PathBuf> {
        let own = match &self.host.config {
            Some(config) => context.directory.join(config).display().to_string(),
            None => "~/.ssh/config".to_owned(),
        };
        if own.contains(['"', '\n']) {
            return Err(std::io::Error::other("its path holds a quote or a line feed"));
        }
        if let (Some(_), Err(error)) = (&self.host.config, std::fs::metadata(&own)) {
            return Err(std::io::Error::other(format!("`{own}`: {error}")));
        }
        let text = format!(
            "Host *\nBatchMode yes\nStrictHostKeyChecking yes\nForwardAgent no\nForwardX11 no\nClearAllForwardings yes\n\
             PermitLocalCommand no\nTunnel no\nControlMaster no\nControlPath none\nRequestTTY no\nRemoteCommand none\nEscapeChar none\n\
             UpdateHostKeys no\nLogLevel ERROR\nConnectionAttempts 1\nConnectTimeout {ANSWER}\nServerAliveInterval {ASK}\n\
             ServerAliveCountMax {IN_VAIN}\nInclude \"{own}\"\nHost *\nInclude /etc/ssh/ssh_config\n"
        );
        let path = room.join(format!("config-{}", &crate::actions::transport::host::random()[..8]));
        std::fs::write(&path, text)?;
        Ok(path)
    }

    /// Fails if the host's name does not match the environment's `hostname`.
    async fn guarded(&self, pattern: &str, control: &Path, context: &Context) -> Result<(), ConnectError> {
        let tag = crate::actions::transport::host::random();
        let mut said = SshMessages::default();
        let mut job = local(session(control), context);
        job.input = Some(remote_supervisor::becoming(&["uname".to_owned(), "-n".to_owned()], &tag).into_bytes());
        let ended = within(CONNECT, context, process::run_detached(&job, context, &mut said)).await;
        let name = said
            .stdout
            .rsplit_once(remote_supervisor::BEGIN)
            .map(|(_, name)| name.trim().to_owned())
            .unwrap_or_default();
        match ended {
            Ok(Ok(Ending::Code(0))) if matches(pattern, &name) => Ok(()),
            Ok(Ok(Ending::Code(0))) => {
                let (name, environment) = (one_line(&name, 80), &context.environment_name);
                Err(self.wrong(format!(
                    "is called `{name}` and is not a host of `{environment}`, whose hosts are `{pattern}`"
                )))
            }
            _ => Err(self.wrong(format!("does not say its name: {}", one_line(&said.text(), 200)))),
        }
    }

    /// An error about the host.
    fn wrong(&self, what: String) -> ConnectError {
        ConnectError { host: self.host.to.clone(), what }
    }
}

/// The command that opens a session over an existing connection.
pub(crate) fn session(control: &Path) -> Vec<String> {
    let mut words = over(control, &[]);
    words.push(remote_supervisor::FIRST.to_owned());
    words
}

/// The command that forwards to an address over an existing connection.
pub(crate) fn port_forward_args(control: &Path, host: &str, port: u16) -> Vec<String> {
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    over(control, &["-W".to_owned(), format!("{host}:{port}")])
}

fn over(control: &Path, more: &[String]) -> Vec<String> {
    let mut words = ["ssh", "-F", "none", "-T", "-S"].map(str::to_owned).to_vec();
    words.push(control.display().to_string());
    // If the connection is gone, ssh would open another one; this makes it fail at once.
    for option in ["ControlMaster=no", "ProxyCommand=false", "BatchMode=yes", "LogLevel=ERROR", "EscapeChar=none"] {
        words.extend(["-o".to_owned(), option.to_owned()]);
    }
    words.extend_from_slice(more);
    words.extend(["--".to_owned(), "runbook".to_owned()]);
    words
}

/// A local program that belongs to a connection.
pub(crate) fn local(argv: Vec<String>, context: &Context) -> Job {
    Job { argv, directory: context.directory.clone(), ..Job::default() }
}

/// Asks a connection to exit, without waiting for it.
fn close(control: &Path) {
    let words =
        ["ssh", "-F", "none", "-S", &control.to_string_lossy(), "-O", "exit", "--", "runbook"].map(str::to_owned);
    process::run_ignoring_result(&words);
}

/// Closes all connections of this process. They would also close by themselves after [`PERSIST`] seconds.
pub(crate) fn close_connections() {
    let links = std::mem::take(&mut *lock(&LINKS));
    for link in links.into_values() {
        if let Some(control) = link.control.try_lock().ok().and_then(|mut control| control.path.take()) {
            close(&control);
        }
    }
    if let Some(room) = socket_dir::remove_socket_dir() {
        // If this fails, the next process removes the directory.
        let _ = std::fs::remove_dir_all(room);
    }
}

/// What ssh printed, limited to about [`SAID`] bytes for each stream.
#[derive(Default)]
struct SshMessages {
    stdout: String,
    stderr: String,
}

impl SshMessages {
    fn text(&self) -> String {
        self.stderr.replace(remote_supervisor::BEGIN, "").trim().to_owned()
    }
}

impl Sink for SshMessages {
    fn take(&mut self, source: ChildStream, bytes: &[u8]) {
        let kept = if source == ChildStream::Stdout { &mut self.stdout } else { &mut self.stderr };
        if kept.len() < SAID {
            kept.push_str(&String::from_utf8_lossy(bytes));
        }
    }
}
