//! Deletes keys by pattern in bounded batches, or counts what would be deleted.
//!
//! **Invariant:** what was deleted is said, even when it ends in the middle.

use std::time::Duration;

use redis::cmd;
use serde_json::json;

use super::client::RedisConnection;
use super::keys::NAMES;
use super::scan::{Scan, ScannedKey, closely, shown};
use crate::domain::core::reason::Reason;
use crate::domain::core::text::grouped;
use crate::domain::incident::outcome::Outcome;

#[derive(Debug)]
pub(super) struct KeySelection {
    pub(super) pattern: String,
    pub(super) idle_over: Option<Duration>,
    pub(super) without_ttl: bool,
    pub(super) limit: usize,
}

/// What to do with the selected keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum DeleteMode {
    Count,
    Delete,
}

/// The progress of a walk.
#[derive(Debug, Default)]
struct DeleteProgress {
    count: u64,
    names: Vec<String>,
    partial: bool,
}

impl KeySelection {
    /// Filters keys by idle time and TTL.
    async fn of(&self, names: Vec<Vec<u8>>, wire: &mut RedisConnection<'_>) -> Result<Vec<Vec<u8>>, Reason> {
        if self.idle_over.is_none() && !self.without_ttl {
            return Ok(names);
        }
        let keys = closely(&names, wire).await?;
        if self.idle_over.is_some() && keys.iter().any(|key| key.idle.is_none()) {
            let message = "idle times are not kept under this server's policy, so nothing is taken by them";
            return Err(Reason::new("idle_unknown", message));
        }
        Ok(keys.into_iter().filter(|key| self.takes(key)).map(|key| key.name).collect())
    }

    fn takes(&self, key: &ScannedKey) -> bool {
        let is_idle = |over: Duration| key.idle.is_some_and(|idle| idle >= over.as_secs());
        (!self.without_ttl || key.ttl.is_none()) && self.idle_over.is_none_or(is_idle)
    }
}

/// Counts the keys that [`delete`] would delete.
pub(super) async fn count(taken: &KeySelection, wire: &mut RedisConnection<'_>) -> Result<Outcome, Reason> {
    let mut progress = DeleteProgress::default();
    walk(taken, wire, &mut progress, DeleteMode::Count).await?;
    let more = if progress.partial { " or more" } else { "" };
    let summary = format!("{}{more} keys `{}` would be deleted", grouped(progress.count), super::shown(&taken.pattern));
    let output = json!({ "matched": progress.count, "partial": progress.partial, "names": progress.names });
    Ok(Outcome::succeeded(summary, output))
}

/// Deletes the selected keys.
pub(super) async fn delete(taken: &KeySelection, wire: &mut RedisConnection<'_>) -> Outcome {
    let mut progress = DeleteProgress::default();
    let walked = walk(taken, wire, &mut progress, DeleteMode::Delete).await;
    let output = json!({
        "deleted": progress.count, "names": progress.names, "partial": progress.partial || walked.is_err(),
    });
    let done = format!("deleted {} keys `{}`", grouped(progress.count), super::shown(&taken.pattern));
    match walked {
        Ok(()) if progress.partial => Outcome::succeeded(format!("{done}; there may be more"), output),
        Ok(()) => Outcome::succeeded(done, output),
        Err(trouble) => trouble.worded(|text| format!("{text}, after it {done}")).outcome(output),
    }
}

async fn walk(
    taken: &KeySelection,
    wire: &mut RedisConnection<'_>,
    progress: &mut DeleteProgress,
    deed: DeleteMode,
) -> Result<(), Reason> {
    let mut scan = Scan::new(&taken.pattern);
    while !scan.is_over() {
        let room = taken.limit.saturating_sub(progress.count as usize);
        if room == 0 || !wire.has_time() {
            progress.partial = true;
            break;
        }
        let names = scan.next(wire).await?;
        let mut names = taken.of(names, wire).await?;
        progress.partial = names.len() > room;
        names.truncate(room);
        progress.names.extend(names.iter().take(NAMES - progress.names.len()).map(|name| shown(name)));
        progress.count += match deed {
            DeleteMode::Delete if !names.is_empty() => wire.ask::<u64>(cmd("UNLINK").arg(&names)).await?,
            _ => names.len() as u64,
        };
        if progress.partial {
            break;
        }
    }
    Ok(())
}
