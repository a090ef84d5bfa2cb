//! The domain: pure functions over plain data.
//!
//! **Invariant:** nothing here is asynchronous, reads a clock, the environment or a file, uses random numbers, or logs. Time and
//! random bits are arguments. `tests/architecture.rs` checks the imports.

pub mod alert;
pub mod config;
pub mod core;
pub mod host;
pub mod incident;
pub mod journal;
pub mod redact;
pub mod report;
pub mod runbook;
pub mod template;
