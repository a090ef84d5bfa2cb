//! Walks the keys of a pattern in bounded batches, and looks at each as closely as is wanted.
//!
//! `SCAN` gives every key that is there all the time, and may give one twice; a key that goes in between is left out.

use std::collections::HashSet;

use redis::{Pipeline, Value, cmd};

use super::client::RedisConnection;
use crate::domain::core::reason::Reason;

/// Keys that a server examines in one `SCAN`; it is blocked for about a millisecond.
const BATCH: usize = 1000;

/// Keys that are remembered, so that none is returned twice: as many as the largest limit of a step.
const SEEN: usize = 1_000_000;

/// Keys whose facts are read in one round trip.
const CLOSELY: usize = 200;

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

    /// Whether every key was returned.
    pub(super) fn is_over(&self) -> bool {
        self.cursor.is_none()
    }

    /// The next keys, each once. May be empty although there are more.
    pub(super) async fn next(&mut self, wire: &mut RedisConnection<'_>) -> Result<Vec<Vec<u8>>, Reason> {
        let Some(cursor) = self.cursor else { return Ok(Vec::new()) };
        let mut command = cmd("SCAN");
        command.arg(cursor).arg("MATCH").arg(&self.pattern).arg("COUNT").arg(BATCH);
        let (next, keys): (u64, Vec<Vec<u8>>) = wire.ask(&command).await?;
        self.cursor = Some(next).filter(|next| *next != 0);
        Ok(keys.into_iter().filter(|key| self.is_new(key)).collect())
    }

    fn is_new(&mut self, key: &[u8]) -> bool {
        !self.seen.contains(key) && (self.seen.len() >= SEEN || self.seen.insert(key.to_vec()))
    }
}

/// Reads the facts of keys. Keys that are gone are left out.
pub(super) async fn closely(names: &[Vec<u8>], wire: &mut RedisConnection<'_>) -> Result<Vec<ScannedKey>, Reason> {
    let mut keys = Vec::with_capacity(names.len());
    for names in names.chunks(CLOSELY) {
        let mut commands = Pipeline::with_capacity(names.len() * 3);
        for name in names {
            // Idle time first: a later version might count the other commands as an access.
            commands.cmd("OBJECT").arg("IDLETIME").arg(name);
            commands.cmd("TTL").arg(name);
            commands.cmd("MEMORY").arg("USAGE").arg(name);
        }
        let answers: Vec<Option<Value>> = wire.ask_all(&mut commands).await?;
        keys.extend(names.iter().zip(answers.chunks(3)).filter_map(|(name, answers)| key(name, answers)));
    }
    Ok(keys)
}

fn key(name: &[u8], answers: &[Option<Value>]) -> Option<ScannedKey> {
    let number = |at: usize| match answers.get(at) {
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

/// A key's name for people. The part after its last colon may be a session's token or a customer's number, so only the
/// beginning of a long one is shown.
pub(super) fn shown(name: &[u8]) -> String {
    /// The longest last part shown completely, the characters shown of a longer one, and the longest name.
    const WHOLE: usize = 12;
    const BEGINNING: usize = 4;
    const NAME: usize = 100;
    let name = String::from_utf8_lossy(name);
    let (front, last) = name.rsplit_once(':').map_or(("", &*name), |(front, last)| (front, last));
    let colon = if front.is_empty() { "" } else { ":" };
    let last = match last.char_indices().nth(WHOLE) {
        Some(_) => format!("{}…", last.chars().take(BEGINNING).collect::<String>()),
        None => last.to_owned(),
    };
    crate::domain::core::text::one_line(&format!("{front}{colon}{last}"), NAME)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_in_a_name_is_not_shown() {
        assert_eq!(shown(b"session:9f86d081884c7d659a2feaa0c55ad015"), "session:9f86…");
        assert_eq!(shown(b"cart:4711:items"), "cart:4711:items");
        assert_eq!(shown(b"9f86d081884c7d659a2feaa0c55ad015"), "9f86…");
        assert_eq!(shown(b"a:\x1b[2J\xff"), "a:\u{241b}[2J\u{fffd}");
    }

    #[test]
    fn a_key_that_is_gone_is_left_out() {
        let int = |number| Some(Value::Int(number));
        assert_eq!(key(b"a", &[None, int(-2), Some(Value::Nil)]), None);
        let found = key(b"a", &[None, int(-1), int(72)]).unwrap();
        assert_eq!((found.ttl, found.idle, found.bytes), (None, None, Some(72)));
    }
}
