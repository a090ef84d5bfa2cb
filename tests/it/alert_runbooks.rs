//! The shipped runbooks for alerts: an alert posted to a running `serve` starts each; it measures a real fault and repairs it
//! after approval.

mod datastores;
mod host;
mod outside;
mod services;
pub mod site;
