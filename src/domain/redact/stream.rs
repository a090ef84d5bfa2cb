//! Scrubbing of bytes that arrive piece by piece, as from a child's output. Deliberately absent:
//! reading; whoever reads pushes.
//!
//! **Invariant:** nothing leaves that could still turn out to be part of a secret, except the
//! last few characters of a complete line (fewer than any secret has), for which a person may
//! be waiting, and what exceeds the memory set aside for waiting.

use std::sync::Arc;

use super::{Inner, SHORTEST_SECRET};

/// The most that is held back while it may become a secret. A secret that is stretched over
/// more than this, by white space or by escapes within escapes, is not found.
const HELD_BACK: usize = 256 * 1024;

/// Scrubs a stream; made by [`super::Redactor::stream`].
pub struct RedactStream {
    inner: Option<Arc<Inner>>,
    /// The end of what was pushed, as far as it may be part of a secret.
    held: Vec<u8>,
    /// How much of that was given out already.
    given: usize,
}

impl RedactStream {
    pub(super) fn new(inner: Option<Arc<Inner>>) -> Self {
        Self { inner, held: Vec::new(), given: 0 }
    }

    /// Takes the next bytes and gives those that are settled.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<u8> {
        let Some(inner) = &self.inner else {
            return bytes.to_vec();
        };
        self.held.extend_from_slice(bytes);
        let mut scan = inner.scan(&self.held, true);
        // What was found is given out whole or held whole.
        let end = scan.settled;
        let across = scan.found.iter().find(|f| f.range.start < end && end < f.range.end);
        let mut kept_from = across.map_or(end, |found| found.range.start);
        if self.held.len() - kept_from > HELD_BACK {
            kept_from = self.held.len();
        }
        // Fewer characters than any secret has tell nothing; a person may wait for the line.
        let line_ends = self.held.ends_with(b"\n") && scan.pending < SHORTEST_SECRET;
        let give_to = if line_ends && across.is_none() { self.held.len() } else { kept_from };
        scan.found.retain(|found| found.range.end <= give_to);
        let given = self.given.min(give_to);
        let scrubbed = inner.written(&self.held[..give_to], given, &scan.found);
        self.given = give_to.max(self.given) - kept_from;
        self.held.drain(..kept_from);
        scrubbed
    }

    /// Ends the stream and gives what was held back.
    pub fn finish(self) -> Vec<u8> {
        let Some(inner) = &self.inner else {
            return Vec::new();
        };
        inner.written(&self.held, self.given, &inner.scan(&self.held, false).found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::redact::Redactor;

    #[test]
    fn what_is_held_back_is_bounded() {
        const PIECE: usize = 64 * 1024;
        let redactor = Redactor::new([("db", "aaaaaaaa")]).expect("the secret is long enough");
        let mut stream = redactor.stream();
        let mut given = stream.push(&[b'a'; 5]).len();
        for _ in 0..10 {
            given += stream.push(&[b' '; PIECE]).len();
            assert!(stream.held.len() <= HELD_BACK);
        }
        assert!(given > 0);
    }
}
