//! The demo: small real services that are broken on purpose, and the code that starts and removes them.
//!
//! It needs no root, network or settings. If the machine lacks a program, the demo leaves out what needs it. Tests that
//! need a real systemd use the same code.
//!
//! Not here: the command `demo`, which combines this with the engine and the terminal.

pub mod autoplay;
pub mod environment;
pub mod fake_slack;
pub mod lab;
pub mod service;
