//! Where `now` comes from: the system's clock, or a simulated one that tests and drills move by hand.
//!
//! The only file that may read the clock or sleep.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use tokio::sync::watch;

use crate::domain::core::time::Timestamp;

/// A source of time.
pub trait Clock: fmt::Debug + Send + Sync {
    /// The instant, in UTC.
    fn now(&self) -> Timestamp;

    /// Completes when `now` has reached `until`.
    fn sleep_until(&self, until: Timestamp) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;
}

/// A clock that is shared.
pub type SharedClock = Arc<dyn Clock>;

/// Sleeps for a length of time by any clock.
pub async fn sleep(clock: &dyn Clock, length: Duration) {
    let until = crate::domain::core::time::Span(length).after(clock.now());
    clock.sleep_until(until).await;
}

/// The system's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

/// The longest single sleep: a clock that was set forward during a sleep is noticed after this time.
const NAP: Duration = Duration::from_secs(1);

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the clock")]
    fn now(&self) -> Timestamp {
        let now = chrono::Utc::now();
        // The log keeps milliseconds; finer parts would make a fold differ from what was decided.
        chrono::SubsecRound::trunc_subsecs(now, 3)
    }

    #[expect(clippy::disallowed_methods, reason = "the one place that sleeps")]
    fn sleep_until(&self, until: Timestamp) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async move {
            while let Ok(rest) = (until - self.now()).to_std() {
                if rest.is_zero() {
                    break;
                }
                // One millisecond more, since `now` is rounded down.
                tokio::time::sleep(rest.min(NAP) + Duration::from_millis(1)).await;
            }
        })
    }
}

/// A clock that stands still until it is moved.
#[derive(Debug, Clone)]
pub struct SimClock {
    now: Arc<watch::Sender<Timestamp>>,
}

impl SimClock {
    /// A clock that shows `start`.
    pub fn new(start: Timestamp) -> Self {
        Self { now: Arc::new(watch::Sender::new(start)) }
    }

    /// Moves it forward and wakes who waits for it.
    pub fn advance(&self, length: TimeDelta) {
        self.now.send_modify(|now| *now += length);
    }

    /// Sets it, forward or back.
    pub fn set(&self, to: Timestamp) {
        self.now.send_replace(to);
    }
}

impl Clock for SimClock {
    fn now(&self) -> Timestamp {
        *self.now.borrow()
    }

    fn sleep_until(&self, until: Timestamp) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        let mut shown = self.now.subscribe();
        Box::pin(async move {
            // The sender lives in `self`, which outlives this future.
            let _ = shown.wait_for(|now| *now >= until).await;
        })
    }
}
