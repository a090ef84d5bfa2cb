//! Rendering for Slack: blocks, the incident message, questions, modals.

pub mod block_kit;
pub mod card;
pub(crate) mod modal;
pub mod question;
