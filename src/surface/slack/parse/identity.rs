//! Identifies the person behind a Slack request and checks permissions.
//!
//! **Invariant:** a person is identified by the Slack user id alone. An unknown user may do only what the estate's
//! `strangers` setting allows. Approvals and denials are checked by the engine instead, which records a refusal.

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
