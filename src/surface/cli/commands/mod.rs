//! The commands, in the groups of `runbook --help`. One file a command; its doc comment is its help.

pub mod authoring;
pub mod incident;
pub mod inspect;
pub mod operate;
