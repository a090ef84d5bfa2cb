//! Time limits of steps. They apply where the runbook gives none.

use super::Action;
use crate::domain::core::time::Span;

/// The default timeout of a read-only action.
pub const READ_TIMEOUT: Span = Span::seconds(60);

/// The default timeout of a step that sends a message. The message stays pending for longer.
pub const MESSAGE_TIMEOUT: Span = Span::seconds(60);

/// The default timeout of a change: systemd may take 90 s to stop a unit.
pub const CHANGE_TIMEOUT: Span = Span::seconds(300);

/// The default timeout of an action.
pub fn default_timeout(action: &Action) -> Span {
    match action.effect.changes() {
        _ if action.is_message() => MESSAGE_TIMEOUT,
        true => CHANGE_TIMEOUT,
        false => READ_TIMEOUT,
    }
}

/// The longest pause between two attempts: doubling stops here.
pub const BACKOFF_LIMIT: Span = Span::seconds(600);

/// How long a cancelled action may take to end its child processes before it is dropped.
pub const STOP_GRACE: Span = Span::seconds(10);
