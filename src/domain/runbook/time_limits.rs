//! How long steps may take when the runbook does not say.

use super::Action;
use crate::domain::core::time::Span;

/// How long a reading may take unless the step says otherwise.
pub const READ_TIMEOUT: Span = Span::seconds(60);

/// How long a step waits for its message to arrive unless it says otherwise; the message is owed for longer.
pub const MESSAGE_TIMEOUT: Span = Span::seconds(60);

/// How long a change may take unless the step says otherwise: a slow stop takes systemd 90 s.
pub const CHANGE_TIMEOUT: Span = Span::seconds(300);

/// How long an action may take unless its step says otherwise.
pub fn usual_timeout(action: &Action) -> Span {
    match action.effect.changes() {
        _ if action.is_message() => MESSAGE_TIMEOUT,
        true => CHANGE_TIMEOUT,
        false => READ_TIMEOUT,
    }
}

/// The longest pause between two attempts: doubling stops here.
pub const BACKOFF_LIMIT: Span = Span::seconds(600);

/// How long an action that was told to stop may take to end children and say so, before it is dropped.
pub const STOP_GRACE: Span = Span::seconds(10);
