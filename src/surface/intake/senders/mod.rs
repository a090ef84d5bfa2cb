//! The formats of alert senders. Each file has a function that parses a body to alerts.

pub(crate) mod alertmanager;
pub(crate) mod cloudwatch;
pub(crate) mod custom;
pub(crate) mod github;
pub(crate) mod grafana;
pub(crate) mod pagerduty;
pub(crate) mod sns;
pub mod sns_subscription;
