//! `runbook`: executable runbooks for on-call engineers.

#![warn(missing_docs)]

pub mod actions;
pub mod clock;
pub mod domain;
pub mod engine;
pub mod notify;
pub mod store;
pub mod surface;
