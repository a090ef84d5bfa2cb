//! What is true: pure functions over plain data.
//!
//! **Invariant:** nothing here is asynchronous, reads a clock, the environment or a file, makes a random
//! id, or logs. Time and chance come in as parameters; a test reads the imports.

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
