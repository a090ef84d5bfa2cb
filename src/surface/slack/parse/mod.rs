//! Parses input from Slack: typed commands, button values, identities.

pub mod button_value;
pub(crate) mod command;
pub(crate) mod identity;
pub(crate) mod start_args;
