//! Pending messages: to which channel each is tried next, when, and by which fallback when that channel fails.
//!
//! A step's message is pending from its `StepStarted`, a message of the engine or of a person from its `NoticeOwed`, until it is
//! delivered to each of its channels or to a fallback of that channel.
//!
//! **Invariant:** everything here follows from the log and `now`. The jitter of a back-off is derived from the names of the
//! incident and the message, so a restart computes the same instants.
//!
//! Not here: the protocols of channels, and the order among waiting messages; see `engine::delivery`.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::domain::config::estate::Estate;
use crate::domain::core::id::{IncidentId, RunId, StepKey};
use crate::domain::core::time::{Span, Timestamp};

/// The pauses after the first tries that fail. The last one is kept for [`EAGER`]: a channel that is away for a
/// moment is reached again within seconds, and one that is down is not hammered.
pub const PAUSES: [Span; 5] =
    [Span::seconds(2), Span::seconds(5), Span::seconds(15), Span::seconds(30), Span::seconds(60)];
/// How long a message is tried every minute: longer than any deadline that people are told by.
pub const EAGER: Span = Span::seconds(3_600);
/// The pause after that.
pub const LATER: Span = Span::seconds(300);
/// A pause is longer by up to this part of it, so that what failed together is not tried together.
const JITTER: f64 = 0.25;
/// The longest wait that a channel may ask for.
const ASKED_LIMIT: Span = Span::seconds(3_600);
/// How long before a deadline other ways are tried, where its rule names no `fallback_at`: time for a few ways, each with
/// its own limit, and for a second try.
pub const FALLBACK_MARGIN: Span = Span::seconds(120);
/// When other routes are tried for a message that meets no deadline, counted from when it was requested.
pub const FALLBACK_AFTER: Span = Span::seconds(300);
/// How long a way may stay silent before the next one is tried beside it: one whole try and the wait for its turn.
pub const SILENCE: Span = Span::seconds(15);
/// How long a message is pending: an older one would only mislead.
pub const MESSAGE_LIFE: Span = Span::seconds(24 * 3_600);

/// Which message.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MessageId {
    /// What a step says.
    Step(RunId, StepKey),
    /// One of the engine's, or of a person, by its number.
    Notice(u32),
}

/// Why a message is pending that no step says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoticeCause {
    /// Nobody has told stakeholders by the time at which the engine does it itself.
    Fallback {
        /// The deadline that it keeps.
        deadline: String,
        /// Whether the words are our own, because the runbook's could not be filled in.
        built_in: bool,
    },
    /// A deadline comes near, and its rule names who hears of that.
    Warning {
        /// The deadline.
        deadline: String,
    },
    /// A deadline has passed, and its rule names who hears of that.
    Missed {
        /// The deadline.
        deadline: String,
    },
    /// A person tells stakeholders how it stands.
    Update,
}

impl NoticeCause {
    /// Whether it tells stakeholders, rather than those on call.
    pub fn is_for_stakeholders(&self) -> bool {
        matches!(self, Self::Fallback { .. } | Self::Update)
    }
}

/// A message that is or was pending.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// What it says; scrubbed.
    pub text: String,
    /// The channels that it is for.
    pub to: Vec<String>,
    /// When it was requested.
    pub owed_at: Timestamp,
    /// When the present tries began: a step that is tried again begins anew.
    pub since: Timestamp,
    /// Why it is pending, when no step says it.
    pub cause: Option<NoticeCause>,
    /// The deadline that it keeps.
    pub deadline: Option<String>,
    /// Nobody wants it any more.
    pub withdrawn: bool,
    /// What became of it, by the channel that it is for and the channel that was tried.
    pub tries: BTreeMap<(String, String), RouteAttempt>,
}

/// What became of one way.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RouteAttempt {
    /// How often it was tried in vain since the present tries began.
    pub times: u32,
    /// When the last try failed.
    pub failed_at: Option<Timestamp>,
    /// When the channel asked to be tried again.
    pub retry_after: Option<Span>,
    /// Whether the channel said that trying again cannot help.
    pub permanent: bool,
    /// Why it failed last.
    pub error: String,
    /// When it was delivered.
    pub delivered: Option<Timestamp>,
}

/// One try that is pending.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Try {
    /// The channel that the message is for.
    pub target: String,
    /// The channel that it goes to: the same, or a fallback of it.
    pub channel: String,
    /// Not before.
    pub at: Timestamp,
}

impl Message {
    /// A message that is pending from `at` on.
    pub fn new(text: String, to: Vec<String>, at: Timestamp) -> Self {
        Self { text, to, owed_at: at, since: at, cause: None, deadline: None, withdrawn: false, tries: BTreeMap::new() }
    }

    /// The same message is tried anew, perhaps in other words.
    pub(crate) fn again(&mut self, text: String, to: Vec<String>, at: Timestamp) {
        self.tries.retain(|_, tried| tried.delivered.is_some());
        (self.text, self.to, self.since, self.withdrawn) = (text, to, at, false);
    }

    /// When it was delivered for a channel, by whichever way.
    pub fn delivered_for(&self, target: &str) -> Option<Timestamp> {
        self.tries.iter().filter(|((of, _), _)| of == target).filter_map(|(_, tried)| tried.delivered).min()
    }

    /// When it had been delivered for every channel.
    pub fn delivered(&self) -> Option<Timestamp> {
        let all: Option<Vec<Timestamp>> = self.to.iter().map(|target| self.delivered_for(target)).collect();
        all.and_then(|all| all.into_iter().max())
    }

    /// The channels that it has not been delivered for.
    pub fn open(&self) -> impl Iterator<Item = &String> {
        self.to.iter().filter(|target| self.delivered_for(target).is_none())
    }

    /// Whether it is pending at `now`.
    pub fn is_pending(&self, now: Timestamp) -> bool {
        !self.withdrawn && now < self.expires_at() && self.open().next().is_some()
    }

    /// The channels for which it was given up, and the log does not say so yet. That is said as one more failure, of the
    /// channel itself and for good, at its end or after.
    pub fn given_up(&self, now: Timestamp) -> impl Iterator<Item = &String> {
        let end = self.expires_at();
        let said = move |target: &String| {
            let tried = self.tries.get(&(target.clone(), target.clone()));
            tried.is_some_and(|tried| tried.permanent && tried.failed_at.is_some_and(|at| at >= end))
        };
        self.open().filter(move |target| !self.withdrawn && now >= end && !said(target))
    }

    /// When it is no longer pending.
    pub fn expires_at(&self) -> Timestamp {
        MESSAGE_LIFE.after(self.owed_at)
    }

    /// Every try that is pending now or later, as far as is known, with its instant. `fallback_at` is when other routes open.
    pub fn pending_tries<'a>(
        &'a self,
        incident: &'a IncidentId,
        id: &'a MessageId,
        estate: &'a Estate,
        fallback_at: Timestamp,
    ) -> Vec<Try> {
        let mut tries = Vec::new();
        for target in self.open().filter(|_| !self.withdrawn) {
            let mut opens = Some(self.since);
            for channel in routes(estate, target) {
                let Some(at) = opens else { break };
                let tried = self.tries.get(&(target.clone(), channel.clone()));
                let next =
                    tried.and_then(|tried| Some(tried.next(tried.failed_at?, self.since, incident, id, channel)));
                tries.push(Try { target: target.clone(), channel: channel.clone(), at: next.unwrap_or(at) });
                opens = Some(opens_next(tried, at, fallback_at));
            }
        }
        tries
    }

    /// Whether every way that is open has said that trying again cannot help; the reasons.
    pub fn hopeless(&self, estate: &Estate) -> bool {
        let is_closed = |target: &str, channel: &str| {
            self.tries.get(&(target.to_owned(), channel.to_owned())).is_some_and(|tried| tried.permanent)
        };
        let mut open = self.open().peekable();
        open.peek().is_some() && open.all(|target| routes(estate, target).all(|channel| is_closed(target, channel)))
    }

    /// Why it was not delivered, a phrase a channel that was tried.
    pub fn errors(&self) -> Vec<(String, String)> {
        let open: Vec<&String> = self.open().collect();
        let tried = self.tries.iter().filter(|((target, _), _)| open.contains(&target));
        let mut errors: Vec<(String, String)> = tried
            .filter(|(_, tried)| tried.failed_at.is_some())
            .map(|((_, channel), tried)| (channel.clone(), tried.error.clone()))
            .collect();
        for target in open {
            if !errors.iter().any(|(channel, _)| channel == target) {
                errors.push((target.clone(), "no answer yet".to_owned()));
            }
        }
        errors
    }
}

/// A channel and its fallbacks, in the order in which they are tried.
pub fn routes<'a>(estate: &'a Estate, target: &'a String) -> impl Iterator<Item = &'a String> {
    let others = estate.channels.get(target).map(|channel| channel.fallback.as_slice()).unwrap_or_default();
    std::iter::once(target).chain(others.iter().filter(move |other| *other != target))
}

/// When the way behind this one opens: at once when this one is closed for good; else, from the fallback's time on, when
/// it has failed or stayed silent.
fn opens_next(tried: Option<&RouteAttempt>, opened: Timestamp, fallback_at: Timestamp) -> Timestamp {
    let failed = tried.and_then(|tried| tried.failed_at);
    match (failed, tried.is_some_and(|tried| tried.permanent)) {
        (Some(failed), true) => failed,
        (Some(failed), false) => failed.max(fallback_at),
        (None, _) => SILENCE.after(opened.max(fallback_at)),
    }
}

impl RouteAttempt {
    /// When the way is tried again.
    fn next(
        &self,
        failed_at: Timestamp,
        since: Timestamp,
        incident: &IncidentId,
        id: &MessageId,
        channel: &str,
    ) -> Timestamp {
        let pause = match usize::try_from(self.times).unwrap_or(usize::MAX) {
            _ if failed_at > EAGER.after(since) => LATER,
            times => PAUSES[times.clamp(1, PAUSES.len()) - 1],
        };
        let jitter = pause.0.mul_f64(JITTER * fraction(&format!("{incident}\n{id:?}\n{channel}\n{}", self.times)));
        // The log keeps milliseconds.
        let pause = Duration::from_millis(u64::try_from((pause.0 + jitter).as_millis()).unwrap_or(u64::MAX));
        let asked = self.retry_after.unwrap_or_default().min(ASKED_LIMIT);
        Span(pause).max(asked).after(failed_at)
    }
}

/// A number from 0 to 1 that a name gives.
fn fraction(name: &str) -> f64 {
    let digest = Sha256::digest(name.as_bytes());
    f64::from(u16::from_be_bytes([digest[0], digest[1]])) / f64::from(u16::MAX)
}

/// What a step's message says and to whom, from what the step does.
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
    to.dedup();
    (text, to)
}
