//! Whether somebody is at work who delivers what an incident still owes, and what is said where nobody is.
//!
//! A server signs the file that keeps a second one away: which process it is, and for which shop. Whoever leaves an incident
//! reads that, and the claim on the incident.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::path::Path;

use super::error::Result;
use crate::domain::incident::Incident;
use crate::engine;
use crate::surface::cli::context::session::OpenEngine;

/// The lock file that prevents a second server on the same log.
pub(crate) const LOCK: &str = "serve.lock";

/// The largest lock file that is read, in bytes: a holder and a path.
const LOCK_LIMIT: u64 = 16 * 1024;

/// Writes the holder and the served project into the lock file.
pub(crate) fn sign(mut file: &File, holder: &str, shop: &Path) -> io::Result<()> {
    file.set_len(0)?;
    write!(file, "{holder}\n{}\n", shop.display())
}

/// Warns about pending messages if no process will deliver them; returns the command to type then.
pub(crate) fn pending_deliveries(open_engine: &OpenEngine<'_>, incident: &Incident) -> Result<Option<String>> {
    let now = open_engine.engine.parts().clock.now();
    let owed = incident.messages.values().filter(|message| message.is_pending(now));
    let mut to: Vec<&str> = owed.flat_map(|message| message.open()).map(String::as_str).collect();
    to.sort_unstable();
    to.dedup();
    if to.is_empty()
        || is_served(open_engine, incident)?
        || open_engine.wait(open_engine.engine.is_attended(&incident.id))?
    {
        return Ok(None);
    }
    let words = format!("a message to {} is still owed, and nobody is at work who delivers it", to.join(", "));
    open_engine.session.output.warn(&words);
    Ok(Some(open_engine.session.command(&format!("watch {}", incident.id))))
}

/// Whether a running server serves the incident's project.
fn is_served(open_engine: &OpenEngine<'_>, incident: &Incident) -> Result<bool> {
    let state = open_engine.session.state()?;
    let read = |name: &str| {
        let mut text = String::new();
        let file = File::open(state.join(name)).ok()?;
        file.take(LOCK_LIMIT).read_to_string(&mut text).ok().map(|_| text)
    };
    let (Some(lock), Some(shop)) = (read(LOCK), read(&format!("{}.shop", incident.id))) else { return Ok(false) };
    let Some((holder, served)) = lock.split_once('\n') else { return Ok(false) };
    let hostname = &open_engine.engine.parts().hostname;
    // A process on another host, or from before this host was renamed, cannot be checked and does not count.
    let here = holder.split('/').next() == Some(hostname);
    Ok(here && served.trim_end() == shop.trim_end() && engine::is_alive(holder, hostname))
}
