//! The demo: a shop of small real services that is broken on purpose, and the machinery to bring it up and take it away.

pub mod background;
pub mod booted;
pub mod cgroup;
pub mod journald;
pub mod manager;
pub mod service;
