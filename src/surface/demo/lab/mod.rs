//! The lab: private instances of real programs for the demo and the tests: a systemd user manager, journald, services,
//! a git repository.
//!
//! Each instance has a separate directory, separate ports and a separate control group. It ends when its value is dropped.
//!
//! Not here: programs that only tests need, see `tests/it/real`.

pub mod background_process;
pub mod booted_marker;
pub mod cgroup;
pub mod journald;
pub mod manager;
pub mod plain_supervisor;
pub mod port;
pub mod repository;
pub mod service_unit;
