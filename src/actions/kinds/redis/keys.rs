//! Analyses a sample of keys: those without TTL, idle ones, the largest ones, and the groups by prefix. It never reads a
//! value.

use std::collections::BTreeMap;

use redis::cmd;
use serde_json::{Value, json};

use super::client::RedisConnection;
use super::scan::{Scan, ScannedKey, facts_of, shown};
use crate::domain::core::reason::Reason;
use crate::domain::core::text::{bytes, grouped};
use crate::domain::core::time::Span;
use crate::domain::incident::outcome::Outcome;

/// The default of `idle_over`.
const IDLE: Span = Span::seconds(24 * 60 * 60);

/// Names that are listed for a group, and entries of the lists of the largest keys and groups.
pub(super) const NAMES: usize = 20;
const TOP: usize = 10;

/// Distinct prefixes that are counted; keys with other prefixes count as `…`.
const PREFIXES: usize = 1000;

/// Counters of a group of keys.
#[derive(Debug, Default)]
struct KeyGroup {
    count: u64,
    bytes: u64,
    without_ttl: u64,
    names: Vec<String>,
}

impl KeyGroup {
    fn add(&mut self, key: &ScannedKey) {
        self.count += 1;
        self.bytes += key.bytes.unwrap_or(0);
        self.without_ttl += u64::from(key.ttl.is_none());
        if self.names.len() < NAMES {
            self.names.push(shown(&key.name));
        }
    }

    fn of<'k>(keys: impl Iterator<Item = &'k ScannedKey>) -> Self {
        let mut group = Self::default();
        keys.for_each(|key| group.add(key));
        group
    }

    fn output(&self) -> Value {
        json!({ "count": self.count, "bytes": self.bytes, "names": self.names })
    }
}

/// Examines up to `sample` keys.
pub(super) async fn key_groups(
    pattern: &str,
    sample: usize,
    idle_over: Option<Span>,
    connection: &mut RedisConnection<'_>,
) -> Result<Outcome, Reason> {
    let total: u64 = connection.query(&cmd("DBSIZE")).await?;
    let (mut scan, mut keys) = (Scan::new(pattern), Vec::new());
    let mut is_cut = false;
    while !scan.is_over() && keys.len() < sample && connection.has_time() {
        let mut names = scan.next(connection).await?;
        is_cut = names.len() > sample - keys.len();
        names.truncate(sample - keys.len());
        keys.extend(facts_of(&names, connection).await?);
    }
    Ok(report(pattern, &keys, total, is_cut || !scan.is_over(), idle_over.unwrap_or(IDLE)))
}

fn report(pattern: &str, keys: &[ScannedKey], total: u64, partial: bool, idle_over: Span) -> Outcome {
    let all = KeyGroup::of(keys.iter());
    let without_ttl = KeyGroup::of(keys.iter().filter(|key| key.ttl.is_none()));
    let idle = KeyGroup::of(keys.iter().filter(|key| key.idle.is_some_and(|idle| idle >= idle_over.0.as_secs())));
    let is_idle_known = keys.is_empty() || keys.iter().any(|key| key.idle.is_some());
    let output = json!({
        "keys": total, "sampled": all.count, "partial": partial, "bytes": all.bytes,
        "without_ttl": without_ttl.output(),
        "idle": is_idle_known.then(|| idle.output()),
        "largest": largest(keys), "prefixes": prefixes(keys),
    });
    let sample = if partial { " (a sample: there may be more)" } else { "" };
    let idle = if is_idle_known {
        format!("{} idle for {idle_over}, {}", grouped(idle.count), bytes(idle.bytes))
    } else {
        "idle times are not recorded".to_owned()
    };
    let summary = format!(
        "{} keys `{}`{sample}, {}: {} without TTL, {}; {idle}",
        grouped(all.count),
        super::shown(pattern),
        bytes(all.bytes),
        grouped(without_ttl.count),
        bytes(without_ttl.bytes),
    );
    Outcome::succeeded(summary, output)
}

fn largest(keys: &[ScannedKey]) -> Vec<Value> {
    let mut keys: Vec<&ScannedKey> = keys.iter().collect();
    keys.sort_by_key(|key| std::cmp::Reverse(key.bytes));
    let entry = |key: &ScannedKey| json!({ "name": shown(&key.name), "bytes": key.bytes, "ttl": key.ttl });
    keys.into_iter().take(TOP).map(entry).collect()
}

/// Groups keys by the part before the first colon, largest group first.
fn prefixes(keys: &[ScannedKey]) -> Vec<Value> {
    let mut groups: BTreeMap<String, KeyGroup> = BTreeMap::new();
    for key in keys {
        let first = key.name.split(|byte| *byte == b':').next().filter(|first| first.len() < key.name.len());
        let mut prefix = first.map_or_else(|| "(none)".to_owned(), |first| format!("{}:", shown(first)));
        if groups.len() >= PREFIXES && !groups.contains_key(&prefix) {
            prefix = "…".to_owned();
        }
        groups.entry(prefix).or_default().add(key);
    }
    let mut groups: Vec<(String, KeyGroup)> = groups.into_iter().collect();
    groups.sort_by_key(|(_, group)| std::cmp::Reverse(group.bytes));
    let entry = |(prefix, group): (String, KeyGroup)| json!({ "prefix": prefix, "count": group.count, "bytes": group.bytes, "without_ttl": group.without_ttl });
    groups.into_iter().take(TOP).map(entry).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str, ttl: Option<u64>, idle: Option<u64>, bytes: u64) -> ScannedKey {
        ScannedKey { name: name.as_bytes().to_vec(), ttl, idle, bytes: Some(bytes) }
    }

    #[test]
    fn the_report_has_the_largest_prefixes_and_keys() {
        let keys = [
            key("cart:1", None, Some(90_000), 1000),
            key("cart:2", None, Some(5), 3000),
            key("session:1", Some(60), Some(5), 500),
            key("counter", Some(60), Some(5), 50),
        ];
        let outcome = report("*", &keys, 4, false, IDLE);
        assert_eq!(outcome.summary, "4 keys `*`, 4.4 KiB: 2 without TTL, 3.9 KiB; 1 idle for 24h, 1000 B");
        let first = &outcome.output["prefixes"][0];
        assert_eq!(first, &json!({ "prefix": "cart:", "count": 2, "bytes": 4000, "without_ttl": 2 }));
        assert_eq!(outcome.output["largest"][0]["name"], "cart:2");
    }

    #[test]
    fn without_recorded_idle_times_the_number_of_idle_keys_is_null() {
        let outcome = report("*", &[key("a", None, None, 1)], 1, true, IDLE);
        assert_eq!(outcome.output["idle"], Value::Null);
        assert!(outcome.summary.contains("a sample"), "{}", outcome.summary);
    }
}
