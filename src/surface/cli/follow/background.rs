//! Going on in the background: the same program as a hidden `work`, out of this terminal's reach.
//!
//! **Invariant:** what goes on in the background is not needed for what is true: killing it loses nothing.

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

/// How long the worker may take to get the lease; normally it takes a hundredth of this.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often the lease is checked.
const GLANCE: Duration = Duration::from_millis(20);

/// Starts a background worker and prints what to type next.
pub fn work(open_engine: &OpenEngine<'_>, id: &IncidentId) -> Result {
    start(open_engine, id)?;
    let typed = |words: &str| open_engine.session.command(&format!("{words} {id}"));
    open_engine.session.output.next(&[typed("watch"), format!("{} 'why'", typed("cancel"))]);
    Ok(Exit::DONE)
}

/// Starts a background worker and returns once it holds the lease or has ended.
pub fn start(open_engine: &OpenEngine<'_>, id: &IncidentId) -> Result<()> {
    let log = open_engine.session.state()?.join(format!("{id}.log"));
    let mut child = spawn(open_engine, id, &log)?;
    let pid = child.id();
    let output = &open_engine.session.output;
    if open_engine.wait(wait_for_lease(open_engine, id, &mut child))? {
        output.print_message(&format!("{id} went as far as it could at once"));
    } else {
        output.print_message(&format!("{id} goes on in the background: process {pid}, `{}`", log.display()));
    }
    Ok(())
}

/// Waits until the worker holds the lease or has ended; true if it has ended.
async fn wait_for_lease(open_engine: &OpenEngine<'_>, id: &IncidentId, child: &mut Child) -> Result<bool> {
    let parts = open_engine.engine.parts();
    let late = crate::domain::core::time::Span(PATIENCE).after(parts.clock.now());
    loop {
        let status = child.try_wait().map_err(|error| Failure::error(format!("the worker is lost: {error}")))?;
        if let Some(status) = status {
            let expected = [Exit::ERROR, Exit::USAGE].iter().all(|exit| status.code() != Some(i32::from(exit.code())));
            return if expected { Ok(true) } else { Err(Failure::error(format!("the worker ended: {status}"))) };
        }
        let claim = parts.store.lease(id).await?;
        let ours = format!("/{}/", child.id());
        if claim.is_some_and(|claim| claim.holder.contains(&ours)) {
            return Ok(false);
        }
        if parts.clock.now() >= late {
            return Err(Failure::error("the worker has not taken the incident").hint("`runbook watch` goes on here."));
        }
        clock::sleep(&*parts.clock, GLANCE).await;
    }
}

#[expect(clippy::disallowed_methods, reason = "the child is this program, not an action, and outlives this process")]
fn spawn(open_engine: &OpenEngine<'_>, id: &IncidentId, log: &Path) -> Result<Child> {
    let cannot = |what: &str, error: std::io::Error| Failure::error(format!("{what}: {error}"));
    let program = std::env::current_exe().map_err(|error| cannot("this program cannot be found", error))?;
    let file = File::options()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(log)
        .map_err(|error| cannot(&format!("`{}` cannot be written", log.display()), error))?;
    let errors = file.try_clone().map_err(|error| cannot("the log cannot be shared", error))?;
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
        .map_err(|error| cannot("the worker cannot start", error))
}
