//! The clocks: the system's, and a simulated one that tests and drills set.
//!
//! **Invariant:** no other file of the program reads the clock or sleeps.

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
    /// The current instant, in UTC.
    fn now(&self) -> Timestamp;

    /// Completes when `now` has reached `until`.
    fn sleep_until(&self, until: Timestamp) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;
}

/// A clock with several owners.
pub type SharedClock = Arc<dyn Clock>;

/// Sleeps for a length of time on this clock.
pub async fn sleep(clock: &dyn Clock, length: Duration) {
    let until = crate::domain::core::time::Span(length).after(clock.now());
    clock.sleep_until(until).await;
}

/// The system's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

/// The longest single sleep. A change of the system's clock during a sleep takes effect within this time.
const LONGEST_SLEEP: Duration = Duration::from_secs(1);

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the clock")]
    fn now(&self) -> Timestamp {
        let now = chrono::Utc::now();
        // The log has milliseconds. A finer instant would make a fold of the log differ from the fold in memory.
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
                tokio::time::sleep(rest.min(LONGEST_SLEEP) + Duration::from_millis(1)).await;
            }
        })
    }
}

/// A simulated clock, which moves only when it is set.
#[derive(Debug, Clone)]
pub struct SimClock {
    now: Arc<watch::Sender<Timestamp>>,
}

impl SimClock {
    /// A clock whose current instant is `start`.
    pub fn new(start: Timestamp) -> Self {
        Self { now: Arc::new(watch::Sender::new(start)) }
    }

    /// Moves it forward and wakes the sleepers whose time has come.
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
        let mut now = self.now.subscribe();
        Box::pin(async move {
            // Fails only when the sender is dropped, and `self`, which holds it, outlives this future.
            let _ = now.wait_for(|now| *now >= until).await;
        })
    }
}
