//! Identifies the person behind a Slack request and checks permissions.
//!
//! **Invariant:** a person is identified by the Slack user id alone. An unknown user may do only what `strangers` in the
//! estate allows. The engine checks approvals and denials instead, and records a refusal.

use crate::domain::config::estate::Estate;
use crate::domain::config::slack_app::UnknownUsers;
use crate::domain::incident::event::{Actor, Identity};

/// The name of this interface in the log.
const VIA: &str = "slack";

/// A permission that a request needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permission {
    Read,
    Acknowledge,
    Act,
}

/// The actor with this Slack user id.
pub fn actor(estate: &Estate, user: &str) -> Actor {
    estate.actor(Identity::Slack(user.to_owned()), VIA)
}

/// Checks a permission. Returns the person.
///
/// # Errors
/// A message for a person without the permission.
pub fn may(estate: &Estate, user: &str, permission: Permission) -> Result<Actor, String> {
    let known = estate.person(&Identity::Slack(user.to_owned())).is_some();
    let unknown_users = estate.slack.as_ref().map(|app| app.strangers).unwrap_or_default();
    let allowed = match permission {
        Permission::Read => unknown_users >= UnknownUsers::Look,
        Permission::Acknowledge => unknown_users >= UnknownUsers::Acknowledge,
        Permission::Act => false,
    };
    if known || allowed {
        return Ok(actor(estate, user));
    }
    Err(format!(
        "The estate does not know you. Ask its owner to add `slack: {user}` to you under `people` in estate.yaml."
    ))
}
