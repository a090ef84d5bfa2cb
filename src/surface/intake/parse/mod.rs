//! Parsing a body: JSON with limits, and typed fields with warnings.

pub(crate) mod field_reader;
pub(crate) mod lenient_json;
