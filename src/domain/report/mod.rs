//! Reports from an incident's log: timeline, post-mortem, hand-over, statistics, headline.

pub mod handover;
pub mod headline;
pub mod postmortem;
pub mod stats;
pub mod timeline;
