//! Measures the memory, hit rate and evictions of a Redis, from `INFO` (<https://redis.io/docs/latest/commands/info/>).

use redis::{InfoDict, cmd};
use serde_json::{Value, json};

use super::client::RedisConnection;
use crate::actions::transport::timeout::pause;
use crate::domain::core::reason::Reason;
use crate::domain::core::text::{bytes, one_line};
use crate::domain::core::time::Span;
use crate::domain::incident::outcome::Outcome;

/// Characters of the policy's name that are kept.
const POLICY_LENGTH: usize = 40;

/// Counters that the server sets to zero only when it starts.
#[derive(Debug, Clone, Copy, Default)]
struct Counters {
    hits: u64,
    misses: u64,
    evicted: u64,
}

impl Counters {
    fn of(info: &InfoDict) -> Self {
        let number = |key: &str| info.get(key).unwrap_or(0);
        Self { hits: number("keyspace_hits"), misses: number("keyspace_misses"), evicted: number("evicted_keys") }
    }

    /// The growth since `before`; the whole value if the server has restarted.
    fn since(self, before: Self) -> Self {
        let grown = |now: u64, before: u64| now.checked_sub(before).unwrap_or(now);
        Self {
            hits: grown(self.hits, before.hits),
            misses: grown(self.misses, before.misses),
            evicted: grown(self.evicted, before.evicted),
        }
    }

    fn lookups(self) -> u64 {
        self.hits + self.misses
    }

    /// In percent with one decimal; `None` without lookups.
    fn hit_rate(self) -> Option<f64> {
        (self.lookups() > 0).then(|| share(self.hits, self.lookups()))
    }
}

/// Reports the memory, and the counters since the server's start, or those of the time `over`.
pub(super) async fn memory_report(
    below: Option<f64>,
    over: Option<Span>,
    connection: &mut RedisConnection<'_>,
) -> Result<Outcome, Reason> {
    let mut before = Counters::default();
    if let Some(over) = over {
        before = Counters::of(&connection.query(&cmd("INFO")).await?);
        pause(over.0, connection.context).await?;
    }
    let info: InfoDict = connection.query(&cmd("INFO")).await?;
    let keys: u64 = connection.query(&cmd("DBSIZE")).await?;
    Ok(report(&info, Counters::of(&info).since(before), keys, below))
}

fn report(info: &InfoDict, counters: Counters, keys: u64, below: Option<f64>) -> Outcome {
    let used: u64 = info.get("used_memory").unwrap_or(0);
    let max: Option<u64> = info.get("maxmemory").filter(|max| *max > 0);
    let percent = max.map(|max| share(used, max));
    let policy = one_line(&info.get::<String>("maxmemory_policy").unwrap_or_default(), POLICY_LENGTH);
    let output = json!({
        "used": used, "max": max, "percent": percent, "policy": policy,
        "evicted": counters.evicted, "hit_rate": counters.hit_rate(), "lookups": counters.lookups(),
        "fragmentation": info.get::<f64>("mem_fragmentation_ratio"),
        "clients": info.get::<u64>("connected_clients"), "keys": keys,
    });
    let summary = summary(used, max.zip(percent), &policy, counters);
    checked(summary, percent, below, output)
}

/// The outcome, checked against the limit.
fn checked(summary: String, percent: Option<f64>, below: Option<f64>, output: Value) -> Outcome {
    match (below, percent) {
        (None, _) => Outcome::succeeded(summary, output),
        (Some(below), Some(percent)) if percent < below => Outcome::succeeded(summary, output),
        (Some(below), Some(_)) => Reason::new("memory", format!("{summary}; not below {below} %")).outcome(output),
        (Some(_), None) => {
            Reason::new("memory", format!("{summary}; without a limit there is no percentage")).outcome(output)
        }
    }
}

fn summary(used: u64, max: Option<(u64, f64)>, policy: &str, counters: Counters) -> String {
    let memory = match max {
        Some((max, percent)) => format!("memory {percent} % of {} (policy {policy})", bytes(max)),
        None => format!("memory {} without limit", bytes(used)),
    };
    let rate = counters.hit_rate().map_or_else(|| "no lookups".to_owned(), |rate| format!("hit rate {rate} %"));
    let evicted = if counters.evicted > 0 { format!(", {} keys evicted", counters.evicted) } else { String::new() };
    format!("{memory}, {rate}{evicted}")
}

/// A share in percent with one decimal.
fn share(part: u64, whole: u64) -> f64 {
    (part as f64 * 1000.0 / whole as f64).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    const INFO: &str = "# Memory\r\nused_memory:445644800\r\nmaxmemory:536870912\r\nmaxmemory_policy:allkeys-lru\r\n\
                        mem_fragmentation_ratio:1.21\r\nkeyspace_hits:912\r\nkeyspace_misses:88\r\nevicted_keys:0\r\n";

    #[test]
    fn the_summary_has_memory_policy_and_hit_rate() {
        let info = InfoDict::new(INFO);
        let outcome = report(&info, Counters::of(&info), 17, Some(80.0));
        assert_eq!(outcome.summary, "memory 83 % of 512 MiB (policy allkeys-lru), hit rate 91.2 %; not below 80 %");
        assert_eq!((&outcome.output["percent"], &outcome.output["fragmentation"]), (&json!(83.0), &json!(1.21)));
        assert!(report(&info, Counters::of(&info), 17, Some(83.1)).is_success());
    }

    #[test]
    fn without_a_limit_or_lookups_there_is_no_rate() {
        let info = InfoDict::new("used_memory:1048576\r\nmaxmemory:0\r\n");
        let outcome = report(&info, Counters::default(), 0, None);
        assert_eq!(outcome.summary, "memory 1 MiB without limit, no lookups");
        assert_eq!((&outcome.output["max"], &outcome.output["hit_rate"]), (&Value::Null, &Value::Null));
        assert!(!report(&info, Counters::default(), 0, Some(80.0)).is_success());
    }

    #[test]
    fn after_a_restart_the_counters_count_from_the_start() {
        let now = Counters { hits: 3, misses: 1, evicted: 0 };
        assert_eq!(now.since(Counters { hits: 900, misses: 900, evicted: 5 }).hit_rate(), Some(75.0));
    }
}
