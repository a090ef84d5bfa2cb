//! The connection to Slack: Socket Mode or HTTP requests, payloads and replies.

pub(crate) mod app;
pub(crate) mod http;
pub mod manifest;
pub(crate) mod payload;
pub(crate) mod reply;
pub(crate) mod socket_mode;
