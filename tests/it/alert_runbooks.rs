//! The shipped runbooks for alerts: each is started by an alert through a real `runbook serve`, measures a thing that is
//! really broken, and mends it after a person has agreed.

mod datastores;
mod host;
mod outside;
mod services;
pub mod site;
