//! The demo: a shop of small real services that is broken on purpose, and the machinery to bring it up and take it away.
//!
//! It is what newcomers see first, so it needs nothing: no root, no network, no settings. What a machine lacks makes it
//! smaller, never impossible. The same machinery carries the tests that need a real systemd.
//!
//! Deliberately absent: the engine's parts, the terminal and the command line; the command `demo` puts them together.

pub mod autoplay;
pub mod environment;
pub mod fake_slack;
pub mod lab;
pub mod service;
