//! Separates the output of a remote program from the reports of the remote supervisor.
//!
//! Everything before [`BEGIN`] on either stream comes from login scripts and is dropped. After it, standard error may
//! hold a report: one line that starts with a random tag.

use super::remote_supervisor::BEGIN;
use crate::actions::transport::process::capture::{ChildStream, Sink};

/// Maximum bytes of login-script output that are kept; they explain why a session does not begin.
const PREFACE_LIMIT: usize = 16 * 1024;

/// The longest report in bytes; one may hold a `PATH`.
const REPORT_LIMIT: usize = 4 * 1024;

/// The exit of the program, as the remote supervisor reports it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RemoteExit {
    /// It ended by itself with this code, and whether processes of its group still run.
    Code(i32, bool),
    /// The supervisor ended it.
    Halted,
    /// No such program in this `PATH`.
    Missing(String),
    /// The directory does not exist.
    NoDirectory,
}

/// Passes the program's output to another sink, without the reports.
pub(crate) struct FrameReader<'s> {
    inner: &'s mut (dyn Sink + Send),
    tag: Vec<u8>,
    stdout: Preface,
    stderr: Preface,
    /// The end of standard error that may begin a report, or an incomplete report.
    pending: Vec<u8>,
    pub(crate) report: Option<RemoteExit>,
}

/// The output of a stream before [`BEGIN`].
#[derive(Default)]
struct Preface {
    bytes: Vec<u8>,
    begun: bool,
}

impl Preface {
    /// Takes further output. Returns the part after [`BEGIN`].
    fn push<'b>(&'b mut self, bytes: &'b [u8]) -> &'b [u8] {
        if self.begun {
            return bytes;
        }
        self.bytes.extend_from_slice(bytes);
        let line = format!("{BEGIN}\n");
        match find(&self.bytes, line.as_bytes()) {
            Some(at) => {
                self.begun = true;
                let rest = at + line.len();
                &self.bytes[rest..]
            }
            None => {
                let surplus = self.bytes.len().saturating_sub(PREFACE_LIMIT);
                self.bytes.drain(..surplus);
                &[]
            }
        }
    }
}

impl<'s> FrameReader<'s> {
    /// Passes output to `inner`; `tag` is the random tag of reports.
    pub(crate) fn new(tag: &str, inner: &'s mut (dyn Sink + Send)) -> Self {
        let tag = format!("{tag} ").into_bytes();
        Self { inner, tag, stdout: Preface::default(), stderr: Preface::default(), pending: Vec::new(), report: None }
    }

    /// Whether the supervisor is ready for the script.
    pub(crate) fn begun(&self) -> bool {
        self.stdout.begun && self.stderr.begun
    }

    /// Standard error before [`BEGIN`], which explains why the session did not begin.
    pub(crate) fn preface(&self) -> String {
        String::from_utf8_lossy(&self.stderr.bytes).into_owned()
    }

    /// Passes on the pending bytes. Called when no more output comes.
    pub(crate) fn finish(&mut self) {
        if self.report.is_none() {
            let pending = std::mem::take(&mut self.pending);
            self.inner.take(ChildStream::Stderr, &pending);
        }
    }

    fn stderr(&mut self, bytes: &[u8]) {
        // After the report, only background processes still print.
        if self.report.is_some() {
            return;
        }
        self.pending.extend_from_slice(bytes);
        let Some(at) = find(&self.pending, &self.tag) else {
            let length = self.pending.len() - overlap(&self.pending, &self.tag);
            let output: Vec<u8> = self.pending.drain(..length).collect();
            return self.inner.take(ChildStream::Stderr, &output);
        };
        let rest = &self.pending[at + self.tag.len()..];
        let end = rest.iter().position(|&byte| byte == b'\n').or((rest.len() > REPORT_LIMIT).then_some(REPORT_LIMIT));
        if let Some(end) = end {
            self.report = Some(parse(&String::from_utf8_lossy(&rest[..end])));
            self.pending.truncate(at);
            let pending = std::mem::take(&mut self.pending);
            self.inner.take(ChildStream::Stderr, &pending);
        }
    }
}

impl Sink for FrameReader<'_> {
    fn take(&mut self, source: ChildStream, bytes: &[u8]) {
        match source {
            ChildStream::Stdout => {
                let output = self.stdout.push(bytes);
                self.inner.take(ChildStream::Stdout, output);
            }
            ChildStream::Stderr => {
                let output = self.stderr.push(bytes).to_vec();
                self.stderr(&output);
            }
        }
    }
}

/// Parses a report without its tag: a code and its parameters, as [`remote_supervisor`](super::remote_supervisor) writes
/// them.
fn parse(report: &str) -> RemoteExit {
    let (code, rest) = report.split_once(' ').unwrap_or((report, ""));
    match code {
        "code" => {
            let (exit_code, left_behind) = rest.split_once(' ').unwrap_or((rest, ""));
            RemoteExit::Code(exit_code.parse().unwrap_or(-1), left_behind == "1")
        }
        "missing" => RemoteExit::Missing(rest.to_owned()),
        "directory" => RemoteExit::NoDirectory,
        _ => RemoteExit::Halted,
    }
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

/// How many bytes at the end may be the beginning of `wanted`.
fn overlap(bytes: &[u8], wanted: &[u8]) -> usize {
    (1..wanted.len().min(bytes.len() + 1)).rev().find(|&length| bytes.ends_with(&wanted[..length])).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Streams(Vec<u8>, Vec<u8>);

    impl Sink for Streams {
        fn take(&mut self, source: ChildStream, bytes: &[u8]) {
            if source == ChildStream::Stdout { self.0.extend(bytes) } else { self.1.extend(bytes) }
        }
    }

    #[test]
    fn output_and_report_are_separated_at_any_boundary_of_reads() {
        let stdout = b"Welcome!\nrunbook:begin\nrunbook:begin\nout";
        let stderr = b"motd\nrunbook:begin\nerr 4f 4f2 4f2acode 0\n4f2a code 7 1\nlater";
        for size in 1..stderr.len() {
            let mut streams = Streams::default();
            let mut frame = FrameReader::new("4f2a", &mut streams);
            stdout.chunks(size).for_each(|piece| frame.take(ChildStream::Stdout, piece));
            stderr.chunks(size).for_each(|piece| frame.take(ChildStream::Stderr, piece));
            frame.finish();
            assert_eq!((frame.begun(), frame.report.clone()), (true, Some(RemoteExit::Code(7, true))), "{size}");
            assert_eq!(String::from_utf8_lossy(&streams.0), "runbook:begin\nout");
            assert_eq!(String::from_utf8_lossy(&streams.1), "err 4f 4f2 4f2acode 0\n");
        }
    }

    #[test]
    fn pending_output_is_not_lost_if_no_report_comes() {
        let mut streams = Streams::default();
        let mut frame = FrameReader::new("4f2a", &mut streams);
        frame.take(ChildStream::Stderr, b"runbook:begin\nabc 4f2");
        frame.finish();
        assert_eq!((frame.report.clone(), String::from_utf8_lossy(&streams.1).as_ref()), (None, "abc 4f2"));
    }

    #[test]
    fn the_message_of_a_refusing_login_shell_is_in_the_preface() {
        let mut streams = Streams::default();
        let mut frame = FrameReader::new("4f2a", &mut streams);
        frame.take(ChildStream::Stderr, b"This account is currently not available.\n");
        assert!(!frame.begun() && frame.preface().contains("not available"));
        assert!(streams.1.is_empty());
    }
}
