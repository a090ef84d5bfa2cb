//! Opens streams over a remote host: to an address that the host reaches, and to a program on it.
//!
//! Each stream is a channel of the shared connection. No socket listens on this machine, so other local users cannot use
//! the stream.

use std::path::PathBuf;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::oneshot;

use super::connect_error::ConnectError;
use super::{connection, remote_supervisor};
use crate::actions::Context;
use crate::actions::transport::nonce::nonce;
use crate::actions::transport::process;
use crate::actions::transport::process::Piped;
use crate::actions::transport::timeout::within;
use crate::domain::config::estate::SshHost;
use crate::domain::core::reason::{Reason, ReasonCode};
use crate::domain::core::text::one_line;

/// Time limit until the remote shell is ready.
const BEGIN_TIMEOUT: Duration = Duration::from_secs(20);

/// How long to wait for the reason why a stream ended.
const REASON_TIMEOUT: Duration = Duration::from_secs(2);

/// Bytes that login scripts may print before a stream begins.
const PREFACE_LIMIT: usize = 16 * 1024;

/// Characters of a message that are kept.
const SHOWN_LIMIT: usize = 200;

/// A stream to an address that a remote host reaches.
#[derive(Debug)]
pub struct ForwardedStream {
    /// The stream. Only its first use shows whether a server listens at the address.
    pub stream: UnixStream,
    /// Why the stream ended; to be read after its end.
    pub end: StreamEnd,
}

/// The reason why a stream ended, once it has ended.
#[derive(Debug)]
pub struct StreamEnd {
    /// Receives ssh's standard error when ssh has ended.
    stderr: oneshot::Receiver<String>,
    /// The host, for messages.
    host: String,
    control: PathBuf,
}

impl StreamEnd {
    /// Why the stream failed. `None` if it is still open or the reason is unknown.
    pub async fn reason(self) -> Option<Reason> {
        let stderr = tokio::time::timeout(REASON_TIMEOUT, self.stderr).await.ok()?.ok()?;
        let (stderr, host) = (stderr.replace(remote_supervisor::BEGIN, ""), self.host);
        let stderr = stderr.trim();
        if stderr.contains(connection::CLOSED_BY_REMOTE) {
            // The connection ended without removing its socket. Without the socket, the next caller connects again.
            let _ = std::fs::remove_file(&self.control);
            return Some(Reason::new(ReasonCode::HOST_LOST, format!("the connection to `{host}` was lost")));
        }
        if stderr.contains("open refused") || stderr.contains("open failed") {
            let message = format!("the connection was refused: nothing listens there on `{host}`");
            return Some(Reason::new(ReasonCode::REFUSED, message));
        }
        let last = one_line(stderr.lines().next_back()?, SHOWN_LIMIT);
        Some(Reason::new(ReasonCode::CLOSED, format!("no connection from `{host}`: {last}")))
    }
}

/// Opens a stream to an address through the environment's host. `None` if this machine reaches the address directly.
///
/// # Errors
/// `host_unreachable` if the host cannot be reached, `system` if ssh cannot be started.
pub async fn open_forward(host: &str, port: u16, context: &Context) -> Result<Option<ForwardedStream>, Reason> {
    let Some(ssh) = context.environment.host.ssh().filter(|ssh| ssh.reaches(host)) else { return Ok(None) };
    let control = connection::to(ssh, context).open(context).await?;
    let name = host.trim_matches(['[', ']']);
    let job = connection::local(connection::forward_command(&control, name, port), context);
    let piped = process::piped(&job, context).map_err(|error| Reason::new("system", error.to_string()))?;
    let end = StreamEnd { stderr: piped.stderr, host: ssh.to.clone(), control };
    Ok(Some(ForwardedStream { stream: piped.stream, end }))
}

/// Runs a program on a host and returns its standard input and output as one stream. The program ends with the stream.
///
/// # Errors
/// `host_unreachable` if the host cannot be reached or runs no command; otherwise why the program does not run.
pub async fn bridge(argv: &[String], ssh: &SshHost, context: &Context) -> Result<(UnixStream, StreamEnd), Reason> {
    let connection = connection::to(ssh, context);
    let mut is_second = false;
    loop {
        let control = connection.open(context).await?;
        let job = connection::local(connection::session_command(&control), context);
        let piped = process::piped(&job, context).map_err(|error| Reason::new("system", error.to_string()))?;
        let Piped { mut stream, stderr } = piped;
        match within(BEGIN_TIMEOUT, context, begin(&mut stream, argv)).await {
            Ok(Ok(())) => return Ok((stream, StreamEnd { stderr, host: ssh.to.clone(), control })),
            Err(error) => return Err(error.worded(|text| format!("`{}`: {text}", ssh.to))),
            Ok(Err(error)) => {
                drop(stream);
                // A dead connection is often noticed only when it is used.
                if is_second || connection.is_alive(&control, context).await {
                    let stderr = tokio::time::timeout(REASON_TIMEOUT, stderr).await.ok().and_then(Result::ok);
                    let message = stderr
                        .map(|stderr| stderr.replace(remote_supervisor::BEGIN, ""))
                        .filter(|stderr| !stderr.trim().is_empty())
                        .unwrap_or_else(|| error.to_string());
                    return Err(ConnectError::no_command(ssh, &one_line(&message, SHOWN_LIMIT)).into());
                }
                is_second = true;
            }
        }
    }
}

/// Waits until the remote shell is ready, then replaces it with the program.
async fn begin(stream: &mut UnixStream, argv: &[String]) -> std::io::Result<()> {
    let line = format!("{}\n", remote_supervisor::BEGIN);
    let mut seen = Vec::new();
    // Byte by byte, since all bytes after the line belong to the program.
    while !seen.ends_with(line.as_bytes()) {
        seen.push(stream.read_u8().await?);
        if seen.len() > PREFACE_LIMIT {
            return Err(std::io::Error::other("its login scripts print too much"));
        }
    }
    stream.write_all(remote_supervisor::exec_script(argv, &nonce()).as_bytes()).await
}
