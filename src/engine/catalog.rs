//! The runbooks and the estate of a shop's directory.

/// The runbooks and the estate of a shop's directory.
#[derive(Debug, Default)]
pub struct Catalog {}

impl Catalog {
    /// A runbook that may be started, with the digest of its file's text; why not, in words.
    pub fn get(&self, id: &str) -> Result<(crate::domain::runbook::Runbook, String), String> {
        Err(format!("there is no runbook `{id}`"))
    }
}
