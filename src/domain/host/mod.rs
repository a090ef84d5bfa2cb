//! The host: what the configuration requires of it, its status, a first configuration, permissions on units.

pub mod requirement;
pub mod scaffold;
pub mod status;
pub mod unit_permission;
