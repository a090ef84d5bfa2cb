//! The priority queue of a channel: most severe incident first, then the oldest message.
//!
//! **Invariant:** a P1 never waits for less severe messages, however many wait or hang: one slot is reserved for it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use tokio::sync::oneshot;

use super::lock;
use crate::domain::core::severity::Severity;
use crate::domain::core::time::{Span, Timestamp};

/// Slots of one channel. Few, since the first responses show whether the others can succeed.
const PLACES: usize = 3;
/// Additional slots for P1 messages.
const KEPT: usize = 1;

/// Orders waiting messages; the lowest value is sent first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct QueuePriority {
    pub(super) severity: Severity,
    pub(super) owed_at: Timestamp,
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
        self.0.call();
    }
}

impl PriorityQueue {
    /// Waits for a slot.
    pub(super) async fn take(self: &Arc<Self>, rank: QueuePriority) -> QueuePermit {
        let (sender, turn) = oneshot::channel();
        {
            let mut queue = lock(&self.0);
            queue.next += 1;
            let ticket = (rank, queue.next);
            queue.waiting.insert(ticket, sender);
        }
        self.call();
        match turn.await {
            Ok(turn) => turn,
            // A sender is dropped only after it was used, or with the queue, which we hold.
            Err(_) => std::future::pending().await,
        }
    }

    /// Gives free slots to the next waiters.
    fn call(self: &Arc<Self>) {
        while let Some((sender, turn)) = self.next() {
            // A cancelled waiter releases its slot on drop.
            drop(sender.send(turn));
        }
    }

    fn next(self: &Arc<Self>) -> Option<(oneshot::Sender<QueuePermit>, QueuePermit)> {
        let mut queue = lock(&self.0);
        while queue.waiting.first_entry().is_some_and(|first| first.get().is_closed()) {
            queue.waiting.pop_first();
        }
        let first = queue.waiting.first_entry()?;
        let places = if first.key().0.severity == Severity::P1 { PLACES + KEPT } else { PLACES };
        let ticket = *first.key();
        if queue.taken >= places {
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

    /// How long the channel stays unavailable.
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

    fn rank(severity: Severity, second: i64) -> QueuePriority {
        QueuePriority { severity, owed_at: DateTime::from_timestamp(second, 0).expect("an instant") }
    }

    #[tokio::test]
    async fn a_p1_waits_for_none_of_a_thousand_lesser_messages() {
        let turns = Arc::new(PriorityQueue::default());
        let mut waiting: Vec<_> = (0..1_000).map(|second| Box::pin(turns.take(rank(Severity::P4, second)))).collect();
        let mut hanging: Vec<QueuePermit> =
            waiting.iter_mut().filter_map(|turn| turn.as_mut().now_or_never()).collect();
        assert_eq!(hanging.len(), PLACES, "the rest waits");
        let first = turns.take(rank(Severity::P1, 9_999)).now_or_never();
        let mut second = Box::pin(turns.take(rank(Severity::P1, 9_999)));
        assert!(first.is_some(), "its place was kept");
        assert!(second.as_mut().now_or_never().is_none());
        hanging.pop();
        assert!(second.now_or_never().is_some(), "before all that has waited longer");
        assert!(waiting.last_mut().is_some_and(|last| last.as_mut().now_or_never().is_none()));
    }

    #[tokio::test]
    async fn among_equals_the_oldest_goes_first_and_who_has_gone_holds_up_nobody() {
        let turns = Arc::new(PriorityQueue::default());
        let mut held = Vec::new();
        for _ in 0..PLACES {
            held.push(turns.take(rank(Severity::P2, 0)).await);
        }
        let mut late = Box::pin(turns.take(rank(Severity::P3, 20)));
        let mut gone = Box::pin(turns.take(rank(Severity::P3, 5)));
        let mut early = Box::pin(turns.take(rank(Severity::P3, 10)));
        for turn in [&mut late, &mut gone, &mut early] {
            assert!(turn.as_mut().now_or_never().is_none());
        }
        drop(gone);
        held.pop();
        assert!(late.as_mut().now_or_never().is_none());
        assert!(early.now_or_never().is_some());
    }
}
