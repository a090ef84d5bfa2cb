//! The priority queue of a channel: most severe incident first, then the oldest message.
//!
//! **Invariant:** one slot is reserved for P1, so the first P1 message never waits for less severe ones.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use tokio::sync::oneshot;

use super::lock;
use crate::domain::core::severity::Severity;
use crate::domain::core::time::{Span, Timestamp};

/// The most messages that a channel sends at the same time. It is low, because the first responses show whether others can
/// succeed.
const SLOTS: usize = 3;
/// Additional slots for P1 messages.
const P1_SLOTS: usize = 1;

/// The order of waiting messages: the lowest value is sent first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct QueuePriority {
    pub(super) severity: Severity,
    pub(super) pending_since: Timestamp,
}

/// The queue of one channel.
#[derive(Debug, Default)]
pub(super) struct PriorityQueue(Mutex<Queue>);

#[derive(Debug, Default)]
struct Queue {
    taken: usize,
    next: u64,
    waiting: BTreeMap<(QueuePriority, u64), oneshot::Sender<QueuePermit>>,
    closed_until: Option<Timestamp>,
}

/// A slot at the channel, released on drop.
#[derive(Debug)]
pub(super) struct QueuePermit(Arc<PriorityQueue>);

impl Drop for QueuePermit {
    fn drop(&mut self) {
        lock(&self.0.0).taken -= 1;
        self.0.grant_slots();
    }
}

impl PriorityQueue {
    /// Waits for a slot.
    pub(super) async fn take(self: &Arc<Self>, priority: QueuePriority) -> QueuePermit {
        let (sender, permit) = oneshot::channel();
        {
            let mut queue = lock(&self.0);
            queue.next += 1;
            let ticket = (priority, queue.next);
            queue.waiting.insert(ticket, sender);
        }
        self.grant_slots();
        match permit.await {
            Ok(permit) => permit,
            // Cannot happen: an unused sender is dropped only if its receiver is gone, or with the queue, which lives here.
            Err(_) => std::future::pending().await,
        }
    }

    /// Gives free slots to the next waiters.
    fn grant_slots(self: &Arc<Self>) {
        while let Some((sender, permit)) = self.next() {
            // If the waiter was cancelled, the permit comes back. Dropping it releases the slot.
            drop(sender.send(permit));
        }
    }

    fn next(self: &Arc<Self>) -> Option<(oneshot::Sender<QueuePermit>, QueuePermit)> {
        let mut queue = lock(&self.0);
        while queue.waiting.first_entry().is_some_and(|first| first.get().is_closed()) {
            queue.waiting.pop_first();
        }
        let first = queue.waiting.first_entry()?;
        let slots = if first.key().0.severity == Severity::P1 { SLOTS + P1_SLOTS } else { SLOTS };
        let ticket = *first.key();
        if queue.taken >= slots {
            return None;
        }
        let sender = queue.waiting.remove(&ticket)?;
        queue.taken += 1;
        Some((sender, QueuePermit(Arc::clone(self))))
    }

    /// Makes the channel unavailable until this instant.
    pub(super) fn close_until(&self, until: Timestamp) {
        lock(&self.0).closed_until = Some(until);
    }

    /// How long the channel stays unavailable; none when it is available.
    pub(super) fn closed_for(&self, now: Timestamp) -> Option<Span> {
        let until = lock(&self.0).closed_until.filter(|until| *until > now)?;
        Some(Span::between(now, until))
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use futures_util::FutureExt as _;

    use super::*;

    fn priority(severity: Severity, second: i64) -> QueuePriority {
        QueuePriority { severity, pending_since: DateTime::from_timestamp(second, 0).expect("an instant") }
    }

    #[tokio::test]
    async fn a_p1_does_not_wait_for_a_thousand_less_severe_messages() {
        let queue = Arc::new(PriorityQueue::default());
        let mut waiting: Vec<_> =
            (0..1_000).map(|second| Box::pin(queue.take(priority(Severity::P4, second)))).collect();
        let mut hanging: Vec<QueuePermit> =
            waiting.iter_mut().filter_map(|permit| permit.as_mut().now_or_never()).collect();
        assert_eq!(hanging.len(), SLOTS, "the rest waits");
        let first = queue.take(priority(Severity::P1, 9_999)).now_or_never();
        let mut second = Box::pin(queue.take(priority(Severity::P1, 9_999)));
        assert!(first.is_some(), "a slot is reserved for it");
        assert!(second.as_mut().now_or_never().is_none());
        hanging.pop();
        assert!(second.now_or_never().is_some(), "it comes before all messages that have waited longer");
        assert!(waiting.last_mut().is_some_and(|last| last.as_mut().now_or_never().is_none()));
    }

    #[tokio::test]
    async fn the_oldest_of_equal_severity_is_first_and_a_cancelled_waiter_blocks_no_other() {
        let queue = Arc::new(PriorityQueue::default());
        let mut held = Vec::new();
        for _ in 0..SLOTS {
            held.push(queue.take(priority(Severity::P2, 0)).await);
        }
        let mut late = Box::pin(queue.take(priority(Severity::P3, 20)));
        let mut cancelled = Box::pin(queue.take(priority(Severity::P3, 5)));
        let mut early = Box::pin(queue.take(priority(Severity::P3, 10)));
        for permit in [&mut late, &mut cancelled, &mut early] {
            assert!(permit.as_mut().now_or_never().is_none());
        }
        drop(cancelled);
        held.pop();
        assert!(late.as_mut().now_or_never().is_none());
        assert!(early.now_or_never().is_some());
    }
}
