//! Limits how long an action waits: until a time limit, the step's deadline or a cancellation, whichever is first.
//!
//! **Invariant:** every wait ends. On a timeout the future is dropped, and a thread that is blocked in the kernel is
//! abandoned.
//!
//! Not here: retries, which are a step's `retry`.

use std::future::Future;
use std::time::Duration;

use chrono::TimeDelta;
use tokio::sync::oneshot;

use crate::actions::Context;
use crate::clock;
use crate::domain::core::reason::Reason;
use crate::domain::core::time::Span;

/// Time that is reserved before the context's deadline, to return a result.
const RESERVE: Duration = Duration::from_millis(200);

/// Runs `work` until `limit`, the context's deadline or a cancellation.
///
/// # Errors
/// `timeout` or `cancelled`.
pub async fn within<T>(limit: Duration, context: &Context, work: impl Future<Output = T>) -> Result<T, Reason> {
    tokio::select! {
        result = work => Ok(result),
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

/// Runs a system call that may block for ever, for example on a file server that is gone. It gets a new thread, because a
/// runtime waits for its blocking threads when it shuts down.
///
/// # Errors
/// As [`within`]; `system` if no thread can be started.
pub async fn on_own_thread<T: Send + 'static>(
    limit: Duration,
    context: &Context,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Reason> {
    let (sender, receiver) = oneshot::channel();
    let thread = std::thread::Builder::new().name("blocking-call".to_owned());
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
    async fn a_call_that_never_returns_is_abandoned() {
        let (sender, receiver) = std::sync::mpsc::channel::<()>();
        let blocked = on_own_thread(Duration::from_millis(20), &context(), move || receiver.recv()).await;
        assert_eq!(blocked.unwrap_err().text, "no answer within 20ms");
        drop(sender);
        assert_eq!(on_own_thread(Duration::from_secs(60), &context(), || 7).await, Ok(7));
    }

    #[tokio::test]
    async fn a_deadline_or_a_cancellation_ends_the_wait() {
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
