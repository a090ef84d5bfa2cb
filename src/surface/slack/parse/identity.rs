//! Who did something in Slack, and whether the estate lets such a one.
//!
//! **Invariant:** a person is known by the Slack user id alone. Of somebody whom the estate does not know nothing is taken
//! but what it allows strangers; agreement goes to the engine all the same, which refuses it and writes that down.

use crate::domain::config::estate::Estate;
use crate::domain::config::slack_app::UnknownUsers;
use crate::domain::incident::event::{Actor, Identity};

/// The face's name in the log.
const VIA: &str = "slack";

/// What is asked for, as far as it matters who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestedIdentity {
    /// To see something.
    Look,
    /// To take notice.
    Acknowledge,
    /// Anything else.
    Act,
}

/// Whoever has this Slack user id.
pub fn actor(estate: &Estate, user: &str) -> Actor {
    estate.actor(Identity::Slack(user.to_owned()), VIA)
}

/// Whether somebody may; why not, in a sentence that says what to do.
///
/// # Errors
/// The sentence.
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
