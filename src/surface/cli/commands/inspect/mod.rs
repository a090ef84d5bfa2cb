//! Commands that show incidents, services and logs, and change nothing.

pub(crate) mod handoff;
pub(crate) mod incidents;
pub(crate) mod logs;
pub(crate) mod page;
pub(crate) mod postmortem;
pub(crate) mod stats;
pub(crate) mod status;
pub(crate) mod timeline;
pub(crate) mod verify;
