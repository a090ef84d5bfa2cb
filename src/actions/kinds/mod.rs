//! The kinds of action: one file a kind, and the list of them.
//!
//! **Invariant:** a kind knows no other kind. What several of them need is in [`support`].

pub mod command;
pub mod disk;
pub mod git;
pub mod health;
pub mod http;
pub mod journal;
pub mod metrics;
pub mod notify;
pub mod postgres;
pub mod redis;
pub mod set;
pub mod shell;
pub mod support;
pub mod systemd;
pub mod tls;

use crate::actions::Kind;
use crate::domain::config::kind_schema::KindForm;

/// All kinds. A new kind needs one file, its `mod` line, and one line here.
pub static KINDS: &[&dyn Kind] = &[
    &systemd::Systemd,
    &health::Health,
    &http::Http,
    &journal::Journal,
    &metrics::Metrics,
    &redis::Redis,
    &postgres::Postgres,
    &tls::Tls,
    &disk::Disk,
    &git::Git,
    &command::Command,
    &shell::Shell,
    &notify::Notify,
    &set::Set,
];

/// Finds a kind by name.
pub fn kind(name: &str) -> Option<&'static dyn Kind> {
    KINDS.iter().copied().find(|kind| kind.form().name == name)
}

/// The forms of all kinds, for the checker, the schema and the manual.
pub fn forms() -> Vec<&'static KindForm> {
    KINDS.iter().map(|kind| kind.form()).collect()
}
