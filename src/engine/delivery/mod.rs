//! Delivery: opens a route to a channel, waits for a slot there, and puts all messages of an incident into one thread.
//!
//! **Invariant:** an attempt that has a slot waits at most [`DELIVERY_LIMIT`] until it sends, and ends within another
//! [`DELIVERY_LIMIT`]. A channel that does not answer delays no message of another channel.
//!
//! Not here: when and by which route a message is tried (see [`crate::domain::incident::message`]); the protocols of
//! channels (see [`crate::notify`]).

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sha2::{Digest, Sha256};

use crate::actions::Secrets;
use crate::clock::{self, SharedClock};
use crate::domain::config::estate::Estate;
use crate::domain::core::id::IncidentId;
use crate::domain::core::severity::Severity;
use crate::domain::core::text::one_line;
use crate::domain::core::time::Span;
use crate::domain::incident::due::PendingDelivery;
use crate::domain::incident::event::{Delivery, Event, MessageEvent};
use crate::domain::incident::message::MessageId;
use crate::domain::incident::{Incident, Thread};
use crate::domain::redact::Redactor;
use crate::notify::{MessageChannel, OutgoingMessage, Receipt, Undelivered};
use crate::sync::lock;

use self::priority_queue::{PriorityQueue, QueuePriority};

mod connect;
mod priority_queue;
mod spawn;

/// How long one attempt may take: a person waits for the message, and other routes are tried only afterwards.
pub const DELIVERY_LIMIT: Duration = Duration::from_secs(10);

/// The most characters of a failure reason in the log.
const REASON_LIMIT: usize = 400;

/// The thread of an incident in a channel.
type ThreadKey = (IncidentId, String);

/// One lock per thread.
type Threads = BTreeMap<ThreadKey, Arc<tokio::sync::Mutex<Option<Thread>>>>;

/// Delivers the messages of an engine. Holds the open routes, their queues, and the order of messages in each thread.
pub struct DeliveryService {
    secrets: Arc<Secrets>,
    redactor: Arc<Redactor>,
    clock: SharedClock,
    base_environment: Arc<BTreeMap<String, String>>,
    directory: PathBuf,
    routes: Mutex<BTreeMap<String, OpenRoute>>,
    /// A lock for each thread, so that two first messages do not open two threads. It holds the thread that this process
    /// opened, which may not be in the log yet.
    threads: Arc<Mutex<Threads>>,
}

/// An open route to a channel, and its queue.
#[derive(Debug, Clone)]
struct OpenRoute {
    channel: Arc<dyn MessageChannel>,
    queue: Arc<PriorityQueue>,
}

/// A message to deliver, with the state of its incident that a channel needs.
#[derive(Debug, Clone)]
pub struct DeliveryRequest {
    pub delivery: PendingDelivery,
    incident: IncidentId,
    severity: Severity,
    estate: Arc<Estate>,
    thread: Option<Thread>,
}

impl DeliveryRequest {
    /// A request to deliver a message of an incident. `None` if the run of the message does not exist.
    pub fn of(incident: &Incident, delivery: PendingDelivery) -> Option<Self> {
        let run = match &delivery.id {
            MessageId::Step(run, _) => incident.run(*run),
            MessageId::Notice(_) => incident.runs.last(),
        };
        Some(Self {
            estate: Arc::clone(&run?.estate),
            incident: incident.id.clone(),
            severity: incident.severity,
            thread: incident.threads.get(&delivery.channel).cloned(),
            delivery,
        })
    }
}

impl DeliveryService {
    /// Resolves tokens from `secrets`, and starts programs in `directory` with `base_environment`. Opens no route
    /// until a message is sent.
    pub fn new(
        secrets: Arc<Secrets>,
        redactor: Arc<Redactor>,
        clock: SharedClock,
        base_environment: Arc<BTreeMap<String, String>>,
        directory: PathBuf,
    ) -> Self {
        Self {
            secrets,
            redactor,
            clock,
            base_environment,
            directory,
            routes: Mutex::default(),
            threads: Arc::default(),
        }
    }

    /// The service with other secrets. It shares the order of messages in threads with this one.
    pub fn reloaded(&self, secrets: Arc<Secrets>, redactor: Arc<Redactor>) -> Self {
        let (clock, base_environment) = (Arc::clone(&self.clock), Arc::clone(&self.base_environment));
        Self {
            threads: Arc::clone(&self.threads),
            ..Self::new(secrets, redactor, clock, base_environment, self.directory.clone())
        }
    }

    /// Tries once to deliver a message. Returns the event with the result.
    pub async fn deliver(&self, request: &DeliveryRequest) -> Event {
        let result = match self.route(request) {
            Ok(route) => self.send_in_slot(&route, request).await,
            Err(error) => Err(error),
        };
        self.event(&request.delivery, result)
    }

    /// Waits for a slot of the route and until the channel is available, then sends the message.
    async fn send_in_slot(&self, route: &OpenRoute, request: &DeliveryRequest) -> Result<Receipt, Undelivered> {
        let priority = QueuePriority { severity: request.severity, pending_since: request.delivery.requested_at };
        let _permit = route.queue.take(priority).await;
        let clock = &*self.clock;
        if let Some(wait) = route.queue.closed_for(clock.now()) {
            if wait.0 > DELIVERY_LIMIT {
                return Err(closed(wait));
            }
            clock::sleep(clock, wait.0).await;
        }
        let sent = tokio::select! {
            sent = self.send(route, request) => sent,
            () = clock::sleep(clock, DELIVERY_LIMIT) => Err(timed_out()),
        };
        if let Err(Undelivered { retry_after: Some(wait), .. }) = &sent {
            route.queue.close_until(Span(*wait).after(clock.now()));
        }
        sent
    }

    async fn send(&self, route: &OpenRoute, request: &DeliveryRequest) -> Result<Receipt, Undelivered> {
        let delivery = &request.delivery;
        let opened = self.thread((request.incident.clone(), delivery.channel.clone()));
        let mut opened = opened.lock().await;
        let thread = request.thread.as_ref().or(opened.as_ref());
        let message = OutgoingMessage {
            key: key(&request.incident, delivery),
            text: self.redactor.scrub(&delivery.text).into_owned(),
            thread: thread.and_then(|thread| thread.message.clone()),
            place: thread.and_then(|thread| thread.place.clone()),
            incident: request.incident.to_string(),
            severity: request.severity.to_string(),
            at: self.clock.now(),
        };
        let receipt = route.channel.send(&message).await?;
        opened.get_or_insert_with(|| Thread { place: receipt.place.clone(), message: receipt.message.clone() });
        Ok(receipt)
    }

    fn thread(&self, key: ThreadKey) -> Arc<tokio::sync::Mutex<Option<Thread>>> {
        Arc::clone(lock(&self.threads).entry(key).or_default())
    }

    /// The route to a channel, opened on first use.
    fn route(&self, request: &DeliveryRequest) -> Result<OpenRoute, Undelivered> {
        let name = &request.delivery.channel;
        let unusable = |reason: String| Undelivered {
            reason: format!("channel `{name}` cannot be used: {reason}"),
            retry_after: None,
            permanent: true,
        };
        let channel =
            request.estate.channels.get(name).ok_or_else(|| unusable("it is not in the estate".to_owned()))?;
        let key = serde_json::to_string(channel).map_err(|error| unusable(error.to_string()))?;
        if let Some(route) = lock(&self.routes).get(&key) {
            return Ok(route.clone());
        }
        let route = OpenRoute { channel: self.open(channel).map_err(unusable)?, queue: Arc::default() };
        Ok(lock(&self.routes).entry(key).or_insert(route).clone())
    }

    /// The event for the result of an attempt.
    fn event(&self, delivery: &PendingDelivery, result: Result<Receipt, Undelivered>) -> Event {
        let delivery = Delivery::new(&delivery.id, &delivery.target, &delivery.channel);
        Event::Message(match result {
            Ok(Receipt { message, place }) => MessageEvent::Notified { delivery, message, place },
            Err(error) => MessageEvent::NotifyFailed {
                delivery,
                error: one_line(&self.redactor.scrub(&error.reason), REASON_LIMIT),
                retry_after: error.retry_after.map(Span),
                permanent: error.permanent,
            },
        })
    }
}

impl std::fmt::Debug for DeliveryService {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DeliveryService")
    }
}

fn timed_out() -> Undelivered {
    let seconds = DELIVERY_LIMIT.as_secs();
    Undelivered {
        reason: format!("no answer within {seconds} s; the message may have arrived all the same"),
        retry_after: None,
        permanent: false,
    }
}

fn closed(wait: Span) -> Undelivered {
    Undelivered {
        reason: format!("the channel accepts no message for another {wait}"),
        retry_after: Some(wait.0),
        permanent: false,
    }
}

/// The key of a message: the same for every attempt, so that a receiver can recognise a repeat.
fn key(incident: &IncidentId, delivery: &PendingDelivery) -> String {
    let message = match &delivery.id {
        MessageId::Step(run, step) => format!("{run}\n{step}"),
        MessageId::Notice(notice) => format!("notice\n{notice}"),
    };
    let digest = Sha256::digest(format!("{incident}\n{message}\n{}", delivery.channel).as_bytes());
    hex::encode(&digest[..16])
}
