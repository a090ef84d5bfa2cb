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

use ring::rand::{SecureRandom, SystemRandom};

use super::process::capture::{Capture, Sink};
use super::process::{self, ChildExit, Job, NotStarted};
pub use super::ssh::connect_error::{ConnectError, manual_command};
pub use super::ssh::connection::SILENCE;
pub(crate) use super::ssh::port_forward::{ForwardedStream, StreamEnd, bridge, open_forward};
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
/// Why there is no connection, and what to type.
pub async fn reach(context: &Context) -> Result<(), ConnectError> {
    match context.environment.host.ssh() {
        Some(host) => super::ssh::connection::to(host, context).up(context).await.map(drop),
        None => Ok(()),
    }
}

/// Closes all SSH connections of this process. Called before the process exits.
pub fn close_connections() {
    super::ssh::connection::close_connections();
}

/// 128 random bits in hexadecimal.
pub(crate) fn random() -> String {
    let mut bytes = [0; 16];
    SystemRandom::new().fill(&mut bytes).expect("the system gives random numbers");
    hex::encode(bytes)
}
