//! Parsing of bodies: JSON with repairs, typed access to fields, and the envelope of SNS.

pub(crate) mod field_reader;
pub(crate) mod lenient_json;
pub(crate) mod sns_envelope;
