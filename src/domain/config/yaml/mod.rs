//! Reading YAML with places: nodes, fields, patterns.

pub(crate) mod fields;
pub(crate) mod glob;
pub mod node;
pub mod reader;
