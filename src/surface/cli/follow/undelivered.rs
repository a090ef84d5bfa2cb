//! Whether somebody is at work who delivers what an incident still owes, and what is said where nobody is.
//!
//! A server signs the file that keeps a second one away: which process it is, and for which shop. Whoever leaves an incident
//! reads that, and the claim on the incident.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::path::Path;

use crate::domain::incident::Incident;
use crate::engine;
use crate::surface::cli::context::session::OpenEngine;
use crate::surface::cli::output::error::Result;

/// The file that keeps a second server from the same log.
pub(crate) const LOCK: &str = "serve.lock";

/// The most bytes of it that are read: a holder and a path.
const LOCK_LIMIT: u64 = 16 * 1024;

/// Writes down who serves which shop.
pub(crate) fn sign(mut file: &File, holder: &str, shop: &Path) -> io::Result<()> {
    file.set_len(0)?;
    write!(file, "{holder}\n{}\n", shop.display())
}

/// Says which messages are still owed when nobody is at work who delivers them; what to type then.
pub(crate) fn pending_deliveries(desk: &OpenEngine<'_>, incident: &Incident) -> Result<Option<String>> {
    let now = desk.engine.parts().clock.now();
    let owed = incident.messages.values().filter(|message| message.is_pending(now));
    let mut to: Vec<&str> = owed.flat_map(|message| message.open()).map(String::as_str).collect();
    to.sort_unstable();
    to.dedup();
    if to.is_empty() || is_served(desk, incident)? || desk.wait(desk.engine.is_attended(&incident.id))? {
        return Ok(None);
    }
    let words = format!("a message to {} is still owed, and nobody is at work who delivers it", to.join(", "));
    desk.station.output.warn(&words);
    Ok(Some(desk.station.command(&format!("watch {}", incident.id))))
}

/// Whether a server that lives takes care of the incident's shop.
fn is_served(desk: &OpenEngine<'_>, incident: &Incident) -> Result<bool> {
    let state = desk.station.state()?;
    let read = |name: &str| {
        let mut text = String::new();
        let file = File::open(state.join(name)).ok()?;
        file.take(LOCK_LIMIT).read_to_string(&mut text).ok().map(|_| text)
    };
    let (Some(lock), Some(shop)) = (read(LOCK), read(&format!("{}.shop", incident.id))) else { return Ok(false) };
    let Some((holder, served)) = lock.split_once('\n') else { return Ok(false) };
    let hostname = &desk.engine.parts().hostname;
    // Of a process on another host, or before this one was called otherwise, nothing is known: then nobody is relied on.
    let here = holder.split('/').next() == Some(hostname);
    Ok(here && served.trim_end() == shop.trim_end() && engine::is_alive(holder, hostname))
}
