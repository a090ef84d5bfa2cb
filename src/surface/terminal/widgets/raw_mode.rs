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

/// The sequence that restores the terminal, while a guard is active.
static LEAVE: Mutex<Option<&'static str>> = Mutex::new(None);

/// Raw mode: keys arrive one by one and are not echoed.
#[derive(Debug)]
pub struct Guard(());

impl Guard {
    /// Enters raw mode. `leave` undoes whatever the caller writes later.
    ///
    /// # Errors
    /// When there is no terminal.
    pub fn take(leave: &'static str) -> io::Result<Self> {
        static HOOK: Once = Once::new();
        HOOK.call_once(|| {
            let before = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |panic| {
                if restore_terminal() {
                    // The message goes below the drawn rows; a lost terminal does not matter.
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

/// Restores the terminal; true if a guard was active. Errors do not matter, since they mean that the terminal is gone.
fn restore_terminal() -> bool {
    let Some(leave) = lock(&LEAVE).take() else { return false };
    let _ = writer_thread::write(leave);
    let _ = terminal::disable_raw_mode();
    true
}
