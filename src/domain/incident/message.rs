//! Pending messages: when each is attempted next, by which channel or fallback.
//!
//! A step's message is pending from its `StepStarted`, a message of the engine or of a person from its `NoticeOwed`. It is
//! pending until it is delivered to each of its channels or to a fallback of that channel, is withdrawn, or is 24 h old.
//!
//! **Invariant:** the log and `now` alone determine the attempts. The jitter of a back-off is derived from the ids of the
//! incident and the message, so a restart computes the same instants.
//!
//! Not here: the protocols of channels, and the order among waiting messages; see `engine::delivery`.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::domain::config::estate::Estate;
use crate::domain::core::id::{IncidentId, RunId, StepKey};
use crate::domain::core::time::{Span, Timestamp};

/// The pauses after the first failed attempts. The last pause is repeated until [`EAGER_RETRY_PERIOD`] ends. A channel that is
/// briefly unavailable is reached within seconds, and a channel that is down is not flooded.
pub const PAUSES: [Span; 5] =
    [Span::seconds(2), Span::seconds(5), Span::seconds(15), Span::seconds(30), Span::seconds(60)];
/// How long the last of [`PAUSES`] is repeated: longer than usual notification deadlines.
pub const EAGER_RETRY_PERIOD: Span = Span::seconds(3_600);
/// The pause after [`EAGER_RETRY_PERIOD`].
pub const LATE_RETRY_PAUSE: Span = Span::seconds(300);
/// A pause is longer by up to this fraction, so that messages that failed together are not retried together.
const JITTER: f64 = 0.25;
/// The longest `retry_after` of a channel that is respected.
const RETRY_AFTER_LIMIT: Span = Span::seconds(3_600);
/// How long before a deadline fallback routes are attempted if its rule has no `fallback_at`: time for a few routes, each with
/// its timeout, and for a second attempt.
pub const FALLBACK_MARGIN: Span = Span::seconds(120);
/// When fallback routes are attempted for a message that meets no deadline, counted from the request.
pub const FALLBACK_AFTER: Span = Span::seconds(300);
/// How long a route may give no result before the next route is attempted too: one whole attempt and its wait in the queue.
pub const ROUTE_TIMEOUT: Span = Span::seconds(15);
/// How long a message is pending. An older message would mislead its readers.
pub const MESSAGE_LIFE: Span = Span::seconds(24 * 3_600);

/// The id of a message within its incident.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MessageId {
    /// The message of a step.
    Step(RunId, StepKey),
    /// A message of the engine or of a person, by its number.
    Notice(u32),
}

/// The cause of a message that no step sends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoticeCause {
    /// Nobody notified the stakeholders by the deadline's `fallback_at`, so the engine does.
    Fallback {
        /// The deadline that the message meets.
        deadline: String,
        /// Whether the text is the built-in one, because the runbook's text could not be used.
        built_in: bool,
    },
    /// A deadline is near, and its rule names channels for the escalation.
    Warning { deadline: String },
    /// A deadline was missed, and its rule names channels for the escalation.
    Missed { deadline: String },
    /// A person sends stakeholders an update.
    Update,
}

impl NoticeCause {
    /// Whether it notifies stakeholders, rather than responders.
    pub fn is_for_stakeholders(&self) -> bool {
        matches!(self, Self::Fallback { .. } | Self::Update)
    }
}

/// A message that is or was pending.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// The redacted text.
    pub text: String,
    /// The channels that it is for.
    pub to: Vec<String>,
    pub requested_at: Timestamp,
    /// When the present series of attempts began: at the request, or at the retry of its step.
    pub since: Timestamp,
    /// The cause; none for a step's message.
    pub cause: Option<NoticeCause>,
    /// The deadline that it meets.
    pub deadline: Option<String>,
    /// Whether its step was skipped or stopped, so that it is no longer pending.
    pub withdrawn: bool,
    /// The attempts by route: the channel that the message is for, and the channel that was used.
    pub attempts: BTreeMap<(String, String), RouteAttempts>,
}

/// The attempts by one route, since the present series began.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RouteAttempts {
    /// How many attempts failed.
    pub failures: u32,
    /// When the last attempt failed.
    pub failed_at: Option<Timestamp>,
    /// The pause that the channel demanded.
    pub retry_after: Option<Span>,
    /// Whether the channel reported that a retry cannot succeed.
    pub permanent: bool,
    /// The last error.
    pub error: String,
    /// When the message was delivered by this route.
    pub delivered: Option<Timestamp>,
}

/// A pending attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PendingAttempt {
    /// The channel that the message is for.
    pub target: String,
    /// The channel that is used: the same, or a fallback of it.
    pub channel: String,
    /// The earliest time of the attempt.
    pub at: Timestamp,
}

impl Message {
    /// A message that is requested at `at`.
    pub fn new(text: String, to: Vec<String>, at: Timestamp) -> Self {
        Self {
            text,
            to,
            requested_at: at,
            since: at,
            cause: None,
            deadline: None,
            withdrawn: false,
            attempts: BTreeMap::new(),
        }
    }

    /// Begins a new series of attempts, with the text and channels of the step's new attempt.
    pub(super) fn restart(&mut self, text: String, to: Vec<String>, at: Timestamp) {
        self.attempts.retain(|_, route| route.delivered.is_some());
        (self.text, self.to, self.since, self.withdrawn) = (text, to, at, false);
    }

    /// When it was delivered for a channel, by any route.
    pub fn delivered_for(&self, target: &str) -> Option<Timestamp> {
        self.attempts.iter().filter(|((of, _), _)| of == target).filter_map(|(_, route)| route.delivered).min()
    }

    /// When it was delivered for the last of its channels; none while one is open.
    pub fn delivered(&self) -> Option<Timestamp> {
        let all: Option<Vec<Timestamp>> = self.to.iter().map(|target| self.delivered_for(target)).collect();
        all.and_then(|all| all.into_iter().max())
    }

    /// The channels for which it has not been delivered.
    pub fn open(&self) -> impl Iterator<Item = &String> {
        self.to.iter().filter(|target| self.delivered_for(target).is_none())
    }

    /// Whether it is pending at `now`.
    pub fn is_pending(&self, now: Timestamp) -> bool {
        !self.withdrawn && now < self.expires_at() && self.open().next().is_some()
    }

    /// Targets whose expiry is not recorded. It is recorded as a permanent failure of the target's own route.
    pub fn given_up(&self, now: Timestamp) -> impl Iterator<Item = &String> {
        let end = self.expires_at();
        let is_recorded = move |target: &String| {
            let route = self.attempts.get(&(target.clone(), target.clone()));
            route.is_some_and(|route| route.permanent && route.failed_at.is_some_and(|at| at >= end))
        };
        self.open().filter(move |target| !self.withdrawn && now >= end && !is_recorded(target))
    }

    /// When it stops being pending.
    pub fn expires_at(&self) -> Timestamp {
        MESSAGE_LIFE.after(self.requested_at)
    }

    /// The attempts that are pending now or later, as far as they are known. `fallback_at` is when fallback routes open.
    pub fn pending_attempts<'a>(
        &'a self,
        incident: &'a IncidentId,
        id: &'a MessageId,
        estate: &'a Estate,
        fallback_at: Timestamp,
    ) -> Vec<PendingAttempt> {
        let mut attempts = Vec::new();
        for target in self.open().filter(|_| !self.withdrawn) {
            let mut opens = Some(self.since);
            for channel in routes(estate, target) {
                let Some(at) = opens else { break };
                let route = self.attempts.get(&(target.clone(), channel.clone()));
                let next =
                    route.and_then(|route| Some(route.retry_at(route.failed_at?, self.since, incident, id, channel)));
                attempts.push(PendingAttempt {
                    target: target.clone(),
                    channel: channel.clone(),
                    at: next.unwrap_or(at),
                });
                opens = Some(next_route_opens_at(route, at, fallback_at));
            }
        }
        attempts
    }

    /// Whether the message cannot be delivered: every route of every open channel has failed permanently.
    pub fn is_undeliverable(&self, estate: &Estate) -> bool {
        let is_closed = |target: &str, channel: &str| {
            self.attempts.get(&(target.to_owned(), channel.to_owned())).is_some_and(|route| route.permanent)
        };
        let mut open = self.open().peekable();
        open.peek().is_some() && open.all(|target| routes(estate, target).all(|channel| is_closed(target, channel)))
    }

    /// Why it was not delivered: each channel that was used for an open channel, with its last error.
    pub fn errors(&self) -> Vec<(String, String)> {
        let open: Vec<&String> = self.open().collect();
        let routes = self.attempts.iter().filter(|((target, _), _)| open.contains(&target));
        let mut errors: Vec<(String, String)> = routes
            .filter(|(_, route)| route.failed_at.is_some())
            .map(|((_, channel), route)| (channel.clone(), route.error.clone()))
            .collect();
        for target in open {
            if !errors.iter().any(|(channel, _)| channel == target) {
                errors.push((target.clone(), "no answer yet".to_owned()));
            }
        }
        errors
    }
}

/// A channel and its fallbacks, in the order in which they are attempted.
pub fn routes<'a>(estate: &'a Estate, target: &'a String) -> impl Iterator<Item = &'a String> {
    let fallbacks = estate.channels.get(target).map(|channel| channel.fallback.as_slice()).unwrap_or_default();
    std::iter::once(target).chain(fallbacks.iter().filter(move |fallback| *fallback != target))
}

/// When the route after this one opens: at once if this one failed permanently. Otherwise from `fallback_at` on, when this one
/// failed or gave no result for [`ROUTE_TIMEOUT`].
fn next_route_opens_at(route: Option<&RouteAttempts>, opened: Timestamp, fallback_at: Timestamp) -> Timestamp {
    let failed = route.and_then(|route| route.failed_at);
    match (failed, route.is_some_and(|route| route.permanent)) {
        (Some(failed), true) => failed,
        (Some(failed), false) => failed.max(fallback_at),
        (None, _) => ROUTE_TIMEOUT.after(opened.max(fallback_at)),
    }
}

impl RouteAttempts {
    /// When the next attempt is made after the failure at `failed_at`.
    fn retry_at(
        &self,
        failed_at: Timestamp,
        since: Timestamp,
        incident: &IncidentId,
        id: &MessageId,
        channel: &str,
    ) -> Timestamp {
        let pause = match usize::try_from(self.failures).unwrap_or(usize::MAX) {
            _ if failed_at > EAGER_RETRY_PERIOD.after(since) => LATE_RETRY_PAUSE,
            failures => PAUSES[failures.clamp(1, PAUSES.len()) - 1],
        };
        let jitter = pause.0.mul_f64(JITTER * fraction(&format!("{incident}\n{id:?}\n{channel}\n{}", self.failures)));
        // Timestamps in the log have milliseconds.
        let pause = Duration::from_millis(u64::try_from((pause.0 + jitter).as_millis()).unwrap_or(u64::MAX));
        let demanded = self.retry_after.unwrap_or_default().min(RETRY_AFTER_LIMIT);
        Span(pause).max(demanded).after(failed_at)
    }
}

/// A pseudo-random number from 0 to 1 that is derived from `name`.
fn fraction(name: &str) -> f64 {
    let digest = Sha256::digest(name.as_bytes());
    f64::from(u16::from_be_bytes([digest[0], digest[1]])) / f64::from(u16::MAX)
}

/// The text and the channels of a `notify` action's fields, each channel once.
pub(crate) fn of_spec(spec: &serde_json::Value) -> (String, Vec<String>) {
    let text = spec.get("message").and_then(serde_json::Value::as_str).unwrap_or_default().to_owned();
    let mut to = Vec::new();
    match spec.get("to") {
        Some(serde_json::Value::String(one)) => to.push(one.clone()),
        Some(serde_json::Value::Array(many)) => {
            to.extend(many.iter().filter_map(|one| one.as_str().map(str::to_owned)));
        }
        _ => {}
    }
    let mut listed = BTreeSet::new();
    to.retain(|target| listed.insert(target.clone()));
    (text, to)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_channel_that_is_listed_twice_is_one_target() {
        let spec = json!({ "message": "text", "to": ["a", "b", "a"] });
        assert_eq!(of_spec(&spec), ("text".to_owned(), vec!["a".to_owned(), "b".to_owned()]));
    }
}
