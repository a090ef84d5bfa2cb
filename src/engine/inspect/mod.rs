//! Read-only checks of hosts, journals and the incident log: status, doctor, discovery, journal search, statistics.

pub mod discovery;
pub mod doctor;
pub mod incident_stats;
pub mod journal_search;
pub mod status;
