//! The thread that writes to the terminal. A stopped terminal (`Ctrl-S`, a stalled connection) blocks only this thread, not
//! the run or the keys.

use std::io::{self, IsTerminal as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::thread::{self, JoinHandle};

/// Writes to the terminal in a thread.
#[derive(Debug)]
pub struct TerminalWriter {
    sender: Option<Sender<String>>,
    thread: Option<JoinHandle<()>>,
    /// Set when output is queued, cleared when it has been written.
    busy: Arc<AtomicBool>,
    /// Whether writing has failed.
    broken: Arc<AtomicBool>,
}

impl TerminalWriter {
    /// Starts the thread.
    pub fn new() -> Self {
        let (sender, receiver) = channel::<String>();
        let (busy, broken) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let (thread_busy, thread_broken) = (busy.clone(), broken.clone());
        let thread = thread::spawn(move || {
            for output in receiver {
                if write(&output).is_err() {
                    thread_broken.store(true, Ordering::SeqCst);
                }
                thread_busy.store(false, Ordering::SeqCst);
            }
        });
        Self { sender: Some(sender), thread: Some(thread), busy, broken }
    }

    /// Whether the last queued output has been written.
    pub fn is_free(&self) -> bool {
        !self.busy.load(Ordering::SeqCst)
    }

    /// Queues output for the thread.
    ///
    /// # Errors
    /// When an earlier write has failed.
    pub fn queue(&self, output: String) -> io::Result<()> {
        if self.broken.load(Ordering::SeqCst) {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        self.busy.store(true, Ordering::SeqCst);
        let sent = self.sender.as_ref().map(|sender| sender.send(output));
        sent.filter(Result::is_ok).map(|_| ()).ok_or_else(|| io::ErrorKind::BrokenPipe.into())
    }
}

impl Drop for TerminalWriter {
    fn drop(&mut self) {
        drop(self.sender.take());
        if let Some(thread) = self.thread.take() {
            // If the thread has panicked, only output is lost.
            let _ = thread.join();
        }
    }
}

/// Writes to the terminal at once: to standard error if it is a terminal, otherwise to standard output.
pub fn write(text: &str) -> io::Result<()> {
    if io::stderr().is_terminal() { write_to(io::stderr().lock(), text) } else { write_to(io::stdout().lock(), text) }
}

fn write_to(mut out: impl io::Write, text: &str) -> io::Result<()> {
    out.write_all(text.as_bytes())?;
    out.flush()
}
