//! The kind `redis`: whether it answers, how full it is, which keys fill it, and deleting keys by pattern.
//!
//! Keys are walked by `SCAN`, in batches that hold up a server for about a millisecond each, and deleted by `UNLINK`,
//! which frees memory in the background.
//!
//! Deliberately absent: `FLUSHALL`, `KEYS`, scripts, and changes of the configuration. Clusters are looked at one node
//! at a time.
//!
//! **Invariant:** no password and no address leaves this file's room, and a key's last part is shown in short: it may be
//! a session's token.

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
use crate::actions::{Context, Kind, Reconciled, SecretText};
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
const SHOWN: usize = 100;

/// Implements the kind `redis`.
#[derive(Debug)]
pub struct Redis;

const fn verb(name: &'static str, shape: Shape, effect: EffectClass, help: &'static str) -> Verb {
    Verb { field: Field::optional(name, shape, help), effect }
}

static FORM: KindForm = KindForm {
    name: "redis",
    summary: "Asks a Redis how it is, looks for keys that fill it, and deletes keys by pattern.",
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
            "A pattern such as `session:*`: looks closely at a sample of these keys, for those without TTL, idle ones and large ones.",
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
            "A pattern: deletes these keys. Once, since a second time deletes what has been written since, which nobody has looked at.",
        ),
    ],
    fields: &[
        DATASTORE,
        URL,
        Field::optional(
            "below",
            Shape::Number,
            "With `memory`: the percentage of `maxmemory` that must not be reached, else the step fails.",
        ),
        Field::optional(
            "over",
            Shape::Duration,
            "With `memory`: the hit rate and evictions of this time from now on, 5m at most, instead of since the server's start.",
        ),
        Field::optional(
            "sample",
            Shape::Integer { min: 1, max: LARGEST_SAMPLE as i64 },
            "With `keys`: how many keys to look at; 10000 unless given.",
        ),
        Field::optional(
            "idle_over",
            Shape::Duration,
            "Keys that nobody has touched for this long. `keys` counts them, a day unless given; `preview` and `delete` take only them.",
        ),
        Field::optional(
            "without_ttl",
            Shape::Boolean,
            "With `preview` and `delete`: `true` takes only keys that never expire.",
        ),
        Field::optional(
            "limit",
            Shape::Integer { min: 1, max: LARGEST_LIMIT as i64 },
            "With `preview` and `delete`: the most keys to take; 10000 unless given.",
        ),
        Field::optional(
            "everything",
            Shape::Boolean,
            "With `preview` and `delete`: `true` allows a pattern such as `*` that leaves nothing out.",
        ),
        Field::optional("timeout", Shape::Duration, "How long it may take; 30s unless given, 10m at most."),
    ],
    effect: |spec| {
        let given = |name: &str| spec.get(name).is_some();
        FORM.verbs.iter().find(|verb| given(verb.field.name)).map_or(EffectClass::Once, |verb| verb.effect)
    },
    outputs: &[
        OutputField { name: "latency_ms", help: "With `ping`: how long the answer took." },
        OutputField { name: "used", help: "With `memory`: bytes in use." },
        OutputField { name: "max", help: "With `memory`: `maxmemory` in bytes; null when there is no limit." },
        OutputField {
            name: "percent",
            help: "With `memory`: the share of `maxmemory` in use; null when there is no limit.",
        },
        OutputField {
            name: "policy",
            help: "With `memory`: what is evicted when memory is full, such as `allkeys-lru`.",
        },
        OutputField { name: "evicted", help: "With `memory`: how many keys were evicted." },
        OutputField { name: "fragmentation", help: "With `memory`: memory of the process by memory in use." },
        OutputField {
            name: "hit_rate",
            help: "With `memory`: the percentage of lookups that found their key; null when there were none.",
        },
        OutputField { name: "lookups", help: "With `memory`: how many there were." },
        OutputField { name: "clients", help: "With `memory`: how many are connected." },
        OutputField { name: "keys", help: "With `memory` and `keys`: how many keys the database holds." },
        OutputField { name: "sampled", help: "With `keys`: how many keys were looked at." },
        OutputField {
            name: "partial",
            help: "Whether there may be more keys of the pattern than were looked at or taken.",
        },
        OutputField { name: "bytes", help: "With `keys`: the memory of the sampled keys." },
        OutputField { name: "without_ttl", help: "With `keys`: `{count, bytes, names}` of those that never expire." },
        OutputField {
            name: "idle",
            help: "With `keys`: `{count, bytes, names}`; null where the policy keeps no idle times (LFU).",
        },
        OutputField { name: "largest", help: "With `keys`: the ten largest, `{name, bytes, ttl (seconds or null)}`." },
        OutputField {
            name: "prefixes",
            help: "With `keys`: the ten largest groups, `{prefix, count, bytes, without_ttl}`.",
        },
        OutputField { name: "matched", help: "With `preview`: how many keys would be deleted." },
        OutputField { name: "deleted", help: "With `delete`: how many were." },
        OutputField { name: "names", help: "With `preview` and `delete`: some of their names." },
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

    fn place(&self) -> DatastoreAddress {
        DatastoreAddress { datastore: self.datastore.clone(), url: self.url.clone() }
    }

    async fn wire<'c>(&self, context: &'c Context) -> Result<RedisConnection<'c>, Reason> {
        let timeout = self.timeout.map_or(TIMEOUT, |timeout| timeout.0).min(LONGEST_TIMEOUT);
        let timeout = timeout + self.over().map_or(Duration::ZERO, |over| over.0);
        let url = self.place().address("redis", 6379, context)?;
        RedisConnection::connect(&url, Span(timeout).after(context.clock.now()), context).await
    }

    /// The measuring time of `memory`, in addition to the timeout.
    fn over(&self) -> Option<Span> {
        self.over.map(|over| over.min(LONGEST_OVER))
    }

    /// The keys that `preview` and `delete` select. Fails if the pattern selects every key without `everything`.
    fn taken(&self, pattern: &str) -> Result<delete::KeySelection, Reason> {
        if !self.everything && pattern.chars().all(|c| matches!(c, '*' | '?')) {
            let message = format!("`{}` leaves nothing out; say `everything: true` if that is meant", shown(pattern));
            return Err(Reason::new("everything", message));
        }
        Ok(delete::KeySelection {
            pattern: pattern.to_owned(),
            idle_over: self.idle_over.map(|idle| idle.0),
            without_ttl: self.without_ttl,
            limit: self.limit.unwrap_or(LIMIT).clamp(1, LARGEST_LIMIT),
        })
    }

    fn what(&self) -> String {
        let only = |what: &mut String| {
            if self.without_ttl {
                what.push_str(" that never expire");
            }
            if let Some(idle) = self.idle_over {
                what.push_str(&format!(" that nobody has touched for {idle}"));
            }
        };
        let (mut what, is_taken) = match (&self.delete, &self.preview, &self.keys, self.memory) {
            (Some(pattern), ..) => (format!("delete the keys `{}`", shown(pattern)), true),
            (_, Some(pattern), ..) => (format!("count the keys `{}`", shown(pattern)), true),
            (_, _, Some(pattern), _) => (format!("look at the keys `{}`", shown(pattern)), false),
            (.., Some(_)) => ("look at its memory".to_owned(), false),
            _ => ("ask whether it answers".to_owned(), false),
        };
        if is_taken {
            only(&mut what);
        }
        what
    }
}

fn shown(pattern: &str) -> String {
    one_line(pattern, SHOWN)
}

#[async_trait]
impl Kind for Redis {
    fn form(&self) -> &'static KindForm {
        &FORM
    }

    fn describe(&self, spec: &Value) -> PlannedChange {
        match Spec::read(spec) {
            Ok(spec) => {
                PlannedChange { what: spec.what(), place: spec.place().shown("redis"), ..PlannedChange::default() }
            }
            Err(_) => PlannedChange { what: crate::actions::as_written(&FORM, spec), ..PlannedChange::default() },
        }
    }

    async fn perform(&self, spec: &Value, context: &Context) -> Outcome {
        let done = async {
            let spec = Spec::read(spec)?;
            perform(&spec, context).await
        };
        done.await.unwrap_or_else(|trouble: Reason| trouble.outcome(json!({})))
    }

    async fn reconcile(&self, spec: &Value, _before: &Value, context: &Context) -> Reconciled {
        let left = async {
            let spec = Spec::read(spec)?;
            let taken = spec.taken(spec.delete.as_deref().unwrap_or_default())?;
            delete::count(&taken, &mut spec.wire(context).await?).await
        };
        match left.await {
            Ok(outcome) if outcome.output["matched"] == 0 && outcome.output["partial"] == false => {
                Reconciled::Happened(Outcome::succeeded("none of the keys is left", json!({ "partial": false })))
            }
            Ok(outcome) => Reconciled::CannotTell(format!("{} now", outcome.summary)),
            Err(trouble) => Reconciled::CannotTell(trouble.text),
        }
    }
}

async fn perform(spec: &Spec, context: &Context) -> Result<Outcome, Reason> {
    // Validate before connecting.
    let taken = spec.delete.as_ref().or(spec.preview.as_ref()).map(|pattern| spec.taken(pattern)).transpose()?;
    let mut wire = spec.wire(context).await?;
    if let Some(taken) = taken {
        return match spec.delete {
            Some(_) => Ok(delete::delete(&taken, &mut wire).await),
            None => delete::count(&taken, &mut wire).await,
        };
    }
    if let Some(pattern) = &spec.keys {
        let sample = spec.sample.unwrap_or(SAMPLE).clamp(1, LARGEST_SAMPLE);
        return keys::key_groups(pattern, sample, spec.idle_over, &mut wire).await;
    }
    match (spec.memory, spec.ping) {
        (Some(true), _) => memory::memory_report(spec.below, spec.over(), &mut wire).await,
        (_, Some(true)) => wire.ping().await,
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
    fn a_pattern_that_leaves_nothing_out_must_be_meant() {
        let taken = |spec: Value| Spec::read(&spec).unwrap().taken(spec["delete"].as_str().unwrap());
        assert_eq!(taken(json!({ "delete": "**" })).unwrap_err().code, "everything");
        assert_eq!(taken(json!({ "delete": "" })).unwrap_err().code, "everything");
        assert!(
            taken(json!({ "delete": "*", "everything": true })).is_ok() && taken(json!({ "delete": "a*" })).is_ok()
        );
    }

    #[test]
    fn a_change_says_which_keys_go() {
        let change = Redis
            .describe(&json!({ "delete": "cart:*", "without_ttl": true, "idle_over": "7d", "datastore": "cache" }));
        assert_eq!(change.what, "delete the keys `cart:*` that never expire that nobody has touched for 7d");
        assert_eq!(change.place, "cache");
    }
}
