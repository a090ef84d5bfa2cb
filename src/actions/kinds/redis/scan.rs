//! Walks the keys of a pattern in bounded batches, and reads the facts of each key.
//!
//! `SCAN` returns every key that exists during the whole walk, possibly twice. A key that was deleted during the walk is
//! left out.

use std::collections::HashSet;

use redis::{Pipeline, Value, cmd};

use super::client::RedisConnection;
use crate::domain::core::reason::Reason;

/// Keys that a server examines in one `SCAN`, which blocks it for about a millisecond.
const BATCH: usize = 1000;

/// Keys that are remembered, so that none is returned twice: as many as the largest limit of a step.
const REMEMBERED: usize = 1_000_000;

/// Keys whose facts are read in one round trip.
const FACTS_BATCH: usize = 200;

/// A walk over the keys of a pattern.
pub(super) struct Scan {
    pattern: String,
    cursor: Option<u64>,
    seen: HashSet<Vec<u8>>,
}

/// A key and its facts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct ScannedKey {
    pub(super) name: Vec<u8>,
    /// In seconds; `None` if the key never expires.
    pub(super) ttl: Option<u64>,
    /// In seconds; `None` if the server does not record it.
    pub(super) idle: Option<u64>,
    pub(super) bytes: Option<u64>,
}

impl Scan {
    pub(super) fn new(pattern: &str) -> Self {
        Self { pattern: pattern.to_owned(), cursor: Some(0), seen: HashSet::new() }
    }

    /// Whether the walk has ended, so that every key was returned.
    pub(super) fn is_over(&self) -> bool {
        self.cursor.is_none()
    }

    /// The next keys, each once. May be empty although there are more.
    pub(super) async fn next(&mut self, connection: &mut RedisConnection<'_>) -> Result<Vec<Vec<u8>>, Reason> {
        let Some(cursor) = self.cursor else { return Ok(Vec::new()) };
        let mut command = cmd("SCAN");
        command.arg(cursor).arg("MATCH").arg(&self.pattern).arg("COUNT").arg(BATCH);
        let (next, keys): (u64, Vec<Vec<u8>>) = connection.query(&command).await?;
        self.cursor = Some(next).filter(|next| *next != 0);
        Ok(keys.into_iter().filter(|key| self.is_new(key)).collect())
    }

    fn is_new(&mut self, key: &[u8]) -> bool {
        !self.seen.contains(key) && (self.seen.len() >= REMEMBERED || self.seen.insert(key.to_vec()))
    }
}

/// Reads idle time, TTL and memory of keys. Keys that no longer exist are left out.
pub(super) async fn facts_of(
    names: &[Vec<u8>],
    connection: &mut RedisConnection<'_>,
) -> Result<Vec<ScannedKey>, Reason> {
    let mut keys = Vec::with_capacity(names.len());
    for names in names.chunks(FACTS_BATCH) {
        let mut commands = Pipeline::with_capacity(names.len() * 3);
        for name in names {
            // Idle time first: a later version might count the other commands as an access.
            commands.cmd("OBJECT").arg("IDLETIME").arg(name);
            commands.cmd("TTL").arg(name);
            commands.cmd("MEMORY").arg("USAGE").arg(name);
        }
        let replies: Vec<Option<Value>> = connection.query_all(&mut commands).await?;
        keys.extend(names.iter().zip(replies.chunks(3)).filter_map(|(name, replies)| key(name, replies)));
    }
    Ok(keys)
}

fn key(name: &[u8], replies: &[Option<Value>]) -> Option<ScannedKey> {
    let number = |at: usize| match replies.get(at) {
        Some(Some(Value::Int(number))) => Some(*number),
        _ => None,
    };
    let positive = |number: Option<i64>| number.and_then(|number| u64::try_from(number).ok());
    // -1: never expires. -2: does not exist.
    let ttl = number(1).filter(|ttl| *ttl != -2)?;
    Some(ScannedKey {
        name: name.to_vec(),
        ttl: positive(Some(ttl)),
        idle: positive(number(0)),
        bytes: positive(number(2)),
    })
}

/// A key's name for people. The part after its last colon may be a session token or a customer number, so only the
/// beginning of a long part is shown.
pub(super) fn shown(name: &[u8]) -> String {
    /// Characters of a last part that is shown completely, of the beginning of a longer one, and of the whole name.
    const WHOLE: usize = 12;
    const BEGINNING: usize = 4;
    const NAME_LIMIT: usize = 100;
    let name = String::from_utf8_lossy(name);
    let (front, last) = name.rsplit_once(':').map_or(("", &*name), |(front, last)| (front, last));
    let colon = if front.is_empty() { "" } else { ":" };
    let last = match last.char_indices().nth(WHOLE) {
        Some(_) => format!("{}…", last.chars().take(BEGINNING).collect::<String>()),
        None => last.to_owned(),
    };
    crate::domain::core::text::one_line(&format!("{front}{colon}{last}"), NAME_LIMIT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_in_a_key_is_shortened() {
        assert_eq!(shown(b"session:9f86d081884c7d659a2feaa0c55ad015"), "session:9f86…");
        assert_eq!(shown(b"cart:4711:items"), "cart:4711:items");
        assert_eq!(shown(b"9f86d081884c7d659a2feaa0c55ad015"), "9f86…");
        assert_eq!(shown(b"a:\x1b[2J\xff"), "a:\u{241b}[2J\u{fffd}");
    }

    #[test]
    fn a_key_that_no_longer_exists_is_left_out() {
        let int = |number| Some(Value::Int(number));
        assert_eq!(key(b"a", &[None, int(-2), Some(Value::Nil)]), None);
        let found = key(b"a", &[None, int(-1), int(72)]).unwrap();
        assert_eq!((found.ttl, found.idle, found.bytes), (None, None, Some(72)));
    }
}
