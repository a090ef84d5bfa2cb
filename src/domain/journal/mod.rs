//! The journal's lines as services write them, and what can be told of many: what is searched for, what they add up to,
//! and the tree that a trace draws.
//!
//! | file | job |
//! |---|---|
//! | [`export`] | cuts what journalctl prints into records |
//! | [`entry`], [`level`] | one record, understood: pino's JSON or plain text |
//! | [`filter`] | what is searched for, and what of it journalctl can look for itself |
//! | [`message_pattern`], [`histogram`], [`summary`] | like messages as one, counted over time |
//! | [`trace_tree`] | the lines of one trace as a tree |
//!
//! Deliberately absent: starting journalctl, which is the work of `actions::journal`, and how lines look.
//!
//! **Invariant:** memory is bounded however much a journal holds; every bound is a named constant.

pub mod entry;
pub mod export;
pub mod filter;
pub mod histogram;
pub mod level;
pub mod message_pattern;
pub mod summary;
pub mod trace_tree;
