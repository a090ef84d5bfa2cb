//! The lab: private real parts for the demo and for the tests (a systemd user manager, journald, services, a git repository).
//!
//! Every part lives in a directory, on ports and in a control group of its own, and ends with its value.
//!
//! Not here: what only tests need, see `tests/it/real`.

pub mod background_process;
pub mod booted_marker;
pub mod cgroup;
pub mod journald;
pub mod manager;
pub mod plain_supervisor;
pub mod port;
pub mod repository;
pub mod service_unit;
