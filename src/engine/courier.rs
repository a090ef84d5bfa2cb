//! Delivers messages: finds the way to a channel, keeps an incident's messages in one thread there, and writes down
//! what became of each as facts that the worker appends.
//!
//! **Invariant:** every delivery ends within [`DELIVERY_LIMIT`] of the clock and leaves exactly one fact
//! (`Notified` or `NotifyFailed`), unless an earlier one has delivered the same message already. A fact is kept before
//! [`deliver`](crate::actions::Courier::deliver) returns, so that an action that is dropped afterwards loses nothing.
//!
//! Deliberately absent: what a channel speaks (see [`crate::notify`]), and writing events.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use sha2::{Digest, Sha256};

use crate::actions::{Courier, Delivery, Secrets};
use crate::clock::{self, SharedClock};
use crate::domain::estate::{self, Estate};
use crate::domain::event::Event;
use crate::domain::id::{IncidentId, RunId, StepKey};
use crate::domain::incident::{Incident, Thread};
use crate::domain::redact::Redactor;
use crate::domain::run::Run;
use crate::domain::text::one_line;
use crate::domain::time::Span;
use crate::notify::slack::{SlackApi, SlackWebhook};
use crate::notify::{Channel, Letter, Receipt, Undelivered};

/// How long one delivery may take, waiting for the channel's pardon included: a person is watching the step.
pub const DELIVERY_LIMIT: Duration = Duration::from_secs(10);

/// The longest reason for a failure, in characters.
const REASON_LIMIT: usize = 400;

/// A channel of an incident.
type Lane = (IncidentId, String);

/// One lock a lane.
type Lanes = BTreeMap<Lane, Arc<tokio::sync::Mutex<Option<Thread>>>>;

/// What all couriers of an engine share: open ways to channels, and the order of messages in each thread.
pub struct Office {
    secrets: Arc<Secrets>,
    redactor: Arc<Redactor>,
    clock: SharedClock,
    ways: Mutex<BTreeMap<String, Arc<dyn Channel>>>,
    /// One message at a time, so that two first messages do not open two threads; behind the lock is the thread that
    /// this process has opened, which the log may not hold yet.
    lanes: Arc<Mutex<Lanes>>,
}

impl Office {
    /// An office that finds tokens in `secrets`. Costs nothing until a message is sent.
    pub fn new(secrets: Arc<Secrets>, redactor: Arc<Redactor>, clock: SharedClock) -> Self {
        Self { secrets, redactor, clock, ways: Mutex::default(), lanes: Arc::default() }
    }

    /// An office with other secrets, in which the order of messages is kept with this one's.
    pub fn renewed(&self, secrets: Arc<Secrets>, redactor: Arc<Redactor>) -> Self {
        Self { lanes: Arc::clone(&self.lanes), ..Self::new(secrets, redactor, Arc::clone(&self.clock)) }
    }

    fn lane(&self, lane: Lane) -> Arc<tokio::sync::Mutex<Option<Thread>>> {
        Arc::clone(lock(&self.lanes).entry(lane).or_default())
    }

    /// The way to a channel, opened when it is first needed; a sentence when there is none.
    fn way(&self, channel: &estate::Channel) -> Result<Arc<dyn Channel>, String> {
        let key = serde_json::to_string(channel).map_err(|error| error.to_string())?;
        if let Some(way) = lock(&self.ways).get(&key) {
            return Ok(Arc::clone(way));
        }
        let way = self.open(channel)?;
        lock(&self.ways).insert(key, Arc::clone(&way));
        Ok(way)
    }

    fn open(&self, channel: &estate::Channel) -> Result<Arc<dyn Channel>, String> {
        let closed = |error: Undelivered| error.reason;
        if let Some(name) = &channel.slack {
            let token = channel.token.as_ref().ok_or("it has no `token`; name a secret there in estate.yaml")?;
            let token = self.secrets.get(&token.secret)?;
            return Ok(Arc::new(SlackApi::new(name, token, channel.api.as_deref()).map_err(closed)?));
        }
        let hook = channel.slack_webhook.as_ref().ok_or("it has neither `slack` nor `slack_webhook` in estate.yaml")?;
        Ok(Arc::new(SlackWebhook::new(self.secrets.get(&hook.secret)?).map_err(closed)?))
    }
}

impl std::fmt::Debug for Office {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Office")
    }
}

/// Delivers the messages of one attempt.
#[derive(Debug)]
pub struct EngineCourier {
    office: Arc<Office>,
    incident: IncidentId,
    estate: Arc<Estate>,
    threads: BTreeMap<String, Thread>,
    delivered: BTreeSet<(RunId, StepKey, String)>,
    facts: Mutex<Vec<Event>>,
}

impl EngineCourier {
    /// A courier that knows the incident's threads and what was delivered of this run.
    pub fn new(office: Arc<Office>, incident: &Incident, run: &Run) -> Self {
        Self {
            office,
            incident: incident.id.clone(),
            estate: Arc::clone(&run.estate),
            threads: incident.threads.clone(),
            delivered: incident.delivered.keys().filter(|(of, _, _)| *of == run.id).cloned().collect(),
            facts: Mutex::default(),
        }
    }

    /// What was delivered or not, as events that have not been taken yet: append them before the attempt's `StepEnded`.
    pub fn told(&self) -> Vec<Event> {
        std::mem::take(&mut lock(&self.facts))
    }

    async fn send(&self, place: &(RunId, StepKey), name: &str, message: &str) -> Result<Receipt, Undelivered> {
        let way = self.way(name)?;
        let lane = self.office.lane((self.incident.clone(), name.to_owned()));
        let mut opened = lane.lock().await;
        let thread = self.threads.get(name).or(opened.as_ref());
        let letter = Letter {
            key: key(&self.incident, place, name),
            text: self.office.redactor.scrub(message).into_owned(),
            thread: thread.and_then(|thread| thread.message.clone()),
            place: thread.and_then(|thread| thread.place.clone()),
        };
        let receipt = self.patiently(way.as_ref(), &letter).await?;
        opened.get_or_insert_with(|| Thread { place: receipt.place.clone(), message: receipt.message.clone() });
        Ok(receipt)
    }

    /// Sends once more whenever the channel says when to, as long as that is within the limit.
    async fn patiently(&self, way: &dyn Channel, letter: &Letter) -> Result<Receipt, Undelivered> {
        let clock = &*self.office.clock;
        let end = Span(DELIVERY_LIMIT).after(clock.now());
        loop {
            let error = match way.send(letter).await {
                Ok(receipt) => return Ok(receipt),
                Err(error) => error,
            };
            match error.retry_after {
                Some(wait) if Span(wait).after(clock.now()) < end => clock::sleep(clock, wait).await,
                _ => return Err(error),
            }
        }
    }

    fn way(&self, name: &str) -> Result<Arc<dyn Channel>, Undelivered> {
        let channel = self.estate.channels.get(name).ok_or_else(|| "it is not in the estate".to_owned());
        channel.and_then(|channel| self.office.way(channel)).map_err(|reason| Undelivered {
            reason: format!("channel `{name}` cannot be used: {reason}"),
            retry_after: None,
            permanent: true,
        })
    }

    /// Keeps what became of a message as a fact.
    fn delivered(&self, (run, step): &(RunId, StepKey), channel: &str, receipt: Receipt) -> Delivery {
        let Receipt { message, place } = receipt;
        lock(&self.facts).push(Event::Notified {
            run: *run,
            step: step.clone(),
            channel: channel.to_owned(),
            message: message.clone(),
            place: place.clone(),
        });
        Delivery::Delivered { message, place }
    }

    /// Keeps what became of a message as a fact.
    fn failed(&self, (run, step): &(RunId, StepKey), channel: &str, error: &Undelivered) -> Delivery {
        let reason = one_line(&self.office.redactor.scrub(&error.reason), REASON_LIMIT);
        lock(&self.facts).push(Event::NotifyFailed {
            run: *run,
            step: step.clone(),
            channel: channel.to_owned(),
            error: reason.clone(),
        });
        Delivery::Failed { error: reason, retry_after: error.retry_after }
    }
}

#[async_trait]
impl Courier for EngineCourier {
    async fn deliver(&self, place: &(RunId, StepKey), channel: &str, message: &str) -> Delivery {
        if self.delivered.contains(&(place.0, place.1.clone(), channel.to_owned())) {
            return Delivery::Already;
        }
        let sent = tokio::select! {
            sent = self.send(place, channel, message) => sent,
            () = clock::sleep(&*self.office.clock, DELIVERY_LIMIT) => Err(overdue()),
        };
        match sent {
            Ok(receipt) => self.delivered(place, channel, receipt),
            Err(error) => self.failed(place, channel, &error),
        }
    }
}

fn overdue() -> Undelivered {
    let seconds = DELIVERY_LIMIT.as_secs();
    Undelivered {
        reason: format!("no answer within {seconds} s; the message may have arrived all the same"),
        retry_after: None,
        permanent: false,
    }
}

/// The name of a message: the same for every attempt of a step, so that a repeat can be recognised.
fn key(incident: &IncidentId, (run, step): &(RunId, StepKey), channel: &str) -> String {
    let digest = Sha256::digest(format!("{incident}\n{run}\n{step}\n{channel}").as_bytes());
    hex::encode(&digest[..16])
}

/// The data behind a lock: nothing here panics while it holds one, and what is behind it stays whole if it did.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
