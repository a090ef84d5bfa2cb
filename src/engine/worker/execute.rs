//! Executes one attempt: performs the action, repeats it while it polls, and ends it at its timeout.
//!
//! **Invariant:** every task returns a result. A panic, a hang and a cancellation become an outcome.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt;
use serde_json::{Value, json};

use crate::actions::{Context, Kind, Reconciled};
use crate::clock;
use crate::domain::core::time::{Span, Timestamp};
use crate::domain::incident::event::Reconciliation;
use crate::domain::incident::outcome::{OUTPUT_LIMIT, Outcome, Verdict};
use crate::domain::incident::plan::{Poll, RenderedAction};
use crate::domain::runbook::time_limits::STOP_GRACE;
use crate::domain::template::expression;
use crate::domain::template::expression::ExpressionError;

/// Performs one attempt, with its polling.
pub(crate) async fn attempt(action: &RenderedAction, poll: Option<Poll>, context: Context) -> Outcome {
    let Some(kind) = crate::actions::kind(&action.kind) else {
        return Outcome::failed(format!("this version knows no kind `{}`", action.kind), Value::Null);
    };
    let attempt = async {
        match poll {
            None => once(kind, &action.spec, &context).await,
            Some(poll) => repeated(kind, &action.spec, &poll, &context).await,
        }
    };
    limited(caught(attempt).await)
}

/// Checks whether an interrupted attempt happened.
pub(crate) async fn reconcile(action: &RenderedAction, before: &Value, context: Context) -> Reconciliation {
    let Some(kind) = crate::actions::kind(&action.kind) else {
        return Reconciliation::CannotTell { detail: format!("this version knows no kind `{}`", action.kind) };
    };
    let looked = bounded(kind.reconcile(&action.spec, before, &context), &context).await;
    match looked {
        Some(Reconciled::Happened(outcome)) => Reconciliation::Happened(limited(outcome).into()),
        Some(Reconciled::DidNotHappen(detail)) => Reconciliation::DidNotHappen { detail },
        Some(Reconciled::CannotTell(detail)) => Reconciliation::CannotTell { detail },
        None => Reconciliation::CannotTell { detail: "looking took too long".to_owned() },
    }
}

/// The state before a change, for a later [`reconcile`].
pub(crate) async fn observe(action: Arc<RenderedAction>, context: Context) -> Value {
    let Some(kind) = crate::actions::kind(&action.kind) else {
        return Value::Null;
    };
    bounded(kind.observe(&action.spec, &context), &context).await.unwrap_or(Value::Null)
}

/// The result of a future. `None` if it panicked, timed out or was cancelled.
async fn bounded<T>(future: impl Future<Output = T>, context: &Context) -> Option<T> {
    let caught = AssertUnwindSafe(future).catch_unwind();
    tokio::select! {
        result = caught => result.ok(),
        () = expiry(context) => None,
        () = context.cancel.cancelled() => None,
    }
}

async fn caught(attempt: impl Future<Output = Outcome>) -> Outcome {
    AssertUnwindSafe(attempt).catch_unwind().await.unwrap_or_else(|_| {
        Outcome::ended(Verdict::Unknown, "the action broke off by a fault of this program; see standard error")
    })
}

/// Performs the action once, until it ends, the deadline passes or it is cancelled. Then it gets [`STOP_GRACE`] to
/// stop.
async fn once(kind: &'static dyn Kind, spec: &Value, context: &Context) -> Outcome {
    let mut performing = std::pin::pin!(kind.perform(spec, context));
    let late = tokio::select! {
        outcome = &mut performing => return outcome,
        () = expiry(context) => true,
        () = context.cancel.cancelled() => false,
    };
    context.cancel.cancel();
    let left = tokio::select! {
        outcome = &mut performing => Some(outcome),
        () = clock::sleep(&*context.clock, STOP_GRACE.0) => None,
    };
    let said = left.filter(|outcome| !outcome.summary.is_empty());
    match (late, said) {
        // It succeeded at the last moment.
        (_, Some(outcome)) if outcome.is_success() => outcome,
        (true, Some(outcome)) => Outcome { verdict: Verdict::TimedOut, ..outcome },
        (true, None) => Outcome::ended(Verdict::TimedOut, "it did not end in time"),
        (false, Some(outcome)) => Outcome { verdict: Verdict::Cancelled, ..outcome },
        (false, None) => Outcome::ended(Verdict::Cancelled, "it was stopped"),
    }
}

/// Performs the action repeatedly until the condition has held for the required time.
async fn repeated(kind: &'static dyn Kind, spec: &Value, poll: &Poll, context: &Context) -> Outcome {
    let mut held_since: Option<Timestamp> = None;
    loop {
        let reading = once(kind, spec, context).await;
        if matches!(reading.verdict, Verdict::Cancelled) {
            return reading;
        }
        let now = context.clock.now();
        let holds = match holds(poll, &reading) {
            Ok(holds) => holds,
            Err(error) => return Outcome { verdict: Verdict::Failed, summary: format!("`until`: {error}"), ..reading },
        };
        held_since = if holds { held_since.or(Some(now)) } else { None };
        if held_since.is_some_and(|since| Span::between(since, now) >= poll.hold) {
            return Outcome { verdict: Verdict::Succeeded, ..reading };
        }
        if context.deadline.is_some_and(|deadline| now >= deadline) {
            let summary = format!("not in time: {}", reading.summary);
            return Outcome { verdict: Verdict::TimedOut, summary, ..reading };
        }
        tokio::select! {
            () = clock::sleep(&*context.clock, poll.every.0) => {}
            () = expiry(context) => {
                let summary = format!("not in time: {}", reading.summary);
                return Outcome { verdict: Verdict::TimedOut, summary, ..reading };
            }
            () = context.cancel.cancelled() => {
                return Outcome { verdict: Verdict::Cancelled, ..reading };
            }
        }
        context.progress.line(&reading.summary);
    }
}

fn holds(poll: &Poll, reading: &Outcome) -> Result<bool, ExpressionError> {
    let Some(until) = &poll.until else {
        return Ok(reading.is_success());
    };
    let seen = json!({"output": reading.output, "summary": reading.summary, "succeeded": reading.is_success()});
    let scope = minijinja::Value::from(minijinja::value::Serde(&seen));
    expression::truthy(&until.condition, &scope)
}

async fn expiry(context: &Context) {
    match context.deadline {
        Some(deadline) => context.clock.sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

/// Replaces an output larger than [`OUTPUT_LIMIT`] by its size; it is not cut silently.
fn limited(outcome: Outcome) -> Outcome {
    let size = outcome.output.to_string().len();
    if size <= OUTPUT_LIMIT {
        return outcome;
    }
    let output = json!({"too_large": size, "limit": OUTPUT_LIMIT});
    let summary = format!("{} (its output of {size} bytes is more than the log keeps)", outcome.summary);
    Outcome { output, summary, ..outcome }
}
