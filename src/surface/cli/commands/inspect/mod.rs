//! Commands that show or report incidents, services and logs.

pub(crate) mod handoff;
pub(crate) mod incidents;
pub(crate) mod logs;
pub(crate) mod page;
pub(crate) mod postmortem;
pub(crate) mod stats;
pub(crate) mod status;
pub(crate) mod timeline;
pub(crate) mod verify;
