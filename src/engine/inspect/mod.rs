//! Read-only questions to hosts, logs and the log of incidents: status, doctor, discovery, journal search, statistics.

pub mod discovery;
pub mod doctor;
pub mod incident_stats;
pub mod journal_search;
pub mod status;
