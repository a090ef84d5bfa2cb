//! Executes one attempt: performs the action, repeats it while it polls, and ends it at its timeout.
//!
//! **Invariant:** every task returns a result, also after a panic, a timeout or a cancellation.

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
        return Outcome::failed(format!("kind `{}` is not supported by this version", action.kind), Value::Null);
    };
    let attempt = async {
        match poll {
            None => perform(kind, &action.spec, &context).await,
            Some(poll) => poll_until(kind, &action.spec, &poll, &context).await,
        }
    };
    limit_output(catch_panic(attempt).await)
}

/// Checks whether an interrupted attempt happened.
pub(crate) async fn reconcile(action: &RenderedAction, before: &Value, context: Context) -> Reconciliation {
    let Some(kind) = crate::actions::kind(&action.kind) else {
        return Reconciliation::CannotTell {
            detail: format!("kind `{}` is not supported by this version", action.kind),
        };
    };
    let reconciled = bounded(kind.reconcile(&action.spec, before, &context), &context).await;
    match reconciled {
        Some(Reconciled::Happened(outcome)) => Reconciliation::Happened(limit_output(outcome).into()),
        Some(Reconciled::DidNotHappen(detail)) => Reconciliation::DidNotHappen { detail },
        Some(Reconciled::CannotTell(detail)) => Reconciliation::CannotTell { detail },
        None => Reconciliation::CannotTell { detail: "the check did not end in time".to_owned() },
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

async fn catch_panic(attempt: impl Future<Output = Outcome>) -> Outcome {
    AssertUnwindSafe(attempt).catch_unwind().await.unwrap_or_else(|_| {
        Outcome::ended(Verdict::Unknown, "the action crashed: a bug of runbook; see standard error")
    })
}

/// Performs the action once. When the deadline passes or the action is cancelled, it has [`STOP_GRACE`] to stop.
async fn perform(kind: &'static dyn Kind, spec: &Value, context: &Context) -> Outcome {
    let mut performing = std::pin::pin!(kind.perform(spec, context));
    let late = tokio::select! {
        outcome = &mut performing => return outcome,
        () = expiry(context) => true,
        () = context.cancel.cancelled() => false,
    };
    context.cancel.cancel();
    let stopped = tokio::select! {
        outcome = &mut performing => Some(outcome),
        () = clock::sleep(&*context.clock, STOP_GRACE.0) => None,
    };
    match (late, stopped.filter(|outcome| !outcome.summary.is_empty())) {
        // It succeeded before it stopped.
        (_, Some(outcome)) if outcome.is_success() => outcome,
        (true, Some(outcome)) => Outcome { verdict: Verdict::TimedOut, ..outcome },
        (true, None) => Outcome::ended(Verdict::TimedOut, "it did not end in time"),
        (false, Some(outcome)) => Outcome { verdict: Verdict::Cancelled, ..outcome },
        (false, None) => Outcome::ended(Verdict::Cancelled, "it was stopped"),
    }
}

/// Performs the action repeatedly until its condition has been true for the required time.
async fn poll_until(kind: &'static dyn Kind, spec: &Value, poll: &Poll, context: &Context) -> Outcome {
    let mut true_since: Option<Timestamp> = None;
    loop {
        let outcome = perform(kind, spec, context).await;
        if matches!(outcome.verdict, Verdict::Cancelled) {
            return outcome;
        }
        let now = context.clock.now();
        let is_true = match condition_holds(poll, &outcome) {
            Ok(is_true) => is_true,
            Err(error) => return Outcome { verdict: Verdict::Failed, summary: format!("`until`: {error}"), ..outcome },
        };
        true_since = if is_true { true_since.or(Some(now)) } else { None };
        if true_since.is_some_and(|since| Span::between(since, now) >= poll.hold) {
            return Outcome { verdict: Verdict::Succeeded, ..outcome };
        }
        if context.deadline.is_some_and(|deadline| now >= deadline) {
            return not_in_time(outcome);
        }
        tokio::select! {
            () = clock::sleep(&*context.clock, poll.every.0) => {}
            () = expiry(context) => return not_in_time(outcome),
            () = context.cancel.cancelled() => {
                return Outcome { verdict: Verdict::Cancelled, ..outcome };
            }
        }
        context.progress.line(&outcome.summary);
    }
}

fn not_in_time(last: Outcome) -> Outcome {
    let summary = format!("not in time: {}", last.summary);
    Outcome { verdict: Verdict::TimedOut, summary, ..last }
}

/// Whether the poll's condition is true for an outcome. Without a condition, whether the outcome is a success.
fn condition_holds(poll: &Poll, outcome: &Outcome) -> Result<bool, ExpressionError> {
    let Some(until) = &poll.until else {
        return Ok(outcome.is_success());
    };
    let variables = json!({"output": outcome.output, "summary": outcome.summary, "succeeded": outcome.is_success()});
    let scope = minijinja::Value::from(minijinja::value::Serde(&variables));
    expression::truthy(&until.condition, &scope)
}

async fn expiry(context: &Context) {
    match context.deadline {
        Some(deadline) => context.clock.sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

/// Replaces an output larger than [`OUTPUT_LIMIT`] by its size. The summary reports that.
fn limit_output(outcome: Outcome) -> Outcome {
    let size = outcome.output.to_string().len();
    if size <= OUTPUT_LIMIT {
        return outcome;
    }
    let output = json!({"too_large": size, "limit": OUTPUT_LIMIT});
    let summary = format!("{} (its output of {size} bytes is too large for the log)", outcome.summary);
    Outcome { output, summary, ..outcome }
}
