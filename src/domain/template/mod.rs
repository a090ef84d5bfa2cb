//! Expressions and templates: evaluated once, strictly, and quoted in shell scripts.

pub mod expression;
pub mod shell;
pub mod values;
