//! Tells what a program on another host prints from what the far side reports about it.
//!
//! What comes before [`BEGIN`] on either stream was printed by login scripts, and is dropped. Behind it, standard error holds reports: a
//! word made by chance, and what has happened, on a line.
//!
//! Deliberately absent: what becomes of the output.

use super::remote_supervisor::BEGIN;
use crate::actions::transport::process::capture::{ChildStream, Sink};

/// Bytes kept of the output of login scripts, to explain a session that does not begin.
const NOISE: usize = 16 * 1024;

/// The longest report in bytes; one may hold a `PATH`.
const REPORT: usize = 4 * 1024;

/// The end of the program, as the remote supervisor reports it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RemoteExit {
    /// It ended by itself with this code; whether it left processes running.
    Code(i32, bool),
    /// The supervisor ended it.
    Halted,
    /// No such program in this `PATH`.
    Missing(String),
    /// The directory does not exist.
    NoDirectory,
}

/// Passes on the program's output and removes the reports from it.
pub(crate) struct FrameReader<'s> {
    inner: &'s mut (dyn Sink + Send),
    tag: Vec<u8>,
    stdout: Front,
    stderr: Front,
    /// The end of standard error that may begin a report, or an incomplete report.
    held: Vec<u8>,
    pub(crate) report: Option<RemoteExit>,
}

/// What arrived on a stream before [`BEGIN`].
#[derive(Default)]
struct Front {
    noise: Vec<u8>,
    begun: bool,
}

impl Front {
    /// The bytes after [`BEGIN`].
    fn behind<'b>(&'b mut self, bytes: &'b [u8]) -> &'b [u8] {
        if self.begun {
            return bytes;
        }
        self.noise.extend_from_slice(bytes);
        let line = format!("{BEGIN}\n");
        match find(&self.noise, line.as_bytes()) {
            Some(at) => {
                self.begun = true;
                let rest = at + line.len();
                &self.noise[rest..]
            }
            None => {
                let surplus = self.noise.len().saturating_sub(NOISE);
                self.noise.drain(..surplus);
                &[]
            }
        }
    }
}

impl<'s> FrameReader<'s> {
    /// Passes output to `inner`; `tag` is the random tag of reports.
    pub(crate) fn new(tag: &str, inner: &'s mut (dyn Sink + Send)) -> Self {
        let tag = format!("{tag} ").into_bytes();
        Self { inner, tag, stdout: Front::default(), stderr: Front::default(), held: Vec::new(), report: None }
    }

    /// Whether the supervisor is ready for the script.
    pub(crate) fn begun(&self) -> bool {
        self.stdout.begun && self.stderr.begun
    }

    /// What ssh or the remote host printed instead of beginning.
    pub(crate) fn complaint(&self) -> String {
        String::from_utf8_lossy(&self.stderr.noise).into_owned()
    }

    /// Passes on the bytes that were held back; called when no more output comes.
    pub(crate) fn finish(&mut self) {
        if self.report.is_none() {
            let held = std::mem::take(&mut self.held);
            self.inner.take(ChildStream::Stderr, &held);
        }
    }

    fn stderr(&mut self, bytes: &[u8]) {
        // After the report, only processes left running still print.
        if self.report.is_some() {
            return;
        }
        self.held.extend_from_slice(bytes);
        let Some(at) = find(&self.held, &self.tag) else {
            let free = self.held.len() - overlap(&self.held, &self.tag);
            let free: Vec<u8> = self.held.drain(..free).collect();
            return self.inner.take(ChildStream::Stderr, &free);
        };
        let rest = &self.held[at + self.tag.len()..];
        let end = rest.iter().position(|&byte| byte == b'\n').or((rest.len() > REPORT).then_some(REPORT));
        if let Some(end) = end {
            self.report = Some(read(&String::from_utf8_lossy(&rest[..end])));
            self.held.truncate(at);
            let held = std::mem::take(&mut self.held);
            self.inner.take(ChildStream::Stderr, &held);
        }
    }
}

impl Sink for FrameReader<'_> {
    fn take(&mut self, source: ChildStream, bytes: &[u8]) {
        match source {
            ChildStream::Stdout => {
                let behind = self.stdout.behind(bytes);
                self.inner.take(ChildStream::Stdout, behind);
            }
            ChildStream::Stderr => {
                let behind = self.stderr.behind(bytes).to_vec();
                self.stderr(&behind);
            }
        }
    }
}

fn read(words: &str) -> RemoteExit {
    let (word, rest) = words.split_once(' ').unwrap_or((words, ""));
    match word {
        "code" => {
            let (code, left) = rest.split_once(' ').unwrap_or((rest, ""));
            RemoteExit::Code(code.parse().unwrap_or(-1), left == "1")
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
    struct Kept(Vec<u8>, Vec<u8>);

    impl Sink for Kept {
        fn take(&mut self, source: ChildStream, bytes: &[u8]) {
            if source == ChildStream::Stdout { self.0.extend(bytes) } else { self.1.extend(bytes) }
        }
    }

    #[test]
    fn however_the_streams_are_cut_the_program_and_the_report_are_told_apart() {
        let stdout = b"Welcome!\nrunbook:begin\nrunbook:begin\nout";
        let stderr = b"motd\nrunbook:begin\nerr 4f 4f2 4f2acode 0\n4f2a code 7 1\nlater";
        for size in 1..stderr.len() {
            let mut kept = Kept::default();
            let mut frame = FrameReader::new("4f2a", &mut kept);
            stdout.chunks(size).for_each(|piece| frame.take(ChildStream::Stdout, piece));
            stderr.chunks(size).for_each(|piece| frame.take(ChildStream::Stderr, piece));
            frame.finish();
            assert_eq!((frame.begun(), frame.report.clone()), (true, Some(RemoteExit::Code(7, true))), "{size}");
            assert_eq!(String::from_utf8_lossy(&kept.0), "runbook:begin\nout");
            assert_eq!(String::from_utf8_lossy(&kept.1), "err 4f 4f2 4f2acode 0\n");
        }
    }

    #[test]
    fn what_was_held_back_is_not_lost_when_no_report_comes() {
        let mut kept = Kept::default();
        let mut frame = FrameReader::new("4f2a", &mut kept);
        frame.take(ChildStream::Stderr, b"runbook:begin\nabc 4f2");
        frame.finish();
        assert_eq!((frame.report.clone(), String::from_utf8_lossy(&kept.1).as_ref()), (None, "abc 4f2"));
    }

    #[test]
    fn a_login_shell_that_refuses_is_heard() {
        let mut kept = Kept::default();
        let mut frame = FrameReader::new("4f2a", &mut kept);
        frame.take(ChildStream::Stderr, b"This account is currently not available.\n");
        assert!(!frame.begun() && frame.complaint().contains("not available"));
        assert!(kept.1.is_empty());
    }
}
