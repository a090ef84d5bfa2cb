//! The commands, in four groups. Each command has a file, and its doc comment is its help.

pub mod authoring;
pub mod incident;
pub mod inspect;
pub mod operate;
