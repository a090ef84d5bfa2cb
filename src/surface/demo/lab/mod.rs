//! Private instances for the demo: a systemd user manager, journald and a git repository, or replacements where the
//! host lacks them.

pub mod booted_marker;
pub mod cgroup;
pub mod child_group;
pub mod journald;
pub mod manager;
pub mod plain_supervisor;
pub mod repository;
