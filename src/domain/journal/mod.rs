//! Entries of the journal: parsing, searching, counting, and the tree of a trace.
//!
//! | file | job |
//! |---|---|
//! | [`export`] | splits the output of journalctl into records |
//! | [`entry`], [`level`] | parses a record: pino's JSON or plain text |
//! | [`filter`] | selects entries; journalctl can apply a part of the filter |
//! | [`message_pattern`], [`histogram`], [`summary`] | count similar messages, also over time |
//! | [`trace_tree`] | arranges the lines of a trace as a tree |
//!
//! **Invariant:** memory does not grow with the size of a journal; every limit is a named constant.
//!
//! Not here: starting journalctl (see `actions::kinds::journal`), and how lines are shown.

pub mod entry;
pub mod export;
pub mod filter;
pub mod histogram;
pub mod level;
pub mod message_pattern;
pub mod summary;
pub mod trace_tree;
