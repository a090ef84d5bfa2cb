//! Reading YAML with places: nodes and fields.

pub(crate) mod fields;
pub mod node;
pub mod reader;
