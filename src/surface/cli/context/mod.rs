//! The context of a command: settings, the project, secrets, the local user, the engine.

pub(crate) mod action_context;
pub(crate) mod args;
pub(crate) mod hostname;
pub(crate) mod local_user;
pub(crate) mod project;
pub(crate) mod secrets;
pub(crate) mod session;
pub(crate) mod settings;
