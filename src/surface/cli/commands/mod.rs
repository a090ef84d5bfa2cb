//! The commands, in the groups of `runbook --help`. Each command has a file, and its doc comment is its help.

pub mod authoring;
pub mod incident;
pub mod inspect;
pub mod operate;
