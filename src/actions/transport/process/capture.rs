//! What is kept of a child's output: the beginning and the end, scrubbed, and live lines for who watches.
//!
//! **Invariant:** scrubbing comes first, then cutting; memory is bounded whatever the child prints.
//!
//! **Invariant:** what leaves as text is printable: no control sequence of a child reaches a terminal or the log.

use crate::actions::{Context, Progress};
use crate::domain::core::text;
use crate::domain::redact::RedactStream;

/// What is kept of each stream's beginning, in bytes, and as much of its end.
pub const KEPT: usize = 32 * 1024;

/// A longer line is shown in pieces of this many bytes.
const LIVE_LINE: usize = 4 * 1024;

/// Which of its streams a child wrote to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// Where a child's output goes as it comes.
pub trait Sink {
    /// Takes the next bytes of a stream.
    fn take(&mut self, source: Source, bytes: &[u8]);
}

/// Keeps both streams, and a transcript of both in the order in which lines came.
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
    /// A capture that scrubs and shows lines as the context says.
    pub fn new(context: &Context) -> Self {
        Self::keeping(KEPT, context)
    }

    /// A capture that keeps so many bytes of the beginning and the end of each stream.
    pub fn keeping(each: usize, context: &Context) -> Self {
        let stream =
            || Stream { scrubber: Some(context.redactor.stream()), kept: HeadAndTail::new(each), line: Vec::new() };
        let (stdout, stderr) = (stream(), stream());
        Self { stdout, stderr, transcript: HeadAndTail::new(KEPT), progress: context.progress.clone() }
    }

    /// Ends both streams: what was held back is let go.
    pub fn finish(&mut self) {
        for source in [Source::Stdout, Source::Stderr] {
            let rest = self.stream(source).scrubber.take().map(RedactStream::finish).unwrap_or_default();
            self.keep(source, &rest);
            let line = std::mem::take(&mut self.stream(source).line);
            if !line.is_empty() {
                self.emit_line(&line);
            }
        }
    }

    /// Standard output, with a visible cut if it was longer than is kept. Control characters are still in it.
    pub fn stdout(&self) -> String {
        self.stdout.kept.text()
    }

    /// Standard error, likewise.
    pub fn stderr(&self) -> String {
        self.stderr.kept.text()
    }

    /// Whether all of standard output was kept.
    pub fn is_whole(&self) -> bool {
        self.stdout.kept.missing() == 0
    }

    /// The lines of both streams in the order in which they came, printable.
    pub fn transcript(&self) -> String {
        self.transcript.text()
    }

    fn stream(&mut self, source: Source) -> &mut Stream {
        match source {
            Source::Stdout => &mut self.stdout,
            Source::Stderr => &mut self.stderr,
        }
    }

    fn keep(&mut self, source: Source, scrubbed: &[u8]) {
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
    fn take(&mut self, source: Source, bytes: &[u8]) {
        if let Some(scrubber) = &mut self.stream(source).scrubber {
            let scrubbed = scrubber.push(bytes);
            self.keep(source, &scrubbed);
        }
    }
}

/// The beginning and the end of any number of bytes.
pub struct HeadAndTail {
    each: usize,
    head: Vec<u8>,
    /// At most twice as long as what is kept of the end, so that moving it costs little a byte.
    tail: Vec<u8>,
    total: u64,
}

impl HeadAndTail {
    /// Keeps `each` bytes of the beginning and as many of the end.
    pub fn new(each: usize) -> Self {
        Self { each, head: Vec::new(), tail: Vec::new(), total: 0 }
    }

    /// Takes the next bytes.
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

    /// How many bytes are not kept.
    pub fn missing(&self) -> u64 {
        self.total - self.head.len() as u64 - self.last().len() as u64
    }

    /// What is kept, with a visible cut where something is missing, and nothing cut inside a character.
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
        // A character has at most three bytes that continue it.
        let inside = tail.iter().take(3).take_while(|&&byte| byte & 0b1100_0000 == 0b1000_0000).count();
        tail = &tail[inside..];
        let missing = self.total - (head.len() + tail.len()) as u64;
        text::joined_around_cut(&String::from_utf8_lossy(head), missing, &String::from_utf8_lossy(tail))
    }

    fn last(&self) -> &[u8] {
        &self.tail[self.tail.len().saturating_sub(self.each)..]
    }
}
