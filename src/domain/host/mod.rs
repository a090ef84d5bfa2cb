//! What a host has and needs: requirements, status, a first configuration, permissions on units.

pub mod requirement;
pub mod scaffold;
pub mod status;
pub mod unit_permission;
