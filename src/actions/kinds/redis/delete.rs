//! Deletes keys by pattern in bounded batches, or counts them.
//!
//! **Invariant:** the outcome reports the deleted keys even if an error ends the deletion.

use std::time::Duration;

use redis::cmd;
use serde_json::json;

use super::client::RedisConnection;
use super::keys::NAMES;
use super::scan::{Scan, ScannedKey, facts_of, shown};
use crate::domain::core::reason::Reason;
use crate::domain::core::text::grouped;
use crate::domain::incident::outcome::Outcome;

/// The keys to delete or count: a pattern and conditions.
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

/// The keys that were counted or deleted so far.
#[derive(Debug, Default)]
struct DeleteProgress {
    count: u64,
    names: Vec<String>,
    partial: bool,
}

impl KeySelection {
    /// The keys that meet the conditions.
    async fn filter(&self, names: Vec<Vec<u8>>, connection: &mut RedisConnection<'_>) -> Result<Vec<Vec<u8>>, Reason> {
        if self.idle_over.is_none() && !self.without_ttl {
            return Ok(names);
        }
        let keys = facts_of(&names, connection).await?;
        if self.idle_over.is_some() && keys.iter().any(|key| key.idle.is_none()) {
            let message = "the server's policy records no idle times, so keys cannot be selected by them";
            return Err(Reason::new("idle_unknown", message));
        }
        Ok(keys.into_iter().filter(|key| self.meets_conditions(key)).map(|key| key.name).collect())
    }

    fn meets_conditions(&self, key: &ScannedKey) -> bool {
        let is_idle = |over: Duration| key.idle.is_some_and(|idle| idle >= over.as_secs());
        (!self.without_ttl || key.ttl.is_none()) && self.idle_over.is_none_or(is_idle)
    }
}

/// Counts the keys that [`delete`] would delete.
pub(super) async fn count(selection: &KeySelection, connection: &mut RedisConnection<'_>) -> Result<Outcome, Reason> {
    let mut progress = DeleteProgress::default();
    walk(selection, connection, &mut progress, DeleteMode::Count).await?;
    let more = if progress.partial { " or more" } else { "" };
    let summary =
        format!("{}{more} keys `{}` would be deleted", grouped(progress.count), super::shown(&selection.pattern));
    let output = json!({ "matched": progress.count, "partial": progress.partial, "names": progress.names });
    Ok(Outcome::succeeded(summary, output))
}

/// Deletes the selected keys.
pub(super) async fn delete(selection: &KeySelection, connection: &mut RedisConnection<'_>) -> Outcome {
    let mut progress = DeleteProgress::default();
    let result = walk(selection, connection, &mut progress, DeleteMode::Delete).await;
    let output = json!({
        "deleted": progress.count, "names": progress.names, "partial": progress.partial || result.is_err(),
    });
    let done = format!("deleted {} keys `{}`", grouped(progress.count), super::shown(&selection.pattern));
    match result {
        Ok(()) if progress.partial => Outcome::succeeded(format!("{done}; there may be more"), output),
        Ok(()) => Outcome::succeeded(done, output),
        Err(error) => error.worded(|text| format!("{text}; before that, {done}")).outcome(output),
    }
}

/// Counts or deletes the selected keys, batch by batch, until the limit or the deadline.
async fn walk(
    selection: &KeySelection,
    connection: &mut RedisConnection<'_>,
    progress: &mut DeleteProgress,
    mode: DeleteMode,
) -> Result<(), Reason> {
    let mut scan = Scan::new(&selection.pattern);
    while !scan.is_over() {
        let left = selection.limit.saturating_sub(progress.count as usize);
        if left == 0 || !connection.has_time() {
            progress.partial = true;
            break;
        }
        let names = scan.next(connection).await?;
        let mut names = selection.filter(names, connection).await?;
        progress.partial = names.len() > left;
        names.truncate(left);
        progress.names.extend(names.iter().take(NAMES - progress.names.len()).map(|name| shown(name)));
        progress.count += match mode {
            DeleteMode::Delete if !names.is_empty() => connection.query::<u64>(cmd("UNLINK").arg(&names)).await?,
            _ => names.len() as u64,
        };
        if progress.partial {
            break;
        }
    }
    Ok(())
}
