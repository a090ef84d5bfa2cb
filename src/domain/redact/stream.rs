//! Redaction of bytes that arrive in pieces, such as the output of a child process.
//!
//! **Invariant:** no byte is returned while it may be a part of a secret. There are two exceptions: the last characters of a complete
//! line, fewer than any secret has, because a person may wait for the line; and everything buffered when it exceeds [`BUFFER`].

use std::sync::Arc;

use super::{Inner, SHORTEST_SECRET};

/// The most bytes that are buffered. A secret that is longer than this in the text, because of white space or escapes, is not found.
const BUFFER: usize = 256 * 1024;

/// Redacts a stream; made by [`super::Redactor::stream`].
pub struct RedactStream {
    inner: Option<Arc<Inner>>,
    /// The end of the stream so far, from where it may be a part of a secret.
    buffer: Vec<u8>,
    /// The number of bytes of the buffer that were returned already, with the line that they end.
    returned: usize,
}

impl RedactStream {
    pub(super) fn new(inner: Option<Arc<Inner>>) -> Self {
        Self { inner, buffer: Vec::new(), returned: 0 }
    }

    /// Takes the next bytes and returns those that are settled, redacted.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<u8> {
        let Some(inner) = &self.inner else {
            return bytes.to_vec();
        };
        self.buffer.extend_from_slice(bytes);
        let mut scan = inner.scan(&self.buffer, true);
        // A redaction is returned whole or stays in the buffer whole.
        let end = scan.settled;
        let across = scan.found.iter().find(|f| f.range.start < end && end < f.range.end);
        let mut rest_from = across.map_or(end, |found| found.range.start);
        if self.buffer.len() - rest_from > BUFFER {
            rest_from = self.buffer.len();
        }
        // The end of a complete line is returned too if it is shorter than any secret.
        let line_ends = self.buffer.ends_with(b"\n") && scan.pending < SHORTEST_SECRET;
        let return_to = if line_ends && across.is_none() { self.buffer.len() } else { rest_from };
        scan.found.retain(|found| found.range.end <= return_to);
        let return_from = self.returned.min(return_to);
        let redacted = inner.redacted(&self.buffer[..return_to], return_from, &scan.found);
        self.returned = return_to.max(self.returned) - rest_from;
        self.buffer.drain(..rest_from);
        redacted
    }

    /// Ends the stream and returns the rest of the buffer.
    pub fn finish(self) -> Vec<u8> {
        let Some(inner) = &self.inner else {
            return Vec::new();
        };
        inner.redacted(&self.buffer, self.returned, &inner.scan(&self.buffer, false).found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::redact::Redactor;

    #[test]
    fn the_buffer_is_limited() {
        const PIECE: usize = 64 * 1024;
        let redactor = Redactor::new([("db", "aaaaaaaa")]).expect("the secret is long enough");
        let mut stream = redactor.stream();
        let mut returned = stream.push(&[b'a'; 5]).len();
        for _ in 0..10 {
            returned += stream.push(&[b' '; PIECE]).len();
            assert!(stream.buffer.len() <= BUFFER);
        }
        assert!(returned > 0);
    }
}
