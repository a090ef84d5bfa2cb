//! Reading a body: JSON with limits, and fields with the path of what is wrong.

pub(crate) mod field_reader;
pub(crate) mod lenient_json;
