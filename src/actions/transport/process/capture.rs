//! Keeps the beginning and the end of a child's output, redacted, and reports live lines to viewers.
//!
//! **Invariant:** output is redacted before it is cut, memory is bounded, and every line is printable: no control
//! sequence of a child reaches a terminal or the log.

use crate::actions::{Context, Progress};
use crate::domain::core::text;
use crate::domain::redact::RedactStream;

/// Bytes kept of the beginning of each stream, and as many of the end.
pub const HALF_LIMIT: usize = 32 * 1024;

/// Bytes after which a longer line is shown in pieces.
const LIVE_LINE: usize = 4 * 1024;

/// The stream that a child wrote to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChildStream {
    Stdout,
    Stderr,
}

/// Receives a child's output as it arrives.
pub trait Sink {
    /// Receives the next bytes of a stream.
    fn take(&mut self, source: ChildStream, bytes: &[u8]);
}

/// Keeps both streams, and a transcript of their lines in order of arrival.
pub struct Capture {
    stdout: Stream,
    stderr: Stream,
    transcript: HeadAndTail,
    progress: Progress,
}

struct Stream {
    scrubber: Option<RedactStream>,
    kept: HeadAndTail,
    line: Vec<u8>,
}

impl Capture {
    /// Redacts and reports lines with the context's redactor and progress receiver.
    pub fn new(context: &Context) -> Self {
        Self::keeping(HALF_LIMIT, context)
    }

    /// As [`Capture::new`], but keeps `each` bytes of the beginning and of the end of each stream.
    pub fn keeping(each: usize, context: &Context) -> Self {
        let stream =
            || Stream { scrubber: Some(context.redactor.stream()), kept: HeadAndTail::new(each), line: Vec::new() };
        let (stdout, stderr) = (stream(), stream());
        Self { stdout, stderr, transcript: HeadAndTail::new(HALF_LIMIT), progress: context.progress.clone() }
    }

    /// Ends both streams. Adds the bytes that the redactor has held back.
    pub fn finish(&mut self) {
        for source in [ChildStream::Stdout, ChildStream::Stderr] {
            let rest = self.stream(source).scrubber.take().map(RedactStream::finish).unwrap_or_default();
            self.keep(source, &rest);
            let line = std::mem::take(&mut self.stream(source).line);
            if !line.is_empty() {
                self.emit_line(&line);
            }
        }
    }

    /// Standard output, with a cut mark if it was longer than is kept. It may contain control characters.
    pub fn stdout(&self) -> String {
        self.stdout.kept.text()
    }

    /// Standard error, with a cut mark if it was longer than is kept. It may contain control characters.
    pub fn stderr(&self) -> String {
        self.stderr.kept.text()
    }

    /// Whether all of standard output was kept.
    pub fn is_whole(&self) -> bool {
        self.stdout.kept.missing() == 0
    }

    /// The lines of both streams in order of arrival, printable, with a cut mark if there were more.
    pub fn transcript(&self) -> String {
        self.transcript.text()
    }

    fn stream(&mut self, source: ChildStream) -> &mut Stream {
        match source {
            ChildStream::Stdout => &mut self.stdout,
            ChildStream::Stderr => &mut self.stderr,
        }
    }

    fn keep(&mut self, source: ChildStream, scrubbed: &[u8]) {
        let stream = self.stream(source);
        stream.kept.push(scrubbed);
        for piece in scrubbed.split_inclusive(|&byte| byte == b'\n') {
            let stream = self.stream(source);
            stream.line.extend_from_slice(piece);
            if piece.ends_with(b"\n") || stream.line.len() >= LIVE_LINE {
                let line = std::mem::take(&mut stream.line);
                self.emit_line(&line);
            }
        }
    }

    fn emit_line(&mut self, line: &[u8]) {
        let line = String::from_utf8_lossy(line);
        let shown = text::printable(line.trim_end_matches(['\n', '\r']));
        self.transcript.push(shown.as_bytes());
        self.transcript.push(b"\n");
        self.progress.line(&shown);
    }
}

impl Sink for Capture {
    fn take(&mut self, source: ChildStream, bytes: &[u8]) {
        if let Some(scrubber) = &mut self.stream(source).scrubber {
            let scrubbed = scrubber.push(bytes);
            self.keep(source, &scrubbed);
        }
    }
}

/// The beginning and the end of a byte stream of any length.
pub struct HeadAndTail {
    each: usize,
    head: Vec<u8>,
    /// Up to twice as many bytes as are kept, so that it is rarely moved.
    tail: Vec<u8>,
    total: u64,
}

impl HeadAndTail {
    /// Keeps `each` bytes of the beginning and as many of the end.
    pub fn new(each: usize) -> Self {
        Self { each, head: Vec::new(), tail: Vec::new(), total: 0 }
    }

    /// Appends bytes, and drops those between the beginning and the end.
    pub fn push(&mut self, bytes: &[u8]) {
        self.total += bytes.len() as u64;
        let into_head = bytes.len().min(self.each - self.head.len());
        self.head.extend_from_slice(&bytes[..into_head]);
        let rest = &bytes[into_head..];
        self.tail.extend_from_slice(&rest[rest.len().saturating_sub(self.each)..]);
        if self.tail.len() > self.each * 2 {
            self.tail.drain(..self.tail.len() - self.each);
        }
    }

    /// Bytes that are not kept.
    pub fn missing(&self) -> u64 {
        self.total - self.head.len() as u64 - self.last().len() as u64
    }

    /// The kept text, with a cut mark if bytes are missing. A character is never cut in half.
    pub fn text(&self) -> String {
        let (mut head, mut tail) = (self.head.as_slice(), self.last());
        if self.missing() == 0 {
            return String::from_utf8_lossy(&[head, tail].concat()).into_owned();
        }
        if let Err(broken) = std::str::from_utf8(head)
            && broken.error_len().is_none()
        {
            head = &head[..broken.valid_up_to()];
        }
        // Continuation bytes at the beginning belong to a character that was cut; a character has at most three.
        let continuation = tail.iter().take(3).take_while(|&&byte| byte & 0b1100_0000 == 0b1000_0000).count();
        tail = &tail[continuation..];
        let missing = self.total - (head.len() + tail.len()) as u64;
        text::joined_around_cut(&String::from_utf8_lossy(head), missing, &String::from_utf8_lossy(tail))
    }

    fn last(&self) -> &[u8] {
        &self.tail[self.tail.len().saturating_sub(self.each)..]
    }
}
