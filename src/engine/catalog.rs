//! The runbooks and the estate of a shop's directory.

/// The runbooks and the estate of a shop's directory.
#[derive(Debug, Default)]
pub struct Catalog {}
