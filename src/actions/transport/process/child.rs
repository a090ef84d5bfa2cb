//! A child while it runs: its pipes, its end, its stopping. Deliberately absent: how it was started.
//!
//! **Invariant:** dropped at any moment, the child and its tree are killed.

use std::io::{self, PipeReader, PipeWriter};
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Stdio};
use std::sync::Mutex;
use std::time::Duration;

use rustix::buffer::spare_capacity;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncWriteExt, Interest};
use tokio::net::unix::pipe::{Receiver, Sender};

use super::capture::{Sink, Source};
use super::descendants::{Mark, Tree};
use super::{Ending, Exit};
use crate::sync::lock;

/// How long output is still read when the child has ended and something that it left behind holds the pipes: what
/// the child itself wrote is there already.
const LINGER: Duration = Duration::from_millis(500);

/// How long a killed process is waited for; longer only when the kernel itself hangs on a device.
const DEATH: Duration = Duration::from_secs(2);

/// What is read at once: the size of a pipe's buffer.
const PIECE: usize = 64 * 1024;

/// A child that has been started.
pub(crate) struct RunningChild {
    /// Gone when it has been reaped, or handed to who waits for it.
    child: Option<Child>,
    tree: Tree,
    end: AsyncFd<OwnedFd>,
    stdout: Pipe,
    stderr: Pipe,
    stdin: Option<Input>,
    /// What was read last.
    piece: Vec<u8>,
}

/// Both ends of the pipes that a child will write to.
///
/// We keep the writing ends until the child has ended: a child that ends closes its own first, and hearing of each would
/// wake us two times more for nothing.
pub(super) struct Outlets {
    stdout: (PipeReader, PipeWriter),
    stderr: (PipeReader, PipeWriter),
}

/// The pipes of the next child: never used yet, so nobody else holds an end of them.
static SPARE: Mutex<Option<Outlets>> = Mutex::new(None);

/// The reading end of a pipe, while it is open, and the writing end that we keep.
struct Pipe(Option<Receiver>, Option<PipeWriter>);

/// What happened next.
enum ChildEvent {
    Moved,
    Exited,
    Drained,
}

impl Outlets {
    /// Those that were laid by, or new ones.
    pub(super) fn take() -> io::Result<Self> {
        let spare = lock(&SPARE).take();
        spare.map_or_else(Self::open, Ok)
    }

    /// Makes those of the next child while this one runs, and nobody waits for it.
    pub(super) fn lay_by() {
        let mut spare = lock(&SPARE);
        if spare.is_none() {
            *spare = Self::open().ok();
        }
    }

    fn open() -> io::Result<Self> {
        Ok(Self { stdout: io::pipe()?, stderr: io::pipe()? })
    }

    /// What the child gets as its standard output and its standard error.
    pub(super) fn for_child(&self) -> io::Result<(Stdio, Stdio)> {
        Ok((self.stdout.1.try_clone()?.into(), self.stderr.1.try_clone()?.into()))
    }
}

impl RunningChild {
    pub(super) fn new(
        mut child: Child,
        mark: Option<Mark>,
        outlets: Outlets,
        input: Option<Vec<u8>>,
    ) -> io::Result<Self> {
        let pid = Pid::from_child(&child);
        let tree = Tree::new(pid, mark);
        let made = ChildParts::of(&mut child, pid, outlets, input);
        let ChildParts { end, stdout, stderr, stdin } = made.inspect_err(|_| drop(tree.kill()))?;
        Ok(Self { child: Some(child), tree, end, stdout, stderr, stdin, piece: Vec::new() })
    }

    /// Keeps the child's standard input open when all that there is has been written.
    pub(crate) fn hold(&mut self) {
        if let Some(input) = &mut self.stdin {
            input.held = true;
        }
    }

    /// Gives a held standard input more to read, after all that came before has been written.
    pub(crate) fn give(&mut self, bytes: Vec<u8>) {
        if let Some(input) = &mut self.stdin {
            (input.bytes, input.written) = (bytes, 0);
        }
    }

    /// Closes the child's standard input.
    pub(crate) fn close_input(&mut self) {
        self.stdin = None;
    }

    /// Moves some data; whether the child has ended.
    pub(crate) async fn flow(&mut self, sink: &mut (dyn Sink + Send)) -> bool {
        matches!(self.next(sink, true).await, ChildEvent::Exited)
    }

    /// Moves data until the child itself has ended.
    pub(crate) async fn flow_until_exit(&mut self, sink: &mut (dyn Sink + Send)) {
        while !matches!(self.next(sink, true).await, ChildEvent::Exited) {}
    }

    /// Moves data until the child and every marked process of its tree have ended.
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

    /// After the child has ended: the rest of its output, and how it ended.
    pub(crate) async fn ended(mut self, sink: &mut (dyn Sink + Send)) -> Exit {
        // In the ordinary case both pipes are at their end already and nobody waits.
        self.drain(LINGER, sink).await;
        let status = self.reap();
        let ending = match status.map(|status| (status.code(), status.signal())) {
            Some((Some(code), _)) => Ending::Code(code),
            Some((None, Some(signal))) => Ending::Signal(signal),
            // An ended child always has a status; were it stolen, the code would be unknown.
            _ => Ending::Code(-1),
        };
        Exit { ending, left_behind: self.tree.has_group() }
    }

    /// Asks the child and its tree to end, and kills what still runs after `grace`.
    pub(crate) async fn stop(mut self, grace: Duration, sink: &mut (dyn Sink + Send)) {
        self.tree.terminate();
        // Real time, whatever clock decides about deadlines: a process takes the time that it takes.
        let _ = tokio::time::timeout(grace, self.flow_until_tree_exit(sink)).await;
        let killed = self.tree.kill();
        let _ = tokio::time::timeout(DEATH, has_exited(killed)).await;
        let _ = tokio::time::timeout(DEATH, self.flow_until_exit(sink)).await;
        self.drain(LINGER, sink).await;
        self.reap();
    }

    /// Reads until both pipes are at their end, or for so long.
    async fn drain(&mut self, longest: Duration, sink: &mut (dyn Sink + Send)) {
        (self.stdout.1, self.stderr.1) = (None, None);
        let drained = async {
            // What is there already needs no waiting, and in the ordinary case that is all.
            while self.take(Source::Stdout, sink) + self.take(Source::Stderr, sink) > 0 {
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
            () = self.stdout.readable(), if self.stdout.0.is_some() => Source::Stdout,
            () = self.stderr.readable(), if self.stderr.0.is_some() => Source::Stderr,
            () = feed(&mut self.stdin), if self.stdin.is_some() => return ChildEvent::Moved,
            _ = self.end.readable(), if watch_exit => return ChildEvent::Exited,
        };
        if self.take(source, sink) == PIECE {
            // Output without end must not keep who waits beside us, for a deadline, from being asked.
            tokio::task::yield_now().await;
        }
        ChildEvent::Moved
    }

    /// Hands on what has been written to a pipe; how many bytes.
    fn take(&mut self, source: Source, sink: &mut (dyn Sink + Send)) -> usize {
        let pipe = if source == Source::Stdout { &mut self.stdout } else { &mut self.stderr };
        let read = pipe.read(&mut self.piece);
        sink.take(source, &self.piece);
        read
    }

    /// The child's status, which frees its number.
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
            // A killed child takes an instant to end; a thread of its own waits for it, since nobody else will.
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
            // An error is met again by the reading.
            Some(open) => drop(open.readable().await),
            None => std::future::pending().await,
        }
    }

    /// Reads what is there into `piece`; how many bytes. The pipe is closed when there will be no more.
    fn read(&mut self, piece: &mut Vec<u8>) -> usize {
        piece.clear();
        let Some(open) = &self.0 else {
            return 0;
        };
        piece.reserve_exact(PIECE);
        let mut read = || rustix::io::read(open, spare_capacity(piece)).map_err(io::Error::from);
        // Asked once more under the eyes of the runtime when there was nothing, so that it waits for more.
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

/// The parts that are made from a child.
struct ChildParts {
    end: AsyncFd<OwnedFd>,
    stdout: Pipe,
    stderr: Pipe,
    stdin: Option<Input>,
}

/// What a child reads.
struct Input {
    pipe: Sender,
    bytes: Vec<u8>,
    written: usize,
    /// Whether the pipe stays open after the last of it.
    held: bool,
}

impl ChildParts {
    fn of(child: &mut Child, pid: Pid, outlets: Outlets, input: Option<Vec<u8>>) -> io::Result<Self> {
        let end = watched(pidfd_open(pid, PidfdFlags::NONBLOCK)?)?;
        let (stdout, stderr) = (Pipe::new(outlets.stdout)?, Pipe::new(outlets.stderr)?);
        let pipe = child.stdin.take().map(|stdin| Sender::from_owned_fd(stdin.into())).transpose()?;
        let stdin = pipe.zip(input).map(|(pipe, bytes)| Input { pipe, bytes, written: 0, held: false });
        Ok(Self { end, stdout, stderr, stdin })
    }
}

/// Writes some more of the input, and closes the pipe after the last of it, unless it is held, or when nobody reads.
async fn feed(stdin: &mut Option<Input>) {
    let Some(input) = stdin else {
        return;
    };
    if input.written < input.bytes.len() {
        if let Ok(more) = input.pipe.write(&input.bytes[input.written..]).await {
            input.written += more;
            return;
        }
    } else if input.held {
        return std::future::pending().await;
    }
    *stdin = None;
}

/// Completes when every one of these processes is gone.
async fn has_exited(processes: Vec<OwnedFd>) {
    for process in processes {
        if let Ok(process) = watched(process) {
            let _ = process.readable().await;
        }
    }
}

/// A process's descriptor, readable when the process has ended.
#[expect(deprecated, reason = "its successor is unsafe to call, for the sake of types that change their descriptor")]
fn watched(process: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::with_interest(process, Interest::READABLE)
}
