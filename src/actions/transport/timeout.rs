//! How long an action waits for the world: its own limit, the step's time, or until it is stopped, whichever is first.
//!
//! Deliberately absent: retries. What has to be tried again is a step's `retry`.
//!
//! **Invariant:** what is awaited here may never come, and nothing hangs: the future is dropped, and a thread that the
//! kernel holds fast is left behind, not waited for.

use std::future::Future;
use std::time::Duration;

use chrono::TimeDelta;
use tokio::sync::oneshot;

use crate::actions::Context;
use crate::clock;
use crate::domain::core::reason::Reason;
use crate::domain::core::time::Span;

/// Time kept before the context's deadline to report what happened.
const RESERVE: Duration = Duration::from_millis(200);

/// Runs `work` until `limit`, the context's deadline or a cancellation.
///
/// # Errors
/// `timeout` or `cancelled`.
pub async fn within<T>(limit: Duration, context: &Context, work: impl Future<Output = T>) -> Result<T, Reason> {
    tokio::select! {
        done = work => Ok(done),
        () = clock::sleep(&*context.clock, limit) => {
            Err(Reason::new("timeout", format!("no answer within {}", Span(limit))))
        }
        () = context.cancel.cancelled() => Err(Reason::new("cancelled", "it was stopped before an answer came")),
        () = expiry(context) => Err(Reason::new("timeout", "the step's time was over before an answer came")),
    }
}

/// Sleeps for `length`.
///
/// # Errors
/// `timeout` if the context's deadline is earlier, or `cancelled`.
pub async fn pause(length: Duration, context: &Context) -> Result<(), Reason> {
    tokio::select! {
        () = clock::sleep(&*context.clock, length) => Ok(()),
        () = context.cancel.cancelled() => Err(Reason::new("cancelled", "it was stopped while it waited")),
        () = expiry(context) => {
            Err(Reason::new("timeout", format!("the step's time was over before {} had passed", Span(length))))
        }
    }
}

/// Completes shortly before the context's deadline, at which the engine drops the action without a result.
async fn expiry(context: &Context) {
    match context.deadline {
        Some(deadline) => {
            let reserve = (Span::between(context.clock.now(), deadline).0 / 20).min(RESERVE);
            context.clock.sleep_until(deadline - TimeDelta::from_std(reserve).unwrap_or_default()).await;
        }
        None => std::future::pending().await,
    }
}

/// Runs a system call that may block for ever, for example on a file server that is gone. It uses its own thread,
/// because a runtime waits for its blocking threads when it shuts down.
///
/// # Errors
/// As [`within`]; `system` if no thread can be started.
pub async fn apart<T: Send + 'static>(
    limit: Duration,
    context: &Context,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Reason> {
    let (sender, receiver) = oneshot::channel();
    let thread = std::thread::Builder::new().name("apart".to_owned());
    // The receiver may be gone when the call returns.
    let spawned = thread.spawn(move || drop(sender.send(work())));
    spawned.map_err(|error| Reason::new("system", format!("no thread could be started: {error}")))?;
    within(limit, context, receiver).await?.map_err(|_| Reason::new("system", "the thread ended without an answer"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actions::kinds::support::testing::context;

    #[tokio::test]
    async fn a_call_that_never_returns_is_given_up() {
        let (held, hold) = std::sync::mpsc::channel::<()>();
        let stuck = apart(Duration::from_millis(20), &context(), move || hold.recv()).await;
        assert_eq!(stuck.unwrap_err().text, "no answer within 20ms");
        drop(held);
        assert_eq!(apart(Duration::from_secs(60), &context(), || 7).await, Ok(7));
    }

    #[tokio::test]
    async fn whatever_comes_first_ends_the_wait() {
        let mut context = context();
        context.deadline = Some(context.clock.now());
        let late = within(Duration::from_secs(60), &context, std::future::pending::<()>()).await;
        assert_eq!(late.unwrap_err().code, "timeout");
        assert_eq!(pause(Duration::from_secs(60), &context).await.unwrap_err().code, "timeout");
        context.deadline = None;
        context.cancel.cancel();
        let stopped = within(Duration::from_secs(60), &context, std::future::pending::<()>()).await;
        assert_eq!(stopped.unwrap_err().code, "cancelled");
    }
}
