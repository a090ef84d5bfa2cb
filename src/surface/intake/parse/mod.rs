//! Reading a body: JSON with limits, fields with the path of what is wrong, and the envelope of SNS.

pub(crate) mod field_reader;
pub(crate) mod lenient_json;
pub(crate) mod sns_envelope;
