//! Commands for writing, checking and reading runbooks.

pub(crate) mod init;
pub(crate) mod kinds;
pub(crate) mod lint;
pub(crate) mod list;
pub(crate) mod reference;
pub(crate) mod schedule;
pub(crate) mod schema;
pub(crate) mod show;
pub(crate) mod simulate;
