//! Access to the environment's host: this machine, or another one over SSH.
//!
//! [`run_into`] runs a program on the host. [`open_forward()`] opens a stream to an address that only the host reaches,
//! [`bridge`] one to a bus of the host. For a remote host, all three use one shared connection; see
//! [`connection`](crate::actions::transport::ssh::connection). For this machine, see [`process`].
//!
//! If the connection is lost while a program runs, its result is unknown: [`Ending::Lost`](super::process::Ending::Lost).
//! The engine then reconciles, as after a crash. On the host, a supervisor notices the loss and ends the program; see
//! [`remote_supervisor`](crate::actions::transport::ssh::remote_supervisor).
//!
//! Not here: another implementation of SSH, which would support neither people's configuration nor their hardware keys;
//! copying files; an agent to be installed on the host.

use super::process::capture::{Capture, Sink};
use super::process::{self, ChildExit, Job, NotStarted};
pub use super::ssh::connect_error::{ConnectError, manual_command};
pub use super::ssh::connection::SILENCE;
pub(crate) use super::ssh::port_forward::{ForwardedStream, bridge, open_forward};
pub(crate) use super::ssh::tls_stream::secured;
pub(crate) use super::ssh::unix_forward::{UnixForward, open_unix_forward};
use crate::actions::Context;
use crate::domain::config::estate::Host;

/// Runs a job on the environment's host until it ends. Its output goes to `sink` as it arrives, not redacted.
///
/// # Errors
///
/// If it cannot be started. Everything later is in the [`ChildExit`].
pub async fn run_into(job: &Job, context: &Context, sink: &mut (dyn Sink + Send)) -> Result<ChildExit, NotStarted> {
    match &context.environment.host {
        Host::Local => process::run_into(job, context, sink).await,
        Host::Ssh(host) => super::ssh::remote_process::run_into(job, host, context, sink).await,
    }
}

/// Runs a job on the environment's host until it ends. Keeps the beginning and the end of its output, redacted.
///
/// # Errors
///
/// If it cannot be started.
pub async fn run(job: &Job, context: &Context) -> Result<(ChildExit, Capture), NotStarted> {
    let mut capture = Capture::new(context);
    let exit = run_into(job, context, &mut capture).await?;
    capture.finish();
    Ok((exit, capture))
}

/// Connects to the environment's host, if it is remote and not connected yet.
///
/// # Errors
///
/// Why there is no connection, and the command to type.
pub async fn reach(context: &Context) -> Result<(), ConnectError> {
    match context.environment.host.ssh() {
        Some(host) => super::ssh::connection::to(host, context).open(context).await.map(drop),
        None => Ok(()),
    }
}

/// Closes all SSH connections of this process. Called before the process exits.
pub fn close_connections() {
    super::ssh::connection::close_connections();
}
