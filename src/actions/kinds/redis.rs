//! The kind `redis`: checks whether a Redis answers, how full it is and which keys fill it, and deletes keys by
//! pattern.
//!
//! `SCAN` walks the keys in batches that block a server for about a millisecond each. `UNLINK` deletes keys and frees
//! memory in the background. In a cluster, a step examines only the node at the given address.
//!
//! **Invariant:** no output contains a password. A long last part of a key is shortened, since it may be a session token.
//!
//! Not here: `FLUSHALL`, `KEYS`, scripts, and configuration changes.

mod client;
mod delete;
mod keys;
mod memory;
mod scan;

use std::time::Duration;

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::{Value, json};

use self::client::RedisConnection;
use super::support::datastore::{DATASTORE, DatastoreAddress, URL};
use crate::actions::{Context, Kind, Reconciled, SecretText, as_written, effect_of_verb};
use crate::domain::config::kind_schema::{Field, KindForm, OutputField, Shape, Verb};
use crate::domain::core::effect::EffectClass;
use crate::domain::core::reason::Reason;
use crate::domain::core::text::one_line;
use crate::domain::core::time::Span;
use crate::domain::incident::outcome::Outcome;
use crate::domain::incident::plan::PlannedChange;

/// Default and maximum of `timeout`.
const TIMEOUT: Duration = Duration::from_secs(30);
const LONGEST_TIMEOUT: Duration = Duration::from_secs(600);

/// The longest time for `over`.
const LONGEST_OVER: Span = Span::seconds(300);

/// Default and maximum of `sample`; each key costs three small commands.
const SAMPLE: usize = 10_000;
const LARGEST_SAMPLE: usize = 100_000;

/// Default and maximum of `limit`.
const LIMIT: usize = 10_000;
const LARGEST_LIMIT: usize = 1_000_000;

/// Characters of a pattern in a summary.
const SHOWN_LIMIT: usize = 100;

/// Implements the kind `redis`.
#[derive(Debug)]
pub struct Redis;

const fn verb(name: &'static str, shape: Shape, effect: EffectClass, help: &'static str) -> Verb {
    Verb { field: Field::optional(name, shape, help), effect }
}

static FORM: KindForm = KindForm {
    name: "redis",
    summary: "Checks a Redis and its memory, finds the keys that fill it, and deletes keys by pattern.",
    shorthand: None,
    verbs: &[
        verb("ping", Shape::Boolean, EffectClass::Read, "`true`: whether it answers."),
        verb(
            "memory",
            Shape::Boolean,
            EffectClass::Read,
            "`true`: memory against `maxmemory`, evictions, fragmentation, hit rate, clients.",
        ),
        verb(
            "keys",
            Shape::Text,
            EffectClass::Read,
            "A pattern such as `session:*`: examines a sample of these keys, and finds those without TTL, idle ones and large ones.",
        ),
        verb(
            "preview",
            Shape::Text,
            EffectClass::Read,
            "A pattern: counts what `delete` with the same fields would delete now.",
        ),
        verb(
            "delete",
            Shape::Text,
            EffectClass::Once,
            "A pattern: deletes these keys. It is never repeated by itself, since that would delete keys that were written since and that nobody has reviewed.",
        ),
    ],
    fields: &[
        DATASTORE,
        URL,
        Field::optional(
            "below",
            Shape::Number,
            "With `memory`: the percentage of `maxmemory` that must not be reached; otherwise the step fails.",
        ),
        Field::optional(
            "over",
            Shape::Duration,
            "With `memory`: measures hit rate and evictions for this time, 5m at most, instead of since the server's start.",
        ),
        Field::optional(
            "sample",
            Shape::Integer { min: 1, max: LARGEST_SAMPLE as i64 },
            "With `keys`: how many keys to examine; 10000 unless given.",
        ),
        Field::optional(
            "idle_over",
            Shape::Duration,
            "Keys without an access for this long. `keys` counts them, a day unless given; `preview` and `delete` select only them.",
        ),
        Field::optional(
            "without_ttl",
            Shape::Boolean,
            "With `preview` and `delete`: `true` selects only keys that never expire.",
        ),
        Field::optional(
            "limit",
            Shape::Integer { min: 1, max: LARGEST_LIMIT as i64 },
            "With `preview` and `delete`: the most keys to select; 10000 unless given.",
        ),
        Field::optional(
            "everything",
            Shape::Boolean,
            "With `preview` and `delete`: `true` allows a pattern that selects every key, such as `*`.",
        ),
        Field::optional("timeout", Shape::Duration, "How long it may take; 30s unless given, 10m at most."),
    ],
    effect: |spec| effect_of_verb(&FORM, spec),
    outputs: &[
        OutputField { name: "latency_ms", help: "With `ping`: how long the answer took." },
        OutputField { name: "used", help: "With `memory`: bytes in use." },
        OutputField { name: "max", help: "With `memory`: `maxmemory` in bytes; null if there is no limit." },
        OutputField {
            name: "percent",
            help: "With `memory`: the percentage of `maxmemory` in use; null if there is no limit.",
        },
        OutputField { name: "policy", help: "With `memory`: the eviction policy, such as `allkeys-lru`." },
        OutputField { name: "evicted", help: "With `memory`: how many keys were evicted." },
        OutputField { name: "fragmentation", help: "With `memory`: memory of the process divided by memory in use." },
        OutputField {
            name: "hit_rate",
            help: "With `memory`: the percentage of lookups that found their key; null if there were none.",
        },
        OutputField { name: "lookups", help: "With `memory`: how many lookups there were." },
        OutputField { name: "clients", help: "With `memory`: how many clients are connected." },
        OutputField { name: "keys", help: "With `memory` and `keys`: how many keys the database holds." },
        OutputField { name: "sampled", help: "With `keys`: how many keys were examined." },
        OutputField {
            name: "partial",
            help: "Whether more keys may match the pattern than were examined or selected.",
        },
        OutputField { name: "bytes", help: "With `keys`: the memory of the sampled keys." },
        OutputField {
            name: "without_ttl",
            help: "With `keys`: the keys that never expire, as `{count, bytes, names}`.",
        },
        OutputField {
            name: "idle",
            help: "With `keys`: the idle keys, likewise; null if the server's policy records no idle times (LFU).",
        },
        OutputField { name: "largest", help: "With `keys`: the ten largest, `{name, bytes, ttl (seconds or null)}`." },
        OutputField {
            name: "prefixes",
            help: "With `keys`: the ten largest groups, `{prefix, count, bytes, without_ttl}`.",
        },
        OutputField { name: "matched", help: "With `preview`: how many keys would be deleted." },
        OutputField { name: "deleted", help: "With `delete`: how many keys were deleted." },
        OutputField { name: "names", help: "With `preview` and `delete`: some of the keys' names." },
        OutputField {
            name: "trouble",
            help: "When it failed: `{kind, message}`; kinds: refused, access, timeout, cancelled, loading, memory, everything, idle_unknown, tls, server, …",
        },
    ],
    example: "redis:\n  memory: true\n  below: 80\n",
};

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Spec {
    ping: Option<bool>,
    memory: Option<bool>,
    keys: Option<String>,
    preview: Option<String>,
    delete: Option<String>,
    datastore: Option<String>,
    url: Option<SecretText>,
    below: Option<f64>,
    over: Option<Span>,
    sample: Option<usize>,
    idle_over: Option<Span>,
    without_ttl: bool,
    limit: Option<usize>,
    everything: bool,
    timeout: Option<Span>,
}

impl Spec {
    fn read(spec: &Value) -> Result<Self, Reason> {
        Self::deserialize(spec).map_err(|error| Reason::new("spec", format!("redis: {error}")))
    }

    fn datastore(&self) -> DatastoreAddress {
        DatastoreAddress { datastore: self.datastore.clone(), url: self.url.clone() }
    }

    async fn connect<'c>(&self, context: &'c Context) -> Result<RedisConnection<'c>, Reason> {
        let timeout = self.timeout.map_or(TIMEOUT, |timeout| timeout.0).min(LONGEST_TIMEOUT);
        let timeout = timeout + self.over().map_or(Duration::ZERO, |over| over.0);
        let url = self.datastore().address("redis", 6379, context)?;
        RedisConnection::connect(&url, Span(timeout).after(context.clock.now()), context).await
    }

    /// The time between the two measurements of `memory`, in addition to the timeout.
    fn over(&self) -> Option<Span> {
        self.over.map(|over| over.min(LONGEST_OVER))
    }

    /// The keys that `preview` and `delete` select. Fails if the pattern selects every key without `everything`.
    fn selection(&self, pattern: &str) -> Result<delete::KeySelection, Reason> {
        if !self.everything && pattern.chars().all(|c| matches!(c, '*' | '?')) {
            let message = format!("`{}` selects every key; `everything: true` permits that", shown(pattern));
            return Err(Reason::new("everything", message));
        }
        Ok(delete::KeySelection {
            pattern: pattern.to_owned(),
            idle_over: self.idle_over.map(|idle| idle.0),
            without_ttl: self.without_ttl,
            limit: self.limit.unwrap_or(LIMIT).clamp(1, LARGEST_LIMIT),
        })
    }

    /// The step for the description of a change.
    fn what(&self) -> String {
        match (&self.delete, &self.preview, &self.keys, self.memory) {
            (Some(pattern), ..) => format!("delete the keys `{}`{}", shown(pattern), self.conditions()),
            (_, Some(pattern), ..) => format!("count the keys `{}`{}", shown(pattern), self.conditions()),
            (_, _, Some(pattern), _) => format!("examine the keys `{}`", shown(pattern)),
            (.., Some(_)) => "measure its memory".to_owned(),
            _ => "check whether it answers".to_owned(),
        }
    }

    /// The conditions of the selected keys, as the end of a sentence.
    fn conditions(&self) -> String {
        let idle = self.idle_over.map(|idle| format!("idle for {idle}"));
        let conditions: Vec<String> =
            self.without_ttl.then(|| "without TTL".to_owned()).into_iter().chain(idle).collect();
        if conditions.is_empty() { String::new() } else { format!(" {}", conditions.join(" and ")) }
    }
}

fn shown(pattern: &str) -> String {
    one_line(pattern, SHOWN_LIMIT)
}

#[async_trait]
impl Kind for Redis {
    fn form(&self) -> &'static KindForm {
        &FORM
    }

    fn describe(&self, spec: &Value) -> PlannedChange {
        match Spec::read(spec) {
            Ok(spec) => {
                PlannedChange { what: spec.what(), place: spec.datastore().shown("redis"), ..PlannedChange::default() }
            }
            Err(_) => PlannedChange { what: as_written(&FORM, spec), ..PlannedChange::default() },
        }
    }

    async fn perform(&self, spec: &Value, context: &Context) -> Outcome {
        let outcome = async {
            let spec = Spec::read(spec)?;
            perform(&spec, context).await
        };
        outcome.await.unwrap_or_else(|error: Reason| error.outcome(json!({})))
    }

    async fn reconcile(&self, spec: &Value, _before: &Value, context: &Context) -> Reconciled {
        let remaining = async {
            let spec = Spec::read(spec)?;
            let selection = spec.selection(spec.delete.as_deref().unwrap_or_default())?;
            delete::count(&selection, &mut spec.connect(context).await?).await
        };
        match remaining.await {
            Ok(outcome) if outcome.output["matched"] == 0 && outcome.output["partial"] == false => {
                Reconciled::Happened(Outcome::succeeded("none of the keys is left", json!({ "partial": false })))
            }
            Ok(outcome) => Reconciled::CannotTell(format!("{} now", outcome.summary)),
            Err(error) => Reconciled::CannotTell(error.text),
        }
    }
}

async fn perform(spec: &Spec, context: &Context) -> Result<Outcome, Reason> {
    // Validated before connecting.
    let selection =
        spec.delete.as_ref().or(spec.preview.as_ref()).map(|pattern| spec.selection(pattern)).transpose()?;
    let mut connection = spec.connect(context).await?;
    if let Some(selection) = selection {
        return match spec.delete {
            Some(_) => Ok(delete::delete(&selection, &mut connection).await),
            None => delete::count(&selection, &mut connection).await,
        };
    }
    if let Some(pattern) = &spec.keys {
        let sample = spec.sample.unwrap_or(SAMPLE).clamp(1, LARGEST_SAMPLE);
        return keys::key_groups(pattern, sample, spec.idle_over, &mut connection).await;
    }
    match (spec.memory, spec.ping) {
        (Some(true), _) => memory::memory_report(spec.below, spec.over(), &mut connection).await,
        (_, Some(true)) => connection.ping().await,
        _ => Err(Reason::new("spec", "redis: nothing is asked for")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_deletion_changes_anything() {
        let effect = |spec: Value| (FORM.effect)(&spec);
        assert_eq!(effect(json!({ "delete": "a:*" })), EffectClass::Once);
        assert_eq!(
            (effect(json!({ "preview": "a:*" })), effect(json!({ "ping": true }))),
            (EffectClass::Read, EffectClass::Read)
        );
    }

    #[test]
    fn a_pattern_that_selects_every_key_needs_everything() {
        let selection = |spec: Value| Spec::read(&spec).unwrap().selection(spec["delete"].as_str().unwrap());
        assert_eq!(selection(json!({ "delete": "**" })).unwrap_err().code, "everything");
        assert_eq!(selection(json!({ "delete": "" })).unwrap_err().code, "everything");
        assert!(selection(json!({ "delete": "*", "everything": true })).is_ok());
        assert!(selection(json!({ "delete": "a*" })).is_ok());
    }

    #[test]
    fn the_description_of_a_deletion_has_its_conditions() {
        let change = Redis
            .describe(&json!({ "delete": "cart:*", "without_ttl": true, "idle_over": "7d", "datastore": "cache" }));
        assert_eq!(change.what, "delete the keys `cart:*` without TTL and idle for 7d");
        assert_eq!(change.place, "cache");
        assert_eq!(Redis.describe(&json!({ "delete": "cart:*" })).what, "delete the keys `cart:*`");
    }
}
