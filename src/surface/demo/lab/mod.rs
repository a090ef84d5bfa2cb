//! The lab: private real parts for the demo (a systemd user manager, journald, a git repository), or stand-ins where the host has none.

pub mod booted_marker;
pub mod cgroup;
pub mod child_group;
pub mod journald;
pub mod manager;
pub mod plain_supervisor;
pub mod repository;
