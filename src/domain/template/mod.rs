//! Expressions and templates: strict evaluation, and quoting of values in shell scripts.

pub mod expression;
pub mod shell;
pub mod values;
