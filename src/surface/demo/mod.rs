//! The demo: small real services that are broken on purpose, and the code to start and remove them.
//!
//! Newcomers see it first, so it needs no root, no network and no settings. What a machine lacks only makes it smaller.
//! The tests that need a real systemd use the same code.
//!
//! Not here: the command `demo`, which combines this with the engine and the terminal.

pub mod autoplay;
pub mod environment;
pub mod fake_slack;
pub mod lab;
pub mod service;
