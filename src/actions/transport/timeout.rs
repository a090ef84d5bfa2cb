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
use crate::actions::error::ActionError;
use crate::clock;
use crate::domain::core::time::Span;

/// The most of the context's time that is kept for saying what has happened.
const RESERVE: Duration = Duration::from_millis(200);

/// What comes of `work`, unless `limit` or the context's own time is over before, or it is stopped.
///
/// # Errors
/// `timeout` or `cancelled`.
pub async fn within<T>(limit: Duration, context: &Context, work: impl Future<Output = T>) -> Result<T, ActionError> {
    tokio::select! {
        done = work => Ok(done),
        () = clock::sleep(&*context.clock, limit) => {
            Err(ActionError::new("timeout", format!("no answer within {}", Span(limit))))
        }
        () = context.cancel.cancelled() => Err(ActionError::new("cancelled", "it was stopped before an answer came")),
        () = expiry(context) => Err(ActionError::new("timeout", "the step's time was over before an answer came")),
    }
}

/// Lets a time pass.
///
/// # Errors
/// `timeout` when the context's own time is over before, or `cancelled`.
pub async fn pause(length: Duration, context: &Context) -> Result<(), ActionError> {
    tokio::select! {
        () = clock::sleep(&*context.clock, length) => Ok(()),
        () = context.cancel.cancelled() => Err(ActionError::new("cancelled", "it was stopped while it waited")),
        () = expiry(context) => {
            Err(ActionError::new("timeout", format!("the step's time was over before {} had passed", Span(length))))
        }
    }
}

/// Completes a little before the context's deadline, at which the engine drops the action without a word.
async fn expiry(context: &Context) {
    match context.deadline {
        Some(deadline) => {
            let reserve = (Span::between(context.clock.now(), deadline).0 / 20).min(RESERVE);
            context.clock.sleep_until(deadline - TimeDelta::from_std(reserve).unwrap_or_default()).await;
        }
        None => std::future::pending().await,
    }
}

/// What a system call that may block for ever gives, such as one about a file on a server that is gone. It has a thread
/// of its own: the runtime would wait for one of its own threads when it ends.
///
/// # Errors
/// As [`within`]; and `system` when there is no thread.
pub async fn apart<T: Send + 'static>(
    limit: Duration,
    context: &Context,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, ActionError> {
    let (sender, receiver) = oneshot::channel();
    let thread = std::thread::Builder::new().name("apart".to_owned());
    // Nobody may listen any more when it is done.
    let spawned = thread.spawn(move || drop(sender.send(work())));
    spawned.map_err(|error| ActionError::new("system", format!("no thread could be started: {error}")))?;
    within(limit, context, receiver)
        .await?
        .map_err(|_| ActionError::new("system", "the thread ended without an answer"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actions::kinds::support::testing::context;

    #[tokio::test]
    async fn a_call_that_never_returns_is_given_up() {
        let (held, hold) = std::sync::mpsc::channel::<()>();
        let stuck = apart(Duration::from_millis(20), &context(), move || hold.recv()).await;
        assert_eq!(stuck.unwrap_err().message, "no answer within 20ms");
        drop(held);
        assert_eq!(apart(Duration::from_secs(60), &context(), || 7).await, Ok(7));
    }

    #[tokio::test]
    async fn whatever_comes_first_ends_the_wait() {
        let mut context = context();
        context.deadline = Some(context.clock.now());
        let late = within(Duration::from_secs(60), &context, std::future::pending::<()>()).await;
        assert_eq!(late.unwrap_err().kind, "timeout");
        assert_eq!(pause(Duration::from_secs(60), &context).await.unwrap_err().kind, "timeout");
        context.deadline = None;
        context.cancel.cancel();
        let stopped = within(Duration::from_secs(60), &context, std::future::pending::<()>()).await;
        assert_eq!(stopped.unwrap_err().kind, "cancelled");
    }
}
