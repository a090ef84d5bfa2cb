//! The messages of an incident: passes each due attempt to delivery once, and records its result.
//!
//! **Invariant:** a message is sent only when every event that it results from is durable.

use std::sync::Arc;

use super::{TaskResult, Worker};
use crate::domain::core::id::{RunId, StepKey};
use crate::domain::core::time::Timestamp;
use crate::domain::incident::due::PendingDelivery;
use crate::domain::incident::event::Event;
use crate::domain::incident::message::MessageId;
use crate::engine::EngineError;
use crate::engine::delivery::DeliveryRequest;

/// A message, the channel it is meant for, and the channel it is sent to (they differ for a fallback).
pub(super) type RouteKey = (MessageId, String, String);

fn route_key(delivery: &PendingDelivery) -> RouteKey {
    (delivery.id.clone(), delivery.target.clone(), delivery.channel.clone())
}

impl Worker {
    /// Queues a due delivery, unless it is already queued or being sent. It is sent when the drafted events are durable.
    pub(super) fn enqueue(&mut self, delivery: PendingDelivery) {
        let route = route_key(&delivery);
        let is_queued = self.pending_deliveries.iter().any(|other| route_key(other) == route);
        if !is_queued && !self.sending.contains(&route) {
            self.pending_deliveries.push(delivery);
        }
    }

    /// Sends the queued messages.
    pub(super) fn send_messages(&mut self) {
        for delivery in std::mem::take(&mut self.pending_deliveries) {
            let route = route_key(&delivery);
            let Some(request) = DeliveryRequest::of(&self.incident, delivery) else { continue };
            self.sending.insert(route);
            let service = Arc::clone(&self.engine.delivery);
            self.tasks.spawn(async move { TaskResult::Delivered { event: service.deliver(&request).await } });
        }
    }

    /// Records the result of a delivery.
    pub(super) fn delivery_ended(&mut self, event: Event, now: Timestamp) -> Result<(), EngineError> {
        if let Some(route) = route_key_of(&event) {
            self.sending.remove(&route);
        }
        self.draft(event, now)
    }

    /// Whether a step sends a message.
    pub(super) fn is_message(&self, run: RunId, step: &StepKey) -> bool {
        self.incident.messages.contains_key(&MessageId::Step(run, step.clone()))
    }
}

fn route_key_of(event: &Event) -> Option<RouteKey> {
    let Event::Message(event) = event else { return None };
    let delivery = event.delivery()?;
    Some((delivery.message()?, delivery.target().to_owned(), delivery.channel.clone()))
}
