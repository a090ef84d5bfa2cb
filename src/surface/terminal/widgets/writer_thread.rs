//! The hand that writes to the terminal, beside the loop: a terminal that is stopped (`Ctrl-S`, a stalled line) holds up
//! this thread, and neither the run nor the keys.
//!
//! Deliberately absent: what is written.

use std::io::{self, IsTerminal as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::thread::{self, JoinHandle};

/// Writes to the terminal in a thread.
#[derive(Debug)]
pub struct TerminalWriter {
    sheets: Option<Sender<String>>,
    thread: Option<JoinHandle<()>>,
    /// Whether some output is not written yet.
    busy: Arc<AtomicBool>,
    /// Whether writing has failed.
    broken: Arc<AtomicBool>,
}

impl TerminalWriter {
    /// Starts the thread.
    pub fn new() -> Self {
        let (sheets, handed) = channel::<String>();
        let (busy, broken) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let (done, lost) = (busy.clone(), broken.clone());
        let thread = thread::spawn(move || {
            for sheet in handed {
                if write(&sheet).is_err() {
                    lost.store(true, Ordering::SeqCst);
                }
                done.store(false, Ordering::SeqCst);
            }
        });
        Self { sheets: Some(sheets), thread: Some(thread), busy, broken }
    }

    /// Whether everything so far has been written.
    pub fn is_free(&self) -> bool {
        !self.busy.load(Ordering::SeqCst)
    }

    /// Queues output.
    pub fn hand(&self, sheet: String) -> io::Result<()> {
        if self.broken.load(Ordering::SeqCst) {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        self.busy.store(true, Ordering::SeqCst);
        let sent = self.sheets.as_ref().map(|sheets| sheets.send(sheet));
        sent.filter(Result::is_ok).map(|_| ()).ok_or_else(|| io::ErrorKind::BrokenPipe.into())
    }
}

impl Drop for TerminalWriter {
    fn drop(&mut self) {
        drop(self.sheets.take());
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has lost only output.
            let _ = thread.join();
        }
    }
}

/// Writes to the terminal now: to standard error, or to standard output if only that is a terminal.
pub fn write(text: &str) -> io::Result<()> {
    if io::stderr().is_terminal() { write_to(io::stderr().lock(), text) } else { write_to(io::stdout().lock(), text) }
}

fn write_to(mut out: impl io::Write, text: &str) -> io::Result<()> {
    out.write_all(text.as_bytes())?;
    out.flush()
}
