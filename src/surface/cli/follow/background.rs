//! Background workers: starts this program as the hidden command `work`, detached from the terminal.
//!
//! **Invariant:** the log alone is authoritative, so killing a worker loses nothing.

use std::fs::File;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Duration;

use crate::clock;
use crate::domain::core::id::IncidentId;
use crate::surface::cli::context::session::OpenEngine;
use crate::surface::cli::output::error::{Failure, Result};
use crate::surface::exit::Exit;

/// How long the worker may take to acquire the lease; usually it takes a hundredth of this.
const LEASE_TIMEOUT: Duration = Duration::from_secs(5);
/// How often the lease is checked.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// Starts a background worker and prints what to type next.
pub fn start_and_print_next(open_engine: &OpenEngine<'_>, id: &IncidentId) -> Result {
    start(open_engine, id)?;
    let command = |name: &str| open_engine.session.command(&format!("{name} {id}"));
    open_engine.session.output.next(&[command("watch"), format!("{} 'why'", command("cancel"))]);
    Ok(Exit::DONE)
}

/// Starts a background worker and returns once it holds the lease or has ended.
pub fn start(open_engine: &OpenEngine<'_>, id: &IncidentId) -> Result<()> {
    let log = open_engine.session.state()?.join(format!("{id}.log"));
    let mut child = spawn(open_engine, id, &log)?;
    let pid = child.id();
    let output = &open_engine.session.output;
    if open_engine.wait(wait_for_lease(open_engine, id, &mut child))? {
        output.print_message(&format!("{id}: the background worker has already ended"));
    } else {
        output.print_message(&format!("{id} continues in the background: process {pid}, `{}`", log.display()));
    }
    Ok(())
}

/// Waits until the worker holds the lease or has ended; true if it has ended.
async fn wait_for_lease(open_engine: &OpenEngine<'_>, id: &IncidentId, child: &mut Child) -> Result<bool> {
    let parts = open_engine.engine.parts();
    let give_up_at = crate::domain::core::time::Span(LEASE_TIMEOUT).after(parts.clock.now());
    loop {
        let status =
            child.try_wait().map_err(|error| Failure::error(format!("the worker's status cannot be read: {error}")))?;
        if let Some(status) = status {
            let failed = [Exit::ERROR, Exit::USAGE].iter().any(|exit| status.code() == Some(i32::from(exit.code())));
            return if failed { Err(Failure::error(format!("the worker ended: {status}"))) } else { Ok(true) };
        }
        let lease = parts.store.lease(id).await?;
        let worker = format!("/{}/", child.id());
        if lease.is_some_and(|lease| lease.holder.contains(&worker)) {
            return Ok(false);
        }
        if parts.clock.now() >= give_up_at {
            return Err(Failure::error("the background worker did not start").hint("`runbook watch` continues here."));
        }
        clock::sleep(&*parts.clock, POLL_INTERVAL).await;
    }
}

#[expect(clippy::disallowed_methods, reason = "the child is this program, not an action, and outlives this process")]
fn spawn(open_engine: &OpenEngine<'_>, id: &IncidentId, log: &Path) -> Result<Child> {
    let failure = |what: &str, error: std::io::Error| Failure::error(format!("{what}: {error}"));
    let program = std::env::current_exe().map_err(|error| failure("this program cannot be found", error))?;
    let file = File::options()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(log)
        .map_err(|error| failure(&format!("`{}` cannot be written", log.display()), error))?;
    let errors = file.try_clone().map_err(|error| failure("the log cannot be shared", error))?;
    std::process::Command::new(program)
        .arg("--state")
        .arg(open_engine.session.state()?)
        .arg("--dir")
        .arg(&open_engine.engine.parts().directory)
        .args(["work", id.as_str()])
        .stdin(Stdio::null())
        .stdout(file)
        .stderr(errors)
        .spawn()
        .map_err(|error| failure("the worker cannot start", error))
}
