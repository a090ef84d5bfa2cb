//! One shared connection to each host: OpenSSH multiplexing, with the control socket in a private directory.
//!
//! OpenSSH is the transport, so that keys, agents, bastions and configuration work as they do for a person. Our options
//! come first in the generated configuration, because ssh uses the first value; they apply to bastions too. They forbid
//! prompts, unknown host keys, and agent and X11 forwarding. A connection without a response is closed within [`SILENCE`].
//!
//! **Invariant:** a session uses the shared connection or fails; ssh never opens another one for it.
//!
//! **Invariant:** the connection belongs to no step. It closes [`PERSIST`] seconds after its last session, even if this
//! process was killed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{Mutex as AsyncMutex, Semaphore, SemaphorePermit};

use super::connect_error::{self, ConnectError};
use super::{remote_supervisor, socket_dir};
use crate::actions::Context;
use crate::actions::transport::nonce::nonce;
use crate::actions::transport::process;
use crate::actions::transport::process::capture::{ChildStream, Sink};
use crate::actions::transport::process::{AGENT, Ending, Job};
use crate::actions::transport::timeout::within;
use crate::domain::config::estate::SshHost;
use crate::domain::core::glob_name::matches;
use crate::domain::core::text::one_line;
use crate::domain::core::time::Timestamp;
use crate::sync::lock;

/// Time limit for connecting: one or two bastions, and a handshake on a busy host.
const CONNECT_LIMIT: Duration = Duration::from_secs(30);

/// `ConnectTimeout` in seconds, for each machine on the route.
const CONNECT_TIMEOUT: u64 = 10;

/// `ServerAliveInterval` in seconds, and `ServerAliveCountMax`.
const ALIVE_INTERVAL: u64 = 5;
const ALIVE_COUNT_MAX: u64 = 3;

/// The longest time until a connection without a response is closed.
pub const SILENCE: Duration = Duration::from_secs(ALIVE_INTERVAL * ALIVE_COUNT_MAX);

/// Seconds that an unused connection stays open (`ControlPersist`), so that the next step can use it.
const PERSIST: u64 = 60;

/// Maximum number of concurrent sessions over one connection. A server allows ten (`MaxSessions`); two are left for the
/// systemd bus.
const SESSIONS: usize = 8;

/// The part of ssh's message that the remote host or a bastion closed the connection during the key exchange.
pub(crate) const CLOSED_BY_REMOTE: &str = "kex_exchange_identification";

/// Bytes kept of each stream that ssh prints.
const STREAM_LIMIT: usize = 16 * 1024;

/// The key of a connection: the host, the pattern of the required host name, and the project directory.
type ConnectionKey = (SshHost, Option<String>, PathBuf);

static CONNECTIONS: Mutex<BTreeMap<ConnectionKey, Arc<SshConnection>>> = Mutex::new(BTreeMap::new());

/// The shared connection to one host.
pub(crate) struct SshConnection {
    host: SshHost,
    /// The pattern that the host's name must match.
    hostname: Option<String>,
    control: AsyncMutex<Control>,
    sessions: Semaphore,
}

#[derive(Default)]
struct Control {
    /// The control socket, while there may be one.
    path: Option<PathBuf>,
    /// The instant and the error of the last failed attempt.
    failure: Option<(Timestamp, ConnectError)>,
}

/// The shared connection to a host. All callers get the same one.
pub(crate) fn to(host: &SshHost, context: &Context) -> Arc<SshConnection> {
    let hostname = context.environment.hostname.clone();
    let key = (host.clone(), hostname.clone(), context.directory.clone());
    let mut connections = lock(&CONNECTIONS);
    let connection = connections.entry(key).or_insert_with(|| {
        let (control, sessions) = (AsyncMutex::new(Control::default()), Semaphore::new(SESSIONS));
        Arc::new(SshConnection { host: host.clone(), hostname, control, sessions })
    });
    Arc::clone(connection)
}

impl SshConnection {
    /// Waits for one of the [`SESSIONS`] slots.
    pub(crate) async fn slot(&self) -> SemaphorePermit<'_> {
        self.sessions.acquire().await.expect("it is never closed")
    }

    /// The control socket of the connection; connects if there is none. The connection may have died since it was last
    /// used.
    ///
    /// # Errors
    /// Why there is no connection, and the command to type.
    pub(crate) async fn open(&self, context: &Context) -> Result<PathBuf, ConnectError> {
        let called = context.clock.now();
        let mut control = self.control.lock().await;
        if let Some(path) = control.path.as_ref().filter(|path| path.exists()) {
            return Ok(path.clone());
        }
        // Callers that waited get the error of the attempt they waited for. If each tried again, the last would wait for
        // all attempts.
        if let Some((_, error)) = control.failure.as_ref().filter(|(at, _)| *at > called) {
            return Err(error.clone());
        }
        *control = Control::default();
        match self.connect_and_check(context).await {
            Ok(path) => {
                control.path = Some(path.clone());
                Ok(path)
            }
            Err(error) => {
                let now = context.clock.now();
                // If this caller was out of time, others may still connect.
                let is_stopped =
                    context.cancel.is_cancelled() || context.deadline.is_some_and(|deadline| deadline <= now);
                control.failure = (!is_stopped).then(|| (now, error.clone()));
                Err(error)
            }
        }
    }

    /// Connects, and checks the host's name if the environment requires one.
    async fn connect_and_check(&self, context: &Context) -> Result<PathBuf, ConnectError> {
        let path = self.connect(context).await?;
        if let Some(pattern) = &self.hostname {
            self.check_hostname(pattern, &path, context).await.inspect_err(|_| close(&path))?;
        }
        Ok(path)
    }

    /// Whether a connection is still alive. Drops a dead one, so that the next caller connects again.
    pub(crate) async fn is_alive(&self, path: &Path, context: &Context) -> bool {
        let (job, mut messages) = (local(control_command(path, "check"), context), SshMessages::default());
        let checked = within(CONNECT_LIMIT, context, process::run_detached(&job, context, &mut messages)).await;
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

    /// Starts ssh in the background. Returns the control socket when the connection is established.
    async fn connect(&self, context: &Context) -> Result<PathBuf, ConnectError> {
        let failed = |reason: String| ConnectError::unreachable(&self.host, reason);
        let directory = socket_dir::socket_dir()
            .map_err(|error| failed(format!("the directory for its socket cannot be created: {error}")))?;
        let path = directory.join(format!("c{}", &nonce()[..8]));
        let config =
            self.write_config(&directory, context).map_err(|error| failed(format!("ssh's configuration: {error}")))?;
        let mut job = local(self.master_command(&config, &path), context);
        job.environment.extend(context.base_environment.get(AGENT).map(|agent| (AGENT.to_owned(), agent.clone())));
        let job = job.env("SSH_ASKPASS_REQUIRE", "never");
        let mut messages = SshMessages::default();
        let ended = within(CONNECT_LIMIT, context, process::run_detached(&job, context, &mut messages)).await;
        match ended.map_err(|error| failed(error.text))? {
            Ok(Ending::Code(0)) => Ok(path),
            Ok(Ending::TimedOut) => Err(failed("the step's time was over before it answered".to_owned())),
            Ok(Ending::Cancelled) => Err(failed("the step was stopped before it answered".to_owned())),
            Ok(_) => {
                let messages = self.explained(messages.text(), &config, context).await;
                Err(connect_error::of(&context.redactor.scrub(&messages), &self.host))
            }
            Err(process::NotStarted::NotFound(..)) => {
                Err(failed("there is no `ssh` here; install OpenSSH's client".to_owned()))
            }
            Err(error) => Err(failed(error.to_string())),
        }
    }

    /// The messages that explain a failed connection. ssh hides those of a bastion when it goes into the background, so if
    /// a bastion may have closed the connection, ssh is run again in the foreground.
    async fn explained(&self, messages: String, config: &Path, context: &Context) -> String {
        if !messages.contains(CLOSED_BY_REMOTE) {
            return messages;
        }
        let (job, mut foreground) = (local(self.ssh_command(config, &["-T"]), context), SshMessages::default());
        // If it does not fail again, there is no better explanation than the first messages.
        let ended = within(CONNECT_LIMIT, context, process::run_detached(&job, context, &mut foreground)).await;
        if matches!(ended, Ok(Ok(Ending::Code(255)))) { foreground.text() } else { messages }
    }

    /// The command that connects. ssh goes into the background when the connection is established.
    fn master_command(&self, config: &Path, control: &Path) -> Vec<String> {
        let (control, persist) = (control.display().to_string(), format!("ControlPersist={PERSIST}"));
        self.ssh_command(config, &["-N", "-T", "-S", &control, "-o", "ControlMaster=yes", "-o", &persist])
    }

    /// The ssh command with the generated configuration, further options, and the host's options.
    fn ssh_command(&self, config: &Path, options: &[&str]) -> Vec<String> {
        let mut argv = vec!["ssh".to_owned(), "-F".to_owned(), config.display().to_string()];
        argv.extend(options.iter().map(|&option| option.to_owned()));
        argv.extend(self.host.port.iter().flat_map(|port| ["-p".to_owned(), port.to_string()]));
        for (name, value) in &self.host.options {
            let quote = if value.contains(char::is_whitespace) { "\"" } else { "" };
            argv.extend(["-o".to_owned(), format!("{name}={quote}{value}{quote}")]);
        }
        argv.extend(["--".to_owned(), self.host.to.clone()]);
        argv
    }

    /// Writes the configuration: ours first, then the account's or the estate's, then the machine's. It is a file, because
    /// ssh passes a file to the bastions of `ProxyJump`, but not command-line options.
    fn write_config(&self, directory: &Path, context: &Context) -> std::io::Result<PathBuf> {
        let included = match &self.host.config {
            Some(config) => context.directory.join(config).display().to_string(),
            None => "~/.ssh/config".to_owned(),
        };
        if included.contains(['"', '\n']) {
            return Err(std::io::Error::other("its path has a quote or a line feed"));
        }
        if let (Some(_), Err(error)) = (&self.host.config, std::fs::metadata(&included)) {
            return Err(std::io::Error::other(format!("`{included}`: {error}")));
        }
        let text = format!(
            "Host *\nBatchMode yes\nStrictHostKeyChecking yes\nForwardAgent no\nForwardX11 no\nClearAllForwardings yes\n\
             PermitLocalCommand no\nTunnel no\nControlMaster no\nControlPath none\nRequestTTY no\nRemoteCommand none\nEscapeChar none\n\
             UpdateHostKeys no\nLogLevel ERROR\nConnectionAttempts 1\nConnectTimeout {CONNECT_TIMEOUT}\n\
             ServerAliveInterval {ALIVE_INTERVAL}\nServerAliveCountMax {ALIVE_COUNT_MAX}\nInclude \"{included}\"\nHost *\nInclude /etc/ssh/ssh_config\n"
        );
        let path = directory.join(format!("config-{}", &nonce()[..8]));
        std::fs::write(&path, text)?;
        Ok(path)
    }

    /// Fails if the host's name does not match the environment's `hostname`.
    async fn check_hostname(&self, pattern: &str, control: &Path, context: &Context) -> Result<(), ConnectError> {
        let tag = nonce();
        let mut messages = SshMessages::default();
        let mut job = local(session_command(control), context);
        job.input = Some(remote_supervisor::exec_script(&["uname".to_owned(), "-n".to_owned()], &tag).into_bytes());
        let ended = within(CONNECT_LIMIT, context, process::run_detached(&job, context, &mut messages)).await;
        let name = messages
            .stdout
            .rsplit_once(remote_supervisor::BEGIN)
            .map(|(_, name)| name.trim().to_owned())
            .unwrap_or_default();
        match ended {
            Ok(Ok(Ending::Code(0))) if matches(pattern, &name) => Ok(()),
            Ok(Ok(Ending::Code(0))) => {
                let (name, environment) = (one_line(&name, 80), &context.environment_name);
                let what =
                    format!("has the name `{name}` and is not a host of `{environment}`, whose hosts are `{pattern}`");
                Err(ConnectError { host: self.host.to.clone(), what })
            }
            _ => {
                let what = format!("does not report its name: {}", one_line(&messages.text(), 200));
                Err(ConnectError { host: self.host.to.clone(), what })
            }
        }
    }
}

/// The command that opens a session over an existing connection.
pub(crate) fn session_command(control: &Path) -> Vec<String> {
    let mut argv = multiplexed_command(control, &[]);
    argv.push(remote_supervisor::FIRST.to_owned());
    argv
}

/// The command that forwards to an address over an existing connection.
pub(crate) fn forward_command(control: &Path, host: &str, port: u16) -> Vec<String> {
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    multiplexed_command(control, &["-W".to_owned(), format!("{host}:{port}")])
}

/// An ssh command that uses an existing connection.
fn multiplexed_command(control: &Path, options: &[String]) -> Vec<String> {
    let mut argv = ["ssh", "-F", "none", "-T", "-S"].map(str::to_owned).to_vec();
    argv.push(control.display().to_string());
    // With `ProxyCommand=false`, ssh fails at once if the connection is gone, instead of opening another one.
    for option in ["ControlMaster=no", "ProxyCommand=false", "BatchMode=yes", "LogLevel=ERROR", "EscapeChar=none"] {
        argv.extend(["-o".to_owned(), option.to_owned()]);
    }
    argv.extend_from_slice(options);
    argv.extend(["--".to_owned(), "runbook".to_owned()]);
    argv
}

/// A control command for an existing connection: `check` or `exit`.
fn control_command(control: &Path, command: &str) -> Vec<String> {
    ["ssh", "-F", "none", "-S", &control.to_string_lossy(), "-O", command, "--", "runbook"].map(str::to_owned).to_vec()
}

/// A local program for a connection, without the environment of a step.
pub(crate) fn local(argv: Vec<String>, context: &Context) -> Job {
    Job { argv, directory: context.directory.clone(), ..Job::default() }
}

/// Asks a connection to exit, without waiting for it.
fn close(control: &Path) {
    process::run_ignoring_result(&control_command(control, "exit"));
}

/// Closes all connections of this process. Otherwise they close by themselves after [`PERSIST`] seconds.
pub(crate) fn close_connections() {
    let connections = std::mem::take(&mut *lock(&CONNECTIONS));
    for connection in connections.into_values() {
        if let Some(control) = connection.control.try_lock().ok().and_then(|mut control| control.path.take()) {
            close(&control);
        }
    }
    if let Some(directory) = socket_dir::take_socket_dir() {
        // If this fails, another process removes the directory later.
        let _ = std::fs::remove_dir_all(directory);
    }
}

/// The output of ssh, limited to about [`STREAM_LIMIT`] bytes for each stream.
#[derive(Default)]
struct SshMessages {
    stdout: String,
    stderr: String,
}

impl SshMessages {
    /// Standard error without the marker of the remote supervisor.
    fn text(&self) -> String {
        self.stderr.replace(remote_supervisor::BEGIN, "").trim().to_owned()
    }
}

impl Sink for SshMessages {
    fn take(&mut self, source: ChildStream, bytes: &[u8]) {
        let text = if source == ChildStream::Stdout { &mut self.stdout } else { &mut self.stderr };
        if text.len() < STREAM_LIMIT {
            text.push_str(&String::from_utf8_lossy(bytes));
        }
    }
}
