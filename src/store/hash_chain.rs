//! The hash chain: each event's hash covers the previous hash, so an edited, lost or swapped event is detected.
//!
//! Pure functions over stored bytes. The chain detects accidents and manual edits, not an attacker who can recompute
//! every later hash.
//!
//! **Invariant:** each field is preceded by its length, so different events never hash the same bytes.

use sha2::{Digest, Sha256};

/// A SHA-256 hash of 32 bytes.
pub type Hash = [u8; 32];

/// The previous hash of the first event.
pub const START: Hash = [0; 32];

/// Separates the hashes of events from those of rows, and this format from later ones.
const EVENT_DOMAIN: &[u8] = b"runbook event 1";
/// As [`EVENT_DOMAIN`], for rows.
const ROW_DOMAIN: &[u8] = b"runbook row 1";

/// An event as stored bytes.
#[derive(Debug, Clone, Copy)]
pub struct Stored<'a> {
    pub incident: &'a str,
    pub seq: u64,
    /// The instant as written.
    pub at: &'a [u8],
    /// Actor and event as written.
    pub body: &'a [u8],
}

/// The hash of an event, given the hash of the event before it.
pub fn hash(previous: &Hash, event: Stored<'_>) -> Hash {
    let fields = [EVENT_DOMAIN, previous, event.incident.as_bytes(), &event.seq.to_be_bytes(), event.at, event.body];
    framed(&fields)
}

/// A checksum over a row outside the chain, such as a stream's head.
pub fn seal(fields: &[&[u8]]) -> Hash {
    let mut all = Vec::with_capacity(fields.len() + 1);
    all.push(ROW_DOMAIN);
    all.extend_from_slice(fields);
    framed(&all)
}

/// Hashes the fields, each after its length.
fn framed(fields: &[&[u8]]) -> Hash {
    let mut hasher = Sha256::new();
    for field in fields {
        hasher.update((field.len() as u64).to_be_bytes());
        hasher.update(field);
    }
    hasher.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVENT: Stored<'_> =
        Stored { incident: "lusab-fidok", seq: 7, at: b"2026-11-22T03:04:05Z", body: b"{\"by\":1,\"event\":2}" };

    #[test]
    fn the_chain_of_a_released_format_never_changes() {
        assert_eq!(
            hex::encode(hash(&START, EVENT)),
            "c84446320ace17749a149e80e73c3196c1a81e176c3c5b5cf056c673056229ed"
        );
    }

    #[test]
    fn a_change_of_any_field_changes_the_hash() {
        let good = hash(&START, EVENT);
        assert_ne!(good, hash(&[1; 32], EVENT));
        assert_ne!(good, hash(&START, Stored { incident: "lusab-fidoj", ..EVENT }));
        assert_ne!(good, hash(&START, Stored { seq: 8, ..EVENT }));
        assert_ne!(good, hash(&START, Stored { at: b"2026-11-22T03:04:06Z", ..EVENT }));
        assert_ne!(good, hash(&START, Stored { body: b"{}", ..EVENT }));
    }

    #[test]
    fn bytes_that_move_to_another_field_change_the_hash() {
        let one = Stored { at: b"ab", body: b"c", ..EVENT };
        let other = Stored { at: b"a", body: b"bc", ..EVENT };
        assert_ne!(hash(&START, one), hash(&START, other));
        assert_ne!(seal(&[b"ab", b"c"]), seal(&[b"a", b"bc"]));
        assert_ne!(seal(&[b"ab"]), seal(&[b"ab", b""]));
    }
}
