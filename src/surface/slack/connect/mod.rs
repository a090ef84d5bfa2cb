//! How Slack reaches us: Socket Mode or HTTP requests, the payloads and the replies.

pub(crate) mod app;
pub(crate) mod http;
pub mod manifest;
pub(crate) mod payload;
pub(crate) mod reply;
pub(crate) mod socket_mode;
