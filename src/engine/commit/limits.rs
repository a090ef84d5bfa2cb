//! The limits of one append, one event and one incident.
//!
//! Every write passes [`checked`], which is the only check of these limits.

use crate::domain::incident::event::EVENT_LIMIT;
use crate::store::{NewEvent, StoreError, Write};

/// The largest event, in bytes of JSON: four times the largest output, so that one output with its transcript fits.
pub(super) const EVENT_BYTES_LIMIT: usize = 256 * 1024;

/// The most events in one append: an iteration of a worker makes a few dozen.
pub(super) const APPEND_LIMIT: usize = 1_000;

/// The largest append, in bytes of JSON: it is held in memory whole and is one transaction.
pub(super) const APPEND_BYTES_LIMIT: usize = 16 * 1024 * 1024;

/// The longest unique name of an incident, in bytes.
pub(super) const NAME_LIMIT: usize = 256;

/// Checks a write. Returns it with its events encoded, so that the store need not encode them again.
///
/// # Errors
/// [`StoreError::TooLarge`] for the first limit that the write exceeds. The append is refused as a whole, not split.
pub(super) fn checked(mut write: Write) -> Result<Write, StoreError> {
    names(&write)?;
    events(&write)?;
    bytes(&mut write.drafts)?;
    Ok(write)
}

fn names(write: &Write) -> Result<(), StoreError> {
    if write.keys.len() > APPEND_LIMIT || write.keys.iter().any(|name| name.len() > NAME_LIMIT) {
        return Err(StoreError::TooLarge(format!(
            "the limits are {APPEND_LIMIT} names in one append and {NAME_LIMIT} bytes in a name"
        )));
    }
    Ok(())
}

fn events(write: &Write) -> Result<(), StoreError> {
    let Write { incident, expected, drafts, .. } = write;
    if expected + drafts.len() as u64 > EVENT_LIMIT {
        return Err(StoreError::TooLarge(format!(
            "incident `{incident}` has {expected} events; the limit is {EVENT_LIMIT}"
        )));
    }
    if drafts.len() > APPEND_LIMIT {
        return Err(StoreError::TooLarge(format!(
            "one append has {} events; the limit is {APPEND_LIMIT}",
            drafts.len()
        )));
    }
    Ok(())
}

fn bytes(drafts: &mut [NewEvent]) -> Result<(), StoreError> {
    let mut total = 0;
    for draft in drafts {
        let size = draft.encode()?;
        if size > EVENT_BYTES_LIMIT {
            return Err(StoreError::TooLarge(format!("an event has {size} bytes; the limit is {EVENT_BYTES_LIMIT}")));
        }
        total += size;
    }
    if total > APPEND_BYTES_LIMIT {
        return Err(StoreError::TooLarge(format!(
            "the events of one append have {total} bytes; the limit is {APPEND_BYTES_LIMIT}"
        )));
    }
    Ok(())
}
