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
use crate::domain::text::one_line;
use crate::domain::time::Span;
use crate::notify::slack::{SlackApi, SlackWebhook};
use crate::notify::{Channel, Letter, Undelivered};

/// How long one delivery may take, waiting for the channel's pardon included: a person is watching the step.
pub const DELIVERY_LIMIT: Duration = Duration::from_secs(10);

/// The longest reason for a failure, in characters.
const REASON_LIMIT: usize = 400;

/// The ways to channels, kept open for as long as the engine lives. Make one an engine.
pub struct Office {
    secrets: Arc<Secrets>,
    redactor: Arc<Redactor>,
    clock: SharedClock,
    ways: Mutex<BTreeMap<String, Arc<dyn Channel>>>,
}

impl Office {
    /// An office that finds tokens in `secrets`.
    pub fn new(secrets: Arc<Secrets>, redactor: Arc<Redactor>, clock: SharedClock) -> Arc<Self> {
        Arc::new(Self { secrets, redactor, clock, ways: Mutex::default() })
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

/// What is known of an incident's messages.
#[derive(Debug, Default)]
struct Known {
    estates: BTreeMap<RunId, Arc<Estate>>,
    threads: BTreeMap<String, Thread>,
    delivered: BTreeSet<(RunId, StepKey, String)>,
    facts: Vec<Event>,
}

/// The courier of one incident. Keep it for as long as the incident is worked on.
#[derive(Debug)]
pub struct EngineCourier {
    office: Arc<Office>,
    incident: IncidentId,
    known: Mutex<Known>,
    /// One message at a time to a channel, so that two first messages do not open two threads.
    lanes: Mutex<BTreeMap<String, Arc<tokio::sync::Mutex<()>>>>,
}

impl EngineCourier {
    /// The courier of an incident, who knows its threads and what was delivered.
    pub fn new(office: Arc<Office>, incident: &Incident) -> Self {
        let courier =
            Self { office, incident: incident.id.clone(), known: Mutex::default(), lanes: Mutex::default() };
        courier.refresh(incident);
        courier
    }

    /// Takes over what the incident has come to know: further runs, and deliveries of another process.
    pub fn refresh(&self, incident: &Incident) {
        let mut known = lock(&self.known);
        known.estates = incident.runs.iter().map(|run| (run.id, Arc::clone(&run.estate))).collect();
        for (channel, thread) in &incident.threads {
            known.threads.entry(channel.clone()).or_insert_with(|| thread.clone());
        }
        known.delivered.extend(incident.delivered.keys().cloned());
    }

    /// The facts since the last call: append them before the `StepEnded` of the step that sent the messages.
    pub fn drain(&self) -> Vec<Event> {
        std::mem::take(&mut lock(&self.known).facts)
    }

    async fn send(&self, place: &(RunId, StepKey), name: &str, message: &str) -> Result<Delivery, Undelivered> {
        let way = self.way(place.0, name)?;
        let lane = Arc::clone(lock(&self.lanes).entry(name.to_owned()).or_default());
        let _turn = lane.lock().await;
        if self.has_delivered(place, name) {
            return Ok(Delivery::Already);
        }
        let thread = lock(&self.known).threads.get(name).cloned();
        let letter = Letter {
            key: key(&self.incident, place, name),
            text: self.office.redactor.scrub(message).into_owned(),
            thread: thread.as_ref().and_then(|thread| thread.message.clone()),
            place: thread.and_then(|thread| thread.place),
        };
        let receipt = self.patiently(way.as_ref(), &letter).await?;
        Ok(Delivery::Delivered { message: receipt.message, place: receipt.place })
    }

    /// Sends once more whenever the channel says when to, as long as that is within the limit.
    async fn patiently(
        &self,
        way: &dyn Channel,
        letter: &Letter,
    ) -> Result<crate::notify::Receipt, Undelivered> {
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

    fn way(&self, run: RunId, name: &str) -> Result<Arc<dyn Channel>, Undelivered> {
        let estate = lock(&self.known).estates.get(&run).cloned();
        let channel = estate.as_ref().and_then(|estate| estate.channels.get(name));
        let way = channel.ok_or_else(|| "it is not in the estate".to_owned());
        way.and_then(|channel| self.office.way(channel)).map_err(|reason| Undelivered {
            reason: format!("channel `{name}` cannot be used: {reason}"),
            retry_after: None,
            permanent: true,
        })
    }

    fn has_delivered(&self, (run, step): &(RunId, StepKey), channel: &str) -> bool {
        lock(&self.known).delivered.contains(&(*run, step.clone(), channel.to_owned()))
    }

    /// Keeps the fact, and what follows from it for the next message.
    fn record(&self, (run, step): &(RunId, StepKey), channel: &str, delivery: &Delivery) {
        let (run, step, channel) = (*run, step.clone(), channel.to_owned());
        let mut known = lock(&self.known);
        match delivery {
            Delivery::Delivered { message, place } => {
                known.delivered.insert((run, step.clone(), channel.clone()));
                known
                    .threads
                    .entry(channel.clone())
                    .or_insert_with(|| Thread { place: place.clone(), message: message.clone() });
                let (message, place) = (message.clone(), place.clone());
                known.facts.push(Event::Notified { run, step, channel, message, place });
            }
            Delivery::Failed { error, .. } => {
                known.facts.push(Event::NotifyFailed { run, step, channel, error: error.clone() });
            }
            Delivery::Already => {}
        }
    }
}

#[async_trait]
impl Courier for EngineCourier {
    async fn deliver(&self, place: &(RunId, StepKey), channel: &str, message: &str) -> Delivery {
        if self.has_delivered(place, channel) {
            return Delivery::Already;
        }
        let delivery = tokio::select! {
            sent = self.send(place, channel, message) => sent.unwrap_or_else(|error| self.failed(&error)),
            () = clock::sleep(&*self.office.clock, DELIVERY_LIMIT) => self.failed(&overdue()),
        };
        self.record(place, channel, &delivery);
        delivery
    }
}

impl EngineCourier {
    fn failed(&self, error: &Undelivered) -> Delivery {
        let reason = self.office.redactor.scrub(&error.reason);
        Delivery::Failed { error: one_line(&reason, REASON_LIMIT), retry_after: error.retry_after }
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
