//! The terminal as it was found, given back however the program ends, a panic included.
//!
//! Deliberately absent: what is shown. Who takes the terminal says what undoes it.
//!
//! **Invariant:** the terminal is taken by one at a time, and given back once.

use std::io;
use std::sync::{Mutex, Once};

use crossterm::terminal;

use super::writer_thread;
use crate::sync::lock;

/// What gives the terminal back, while it is taken.
static LEAVE: Mutex<Option<&'static str>> = Mutex::new(None);

/// A terminal that is taken: keys come one by one, and nothing is echoed.
#[derive(Debug)]
pub struct Guard(());

impl Guard {
    /// Takes the terminal. What is written to it later is undone by `leave`.
    ///
    /// # Errors
    /// When it is no terminal.
    pub fn take(leave: &'static str) -> io::Result<Self> {
        static HOOK: Once = Once::new();
        HOOK.call_once(|| {
            let before = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |panic| {
                if restore_terminal() {
                    // The message goes below what is drawn; a terminal that is gone loses nothing.
                    let _ = writer_thread::write("\r\n");
                }
                before(panic);
            }));
        });
        terminal::enable_raw_mode()?;
        *lock(&LEAVE) = Some(leave);
        Ok(Self(()))
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        restore_terminal();
    }
}

/// Gives the terminal back; whether it was taken. One that is gone is nobody's any more: errors do not matter.
fn restore_terminal() -> bool {
    let Some(leave) = lock(&LEAVE).take() else { return false };
    let _ = writer_thread::write(leave);
    let _ = terminal::disable_raw_mode();
    true
}
