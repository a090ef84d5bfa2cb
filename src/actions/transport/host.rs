//! How an action reaches its environment's host: this machine, or another one over SSH.
//!
//! A program is started there ([`run_into`]), an address is reached from there ([`open_forward()`]), a bus is spoken to there ([`bridge`]). All three go
//! over one connection to a host and process; see [`connection`](crate::actions::transport::ssh::connection). What is meant by this machine is left to [`process`].
//!
//! A connection that is lost while a program runs is no failure of the program: nobody knows how it ended. It is
//! [`Ending::Lost`](super::process::Ending::Lost), and the engine finds out what it can, as after a crash of its own. The program itself is ended by the far
//! side, which notices too; see [`remote_supervisor`](crate::actions::transport::ssh::remote_supervisor).
//!
//! Deliberately absent: an SSH implementation of our own, which would honour neither the configuration nor the hardware keys that people have;
//! copying files; and a helper that has to be installed on the host.

use super::process::capture::{Capture, Sink};
use super::process::{self, Exit, Job, NotStarted};
pub use super::ssh::connect_error::{ConnectError, manual_command};
pub use super::ssh::connection::SILENCE;
pub(crate) use super::ssh::port_forward::{ForwardedStream, StreamEnd, bridge, open_forward};
pub(crate) use super::ssh::tls_stream::secured;
pub(crate) use super::ssh::unix_forward::{UnixForward, open_unix_forward};
use crate::actions::Context;
use crate::domain::config::estate::Host;

/// Runs a job on the environment's host to its end; its output goes into `sink` as it comes, unscrubbed.
///
/// # Errors
///
/// When it cannot be started at all; everything later is in the [`Exit`].
pub async fn run_into(job: &Job, context: &Context, sink: &mut (dyn Sink + Send)) -> Result<Exit, NotStarted> {
    match &context.environment.host {
        Host::Local => process::run_into(job, context, sink).await,
        Host::Ssh(host) => super::ssh::remote_process::run_into(job, host, context, sink).await,
    }
}

/// Runs a job on the environment's host to its end and keeps the beginning and the end of what it prints, scrubbed.
///
/// # Errors
///
/// When it cannot be started at all.
pub async fn run(job: &Job, context: &Context) -> Result<(Exit, Capture), NotStarted> {
    let mut capture = Capture::new(context);
    let exit = run_into(job, context, &mut capture).await?;
    capture.finish();
    Ok((exit, capture))
}

/// Makes the connection to the environment's host, where that is another machine and there is none yet.
///
/// # Errors
///
/// Why there is none, and what to type.
pub async fn reach(context: &Context) -> Result<(), ConnectError> {
    match context.environment.host.ssh() {
        Some(host) => super::ssh::connection::to(host, context).up(context).await.map(drop),
        None => Ok(()),
    }
}

/// Ends the connections of this process, when it is about to end itself.
pub fn close_connections() {
    super::ssh::connection::close_connections();
}
