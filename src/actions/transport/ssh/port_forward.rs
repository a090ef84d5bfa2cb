//! Streams to a host: to an address as it is reached from there, and to the bus of its systemd.
//!
//! Each is a channel of the shared connection, and ends with its stream. An address is reached without anything that
//! listens on this machine, so that nobody else here gets to what only the host may reach.
//!
//! Deliberately absent: whatever is spoken over them.

use std::path::PathBuf;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::oneshot;

use super::connect_error::ConnectError;
use super::{connection, remote_supervisor};
use crate::actions::Context;
use crate::actions::transport::process;
use crate::actions::transport::process::Piped;
use crate::actions::transport::timeout::within;
use crate::domain::config::estate::SshHost;
use crate::domain::core::reason::{Reason, ReasonCode};
use crate::domain::core::text::one_line;

/// Limit until the remote shell is ready.
const BEGIN: Duration = Duration::from_secs(20);

/// How long to wait for the reason why a stream ended.
const REASON: Duration = Duration::from_secs(2);

/// Bytes that login scripts may print before a stream begins.
const NOISE: usize = 16 * 1024;

/// Characters of a reason that are kept.
const SAID: usize = 200;

/// A stream to an address that a remote host reaches.
#[derive(Debug)]
pub struct ForwardedStream {
    /// The stream. Only its first use shows whether anything listens at the address.
    pub stream: UnixStream,
    /// Why it ended; to be read after it ended.
    pub fate: StreamEnd,
}

/// The pending reason why a stream ended.
#[derive(Debug)]
pub struct StreamEnd {
    said: oneshot::Receiver<String>,
    place: String,
    control: PathBuf,
}

impl StreamEnd {
    /// Why the stream failed. `None` if it is still open or the reason is unknown.
    pub async fn reason(self) -> Option<Reason> {
        let said = tokio::time::timeout(REASON, self.said).await.ok()?.ok()?.replace(remote_supervisor::BEGIN, "");
        let said = said.trim();
        if said.contains(connection::HUNG_UP) {
            // The connection ended without removing its socket. Removing it makes the next caller connect again.
            let _ = std::fs::remove_file(&self.control);
            return Some(Reason::new(ReasonCode::HOST_LOST, format!("the connection to {} was lost", self.place)));
        }
        if said.contains("open refused") || said.contains("open failed") {
            return Some(Reason::new(
                ReasonCode::REFUSED,
                format!("the connection was refused: nothing listens there on {}", self.place),
            ));
        }
        let last = said.lines().next_back()?;
        Some(Reason::new(ReasonCode::CLOSED, format!("no connection from {}: {}", self.place, one_line(last, SAID))))
    }
}

/// Opens a stream to an address through the environment's host. `None` if this machine reaches the address directly.
///
/// # Errors
/// `host_unreachable` if the host cannot be reached, `system` if ssh cannot be started.
pub async fn open_forward(host: &str, port: u16, context: &Context) -> Result<Option<ForwardedStream>, Reason> {
    let Some(ssh) = context.environment.host.ssh().filter(|ssh| ssh.reaches(host)) else { return Ok(None) };
    let control = connection::to(ssh, context).up(context).await?;
    let name = host.trim_matches(['[', ']']);
    let piped =
        process::piped(&connection::local(connection::port_forward_args(&control, name, port), context), context);
    let piped = piped.map_err(|error| Reason::new("system", error.to_string()))?;
    let fate = StreamEnd { said: piped.fate, place: format!("`{}`", ssh.to), control };
    Ok(Some(ForwardedStream { stream: piped.stream, fate }))
}

/// Runs a program on a host and returns its standard input and output as one stream. The program ends with the stream.
///
/// # Errors
/// `host_unreachable` if the host cannot be reached or runs no command; otherwise why the program does not run.
pub async fn bridge(argv: &[String], ssh: &SshHost, context: &Context) -> Result<(UnixStream, StreamEnd), Reason> {
    let link = connection::to(ssh, context);
    let mut is_second = false;
    loop {
        let control = link.up(context).await?;
        let piped = process::piped(&connection::local(connection::session(&control), context), context);
        let Piped { mut stream, fate } = piped.map_err(|error| Reason::new("system", error.to_string()))?;
        match within(BEGIN, context, begin(&mut stream, argv)).await {
            Ok(Ok(())) => return Ok((stream, StreamEnd { said: fate, place: format!("`{}`", ssh.to), control })),
            Err(trouble) => return Err(trouble.worded(|text| format!("`{}`: {text}", ssh.to))),
            Ok(Err(error)) => {
                drop(stream);
                if is_second || link.is_alive(&control, context).await {
                    let said = tokio::time::timeout(REASON, fate).await.ok().and_then(Result::ok);
                    let said = said
                        .map(|said| said.replace(remote_supervisor::BEGIN, ""))
                        .filter(|said| !said.trim().is_empty())
                        .unwrap_or_else(|| error.to_string());
                    let what = format!("takes no command: {}", one_line(&said, SAID));
                    return Err(ConnectError { host: ssh.to.clone(), what }.into());
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
    // Byte by byte: what follows the line belongs to the program.
    while !seen.ends_with(line.as_bytes()) {
        seen.push(stream.read_u8().await?);
        if seen.len() > NOISE {
            return Err(std::io::Error::other("it prints too much before it is ready"));
        }
    }
    stream.write_all(remote_supervisor::becoming(argv, &crate::actions::transport::host::random()).as_bytes()).await
}
