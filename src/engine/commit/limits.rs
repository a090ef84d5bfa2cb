//! What one append, one event and one incident may hold at most.
//!
//! Every write passes [`checked`], and nothing else checks these limits.

use crate::domain::incident::event::EVENT_LIMIT;
use crate::store::{NewEvent, StoreError, Write};

/// The largest event, in bytes of JSON: four times the largest output, so that one output with its transcript fits.
pub(super) const EVENT_BYTES_LIMIT: usize = 256 * 1024;

/// The most events in one append: a turn of the engine makes a few dozen.
pub(super) const APPEND_LIMIT: usize = 1_000;

/// The largest append, in bytes of JSON: it is held in memory whole and is one transaction.
pub(super) const APPEND_BYTES_LIMIT: usize = 16 * 1024 * 1024;

/// The longest name that an incident is given, in bytes.
pub(super) const NAME_LIMIT: usize = 256;

/// The write with its events encoded, which the store would have to do otherwise.
///
/// # Errors
/// [`StoreError::TooLarge`] with the first limit that is passed. An append that is too large is refused as a whole: here is
/// the place to split it into several.
pub(super) fn checked(mut write: Write) -> Result<Write, StoreError> {
    names(&write)?;
    events(&write)?;
    bytes(&mut write.drafts)?;
    Ok(write)
}

fn names(write: &Write) -> Result<(), StoreError> {
    if write.keys.len() > APPEND_LIMIT || write.keys.iter().any(|name| name.len() > NAME_LIMIT) {
        return Err(StoreError::TooLarge(format!(
            "more than {APPEND_LIMIT} names at once, or one of more than {NAME_LIMIT} bytes, are not taken"
        )));
    }
    Ok(())
}

fn events(write: &Write) -> Result<(), StoreError> {
    let Write { incident, expected, drafts, .. } = write;
    if expected + drafts.len() as u64 > EVENT_LIMIT {
        return Err(StoreError::TooLarge(format!(
            "incident `{incident}` has {expected} events, and {EVENT_LIMIT} are the most that the log takes"
        )));
    }
    if drafts.len() > APPEND_LIMIT {
        return Err(StoreError::TooLarge(format!(
            "{} events at once are more than the {APPEND_LIMIT} that the log takes",
            drafts.len()
        )));
    }
    Ok(())
}

fn bytes(drafts: &mut [NewEvent]) -> Result<(), StoreError> {
    let mut all = 0;
    for draft in drafts {
        let one = draft.encode()?;
        if one > EVENT_BYTES_LIMIT {
            return Err(StoreError::TooLarge(format!(
                "an event of {one} bytes is larger than the {EVENT_BYTES_LIMIT} that the log takes"
            )));
        }
        all += one;
    }
    if all > APPEND_BYTES_LIMIT {
        return Err(StoreError::TooLarge(format!(
            "{all} bytes of events at once are more than the {APPEND_BYTES_LIMIT} that the log takes"
        )));
    }
    Ok(())
}
