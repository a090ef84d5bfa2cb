//! A running child: its pipes, its exit, and how it is stopped.
//!
//! **Invariant:** dropping the value at any moment kills the child and its descendants.

use std::io::{self, PipeReader, PipeWriter};
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Stdio};
use std::time::Duration;

use rustix::buffer::spare_capacity;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncWriteExt, Interest};
use tokio::net::unix::pipe::{Receiver, Sender};

use super::capture::{ChildStream, Sink};
use super::descendants::{ProcessMark, ProcessTree};
use super::{ChildExit, Ending};

/// How long output is read after the child ended, while background processes hold the pipes. All output of the child is in
/// the pipes already.
const LINGER: Duration = Duration::from_millis(500);

/// How long to wait for the end of a killed process. It takes longer only if the kernel waits for a device.
const KILL_TIMEOUT: Duration = Duration::from_secs(2);

/// Bytes per read: the size of a pipe's buffer.
const PIPE_BUFFER: usize = 64 * 1024;

pub(crate) struct RunningChild {
    /// `None` after it was reaped or moved to a thread that waits for it.
    child: Option<Child>,
    tree: ProcessTree,
    /// A descriptor of the process, readable when it has ended.
    exit: AsyncFd<OwnedFd>,
    stdout: Pipe,
    stderr: Pipe,
    stdin: Option<Input>,
    /// The bytes of the last read.
    buffer: Vec<u8>,
}

/// Both ends of the pipes that a child writes to.
///
/// The write ends are kept open until the child has ended. Otherwise each pipe that the child closes would cause one more
/// wake-up.
pub(super) struct Outlets {
    stdout: (PipeReader, PipeWriter),
    stderr: (PipeReader, PipeWriter),
}

/// The read end of a pipe while it is open, and the write end that we keep.
struct Pipe(Option<Receiver>, Option<PipeWriter>);

enum ChildEvent {
    /// Input or output was moved.
    Moved,
    /// The child has ended.
    Exited,
    /// Both pipes are at their end.
    Drained,
}

impl Outlets {
    pub(super) fn open() -> io::Result<Self> {
        Ok(Self { stdout: io::pipe()?, stderr: io::pipe()? })
    }

    /// The child's standard output and standard error.
    pub(super) fn for_child(&self) -> io::Result<(Stdio, Stdio)> {
        Ok((self.stdout.1.try_clone()?.into(), self.stderr.1.try_clone()?.into()))
    }
}

impl RunningChild {
    pub(super) fn new(
        mut child: Child,
        mark: Option<ProcessMark>,
        outlets: Outlets,
        input: Option<Vec<u8>>,
    ) -> io::Result<Self> {
        let pid = Pid::from_child(&child);
        let tree = ProcessTree::new(pid, mark);
        let made = ChildParts::of(&mut child, pid, outlets, input);
        let ChildParts { exit, stdout, stderr, stdin } = made.inspect_err(|_| drop(tree.kill()))?;
        Ok(Self { child: Some(child), tree, exit, stdout, stderr, stdin, buffer: Vec::new() })
    }

    /// Keeps the child's standard input open after all input has been written.
    pub(crate) fn keep_input_open(&mut self) {
        if let Some(input) = &mut self.stdin {
            input.stays_open = true;
        }
    }

    /// Gives further input to a standard input that is kept open. Call it only after the previous input was written.
    pub(crate) fn give(&mut self, bytes: Vec<u8>) {
        if let Some(input) = &mut self.stdin {
            (input.bytes, input.written) = (bytes, 0);
        }
    }

    pub(crate) fn close_input(&mut self) {
        self.stdin = None;
    }

    /// Moves some data. Returns whether the child has ended.
    pub(crate) async fn flow(&mut self, sink: &mut (dyn Sink + Send)) -> bool {
        matches!(self.next(sink, true).await, ChildEvent::Exited)
    }

    /// Moves data until the child itself has ended.
    pub(crate) async fn flow_until_exit(&mut self, sink: &mut (dyn Sink + Send)) {
        while !matches!(self.next(sink, true).await, ChildEvent::Exited) {}
    }

    /// Moves data until the child and every process of its tree have ended.
    async fn flow_until_tree_exit(&mut self, sink: &mut (dyn Sink + Send)) {
        self.flow_until_exit(sink).await;
        (self.stdout.1, self.stderr.1) = (None, None);
        loop {
            let running = self.tree.running();
            if running.is_empty() {
                return;
            }
            let flow = async {
                self.flow_until_drained(sink).await;
                std::future::pending::<()>().await;
            };
            tokio::select! {
                () = has_exited(running) => {}
                () = flow => {}
            }
        }
    }

    /// Moves data until both pipes are at their end.
    async fn flow_until_drained(&mut self, sink: &mut (dyn Sink + Send)) {
        while !matches!(self.next(sink, false).await, ChildEvent::Drained) {}
    }

    /// Reads the rest of the output after the child has ended, and returns how it ended.
    pub(crate) async fn ended(mut self, sink: &mut (dyn Sink + Send)) -> ChildExit {
        // Usually both pipes are at their end already and nothing waits.
        self.drain(LINGER, sink).await;
        let status = self.reap();
        let ending = match status.map(|status| (status.code(), status.signal())) {
            Some((Some(code), _)) => Ending::Code(code),
            Some((None, Some(signal))) => Ending::Signal(signal),
            // An ended child always has a status. If other code reaped it, the code is unknown.
            _ => Ending::Code(-1),
        };
        ChildExit { ending, left_behind: self.tree.has_group() }
    }

    /// Sends SIGTERM to the child and its tree, and SIGKILL to those that still run after `grace`.
    pub(crate) async fn stop(mut self, grace: Duration, sink: &mut (dyn Sink + Send)) {
        self.tree.terminate();
        // Real time, not the context's clock, because the child runs in real time.
        let _ = tokio::time::timeout(grace, self.flow_until_tree_exit(sink)).await;
        let killed = self.tree.kill();
        let _ = tokio::time::timeout(KILL_TIMEOUT, has_exited(killed)).await;
        let _ = tokio::time::timeout(KILL_TIMEOUT, self.flow_until_exit(sink)).await;
        self.drain(LINGER, sink).await;
        self.reap();
    }

    /// Reads until both pipes are at their end, for at most `longest`.
    async fn drain(&mut self, longest: Duration, sink: &mut (dyn Sink + Send)) {
        (self.stdout.1, self.stderr.1) = (None, None);
        let drained = async {
            // Output that has arrived needs no waiting, and usually there is no more.
            while self.take(ChildStream::Stdout, sink) + self.take(ChildStream::Stderr, sink) > 0 {
                tokio::task::yield_now().await;
            }
            self.flow_until_drained(sink).await;
        };
        let _ = tokio::time::timeout(longest, drained).await;
    }

    async fn next(&mut self, sink: &mut (dyn Sink + Send), watch_exit: bool) -> ChildEvent {
        if !watch_exit && self.stdout.0.is_none() && self.stderr.0.is_none() {
            return ChildEvent::Drained;
        }
        let source = tokio::select! {
            () = self.stdout.readable(), if self.stdout.0.is_some() => ChildStream::Stdout,
            () = self.stderr.readable(), if self.stderr.0.is_some() => ChildStream::Stderr,
            () = feed(&mut self.stdin), if self.stdin.is_some() => return ChildEvent::Moved,
            _ = self.exit.readable(), if watch_exit => return ChildEvent::Exited,
        };
        if self.take(source, sink) == PIPE_BUFFER {
            // Endless output must not starve the deadline, which the same task polls.
            tokio::task::yield_now().await;
        }
        ChildEvent::Moved
    }

    /// Passes the content of a pipe to the sink. Returns the number of bytes.
    fn take(&mut self, source: ChildStream, sink: &mut (dyn Sink + Send)) -> usize {
        let pipe = if source == ChildStream::Stdout { &mut self.stdout } else { &mut self.stderr };
        let read = pipe.read(&mut self.buffer);
        sink.take(source, &self.buffer);
        read
    }

    /// The child's exit status. This frees its process id.
    fn reap(&mut self) -> Option<std::process::ExitStatus> {
        let status = self.child.as_mut()?.try_wait().ok().flatten()?;
        self.child = None;
        Some(status)
    }
}

impl Drop for RunningChild {
    fn drop(&mut self) {
        if self.child.is_none() {
            return;
        }
        self.tree.kill();
        self.reap();
        if let Some(mut child) = self.child.take() {
            // A killed child takes a moment to end, so a thread reaps it.
            let _ = std::thread::Builder::new().spawn(move || child.wait());
        }
    }
}

impl Pipe {
    fn new((reader, writer): (PipeReader, PipeWriter)) -> io::Result<Self> {
        Ok(Self(Some(Receiver::from_owned_fd(reader.into())?), Some(writer)))
    }

    async fn readable(&self) {
        match &self.0 {
            // The next read returns the error again.
            Some(open) => drop(open.readable().await),
            None => std::future::pending().await,
        }
    }

    /// Reads the pipe's content into `buffer` and returns the number of bytes. Closes the pipe at its end.
    fn read(&mut self, buffer: &mut Vec<u8>) -> usize {
        buffer.clear();
        let Some(open) = &self.0 else {
            return 0;
        };
        buffer.reserve_exact(PIPE_BUFFER);
        let mut read = || rustix::io::read(open, spare_capacity(buffer)).map_err(io::Error::from);
        // If the pipe is empty, the second try through the runtime clears its readiness, so that it waits for more data.
        let read = read().or_else(|_| open.try_io(read));
        match read {
            Ok(read) if read > 0 => read,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            _ => {
                self.0 = None;
                0
            }
        }
    }
}

struct ChildParts {
    exit: AsyncFd<OwnedFd>,
    stdout: Pipe,
    stderr: Pipe,
    stdin: Option<Input>,
}

/// The child's standard input.
struct Input {
    pipe: Sender,
    bytes: Vec<u8>,
    written: usize,
    /// Whether the pipe stays open after the last byte.
    stays_open: bool,
}

impl ChildParts {
    fn of(child: &mut Child, pid: Pid, outlets: Outlets, input: Option<Vec<u8>>) -> io::Result<Self> {
        let exit = watched(pidfd_open(pid, PidfdFlags::NONBLOCK)?)?;
        let (stdout, stderr) = (Pipe::new(outlets.stdout)?, Pipe::new(outlets.stderr)?);
        let pipe = child.stdin.take().map(|stdin| Sender::from_owned_fd(stdin.into())).transpose()?;
        let stdin = pipe.zip(input).map(|(pipe, bytes)| Input { pipe, bytes, written: 0, stays_open: false });
        Ok(Self { exit, stdout, stderr, stdin })
    }
}

/// Writes the next part of the input. Closes the pipe after the last part, unless it is kept open, and if the child no
/// longer reads.
async fn feed(stdin: &mut Option<Input>) {
    let Some(input) = stdin else {
        return;
    };
    if input.written < input.bytes.len() {
        if let Ok(more) = input.pipe.write(&input.bytes[input.written..]).await {
            input.written += more;
            return;
        }
    } else if input.stays_open {
        return std::future::pending().await;
    }
    *stdin = None;
}

/// Completes when all these processes have ended.
async fn has_exited(processes: Vec<OwnedFd>) {
    for process in processes {
        if let Ok(process) = watched(process) {
            let _ = process.readable().await;
        }
    }
}

/// Makes a process descriptor awaitable; it is readable when the process has ended.
#[expect(deprecated, reason = "its successor is unsafe to call, for the sake of types that change their descriptor")]
fn watched(process: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::with_interest(process, Interest::READABLE)
}
