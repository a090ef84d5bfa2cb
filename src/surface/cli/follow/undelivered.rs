//! Warns about pending messages that no running process will deliver.
//!
//! `runbook serve` writes its holder name and its project's directory into its lock file. That file and the lease on
//! the incident show whether a process is running.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::path::Path;

use crate::domain::incident::Incident;
use crate::engine;
use crate::surface::cli::context::session::{OpenEngine, project_file};
use crate::surface::cli::output::error::Result;

/// The lock file that prevents a second server on the same log.
pub(crate) const LOCK: &str = "serve.lock";

/// Maximum size of a lock file in bytes. It holds a holder name and a path.
const LOCK_LIMIT: u64 = 16 * 1024;

/// Writes the holder name and the project's directory into the lock file.
pub(crate) fn write_lock(mut file: &File, holder: &str, project: &Path) -> io::Result<()> {
    file.set_len(0)?;
    write!(file, "{holder}\n{}\n", project.display())
}

/// Warns about pending messages if no process will deliver them; returns the command that delivers them.
pub(crate) fn warn_if_undelivered(open_engine: &OpenEngine<'_>, incident: &Incident) -> Result<Option<String>> {
    let now = open_engine.engine.parts().clock.now();
    let pending = incident.messages.values().filter(|message| message.is_pending(now));
    let mut to: Vec<&str> = pending.flat_map(|message| message.open()).map(String::as_str).collect();
    to.sort_unstable();
    to.dedup();
    if to.is_empty()
        || is_served(open_engine, incident)?
        || open_engine.wait(open_engine.engine.is_held_elsewhere(&incident.id))?
    {
        return Ok(None);
    }
    let warning = format!("message to {} not sent yet: no runbook process is running", to.join(", "));
    open_engine.session.output.warn(&warning);
    Ok(Some(open_engine.session.command(&format!("watch {}", incident.id))))
}

/// Whether a running server serves the incident's project.
fn is_served(open_engine: &OpenEngine<'_>, incident: &Incident) -> Result<bool> {
    let state = open_engine.session.state()?;
    let read = |path: &Path| {
        let mut text = String::new();
        let file = File::open(path).ok()?;
        file.take(LOCK_LIMIT).read_to_string(&mut text).ok().map(|_| text)
    };
    let (lock, project) = (read(&state.join(LOCK)), read(&project_file(&state, &incident.id)));
    let (Some(lock), Some(project)) = (lock, project) else { return Ok(false) };
    let Some((holder, served)) = lock.split_once('\n') else { return Ok(false) };
    let hostname = &open_engine.engine.parts().hostname;
    // A process on another host cannot be checked and does not count; nor one from before this host was renamed.
    let is_here = holder.split('/').next() == Some(hostname);
    Ok(is_here && served.trim_end() == project.trim_end() && engine::is_alive(holder, hostname))
}
