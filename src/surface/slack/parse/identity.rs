//! Who did something in Slack, and whether the estate lets such a one.
//!
//! **Invariant:** a person is known by the Slack user id alone. Of somebody whom the estate does not know nothing is taken
//! but what it allows strangers; agreement goes to the engine all the same, which refuses it and writes that down.

use crate::domain::config::estate::Estate;
use crate::domain::config::slack_app::UnknownUsers;
use crate::domain::incident::event::{Actor, Identity};

/// The name of this interface in the log.
const VIA: &str = "slack";

/// The kinds of permission that are distinguished.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestedIdentity {
    Look,
    Acknowledge,
    Act,
}

/// The actor with this Slack user id.
pub fn actor(estate: &Estate, user: &str) -> Actor {
    estate.actor(Identity::Slack(user.to_owned()), VIA)
}

/// Checks a permission; the error is a sentence that says what to do.
///
/// # Errors
/// The sentence for the person.
pub fn may(estate: &Estate, user: &str, wish: RequestedIdentity) -> Result<Actor, String> {
    let known = estate.person(&Identity::Slack(user.to_owned())).is_some();
    let strangers = estate.slack.as_ref().map(|app| app.strangers).unwrap_or_default();
    let allowed = match wish {
        RequestedIdentity::Look => strangers >= UnknownUsers::Look,
        RequestedIdentity::Acknowledge => strangers >= UnknownUsers::Acknowledge,
        RequestedIdentity::Act => false,
    };
    if known || allowed {
        return Ok(actor(estate, user));
    }
    Err(format!(
        "The estate does not know you. Ask its owner to add `slack: {user}` to you under `people` in estate.yaml."
    ))
}
