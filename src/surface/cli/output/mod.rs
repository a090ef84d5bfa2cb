//! How commands print: data, messages, tables, errors, pending questions.

pub(crate) mod error;
pub(crate) mod format;
pub(crate) mod pending;
pub(crate) mod runbook_outline;
pub(crate) mod table;
pub(crate) mod template_preview;
pub(crate) mod writer;
