//! Runs another command of this program on the same terminal, then returns to the board.
//!
//! The command gets the arguments that a person would type.

use std::io;
use std::process::Command;
use std::time::Duration;

use crossterm::event::{self, Event as Input, EventStream, KeyEventKind};
use futures_util::StreamExt;
use rustix::process::{Pid, Signal, kill_process};
use tokio::signal::unix::{SignalKind, signal};

use crate::actions::transport::process::spawn_detached;
use crate::surface::terminal::end_signals;
use crate::surface::terminal::widgets::raw_mode::Guard;
use crate::surface::terminal::widgets::writer_thread;

/// The exit code of a command that the person has interrupted.
const INTERRUPTED: i32 = 130;

/// When to wait for a key before the board is shown again, so that the person can read the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pause {
    Always,
    /// After a failure.
    OnFailure,
}

/// Runs this program with these arguments; true if a signal has asked the board itself to end.
///
/// # Errors
/// When the program cannot be started, or the terminal is gone.
pub async fn run(arguments: &[String], pause: Pause) -> io::Result<bool> {
    let [mut interrupt, mut terminate, mut hangup] = end_signals()?;
    #[expect(clippy::disallowed_methods, reason = "the child is this program at this terminal, not an action")]
    let mut command = Command::new(std::env::current_exe()?);
    let mut child = spawn_detached(command.args(arguments))?;
    let pid = Pid::from_child(&child);
    let mut ended = tokio::task::spawn_blocking(move || child.wait());
    let status = loop {
        tokio::select! {
            status = &mut ended => break status.map_err(io::Error::other)??,
            // The child is in the foreground process group too, so it also gets the interrupt.
            _ = interrupt.recv() => {}
            _ = async { tokio::select! { _ = terminate.recv() => {}, _ = hangup.recv() => {} } } => {
                // An error is ignored: the child has ended in the meantime.
                let _ = kill_process(pid, Signal::TERM);
                let _ = ended.await;
                return Ok(true);
            }
        }
    };
    let has_succeeded = status.success() || status.code().is_none_or(|code| code == INTERRUPTED);
    if pause == Pause::Always || !has_succeeded {
        return wait_for_key().await;
    }
    Ok(false)
}

/// Waits for a key; true when the terminal is gone.
async fn wait_for_key() -> io::Result<bool> {
    let _guard = Guard::take("")?;
    let mut keys = keys();
    let [mut terminate, mut hangup] = [signal(SignalKind::terminate())?, signal(SignalKind::hangup())?];
    // Printed only once the stream reads keys.
    writer_thread::write("\r\npress any key to go back to the board\r\n")?;
    loop {
        tokio::select! {
            input = keys.next() => match input {
                Some(Ok(Input::Key(key))) if key.kind == KeyEventKind::Release => {}
                Some(Ok(Input::Key(_))) => return Ok(false),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Ok(true),
            },
            _ = terminate.recv() => return Ok(true),
            _ = hangup.recv() => return Ok(true),
        }
    }
}

/// A stream of the terminal's keys.
pub(super) fn keys() -> EventStream {
    let keys = EventStream::new();
    // An earlier stream may have left a wake-up that stops reading; a key that arrived with it would be noticed only at the
    // next key. This poll clears the wake-up. Events that it finds stay in the stream.
    let _ = event::poll(Duration::ZERO);
    keys
}
