//! The raw mode of the terminal, which is left when its guard is dropped and when the program panics.
//!
//! **Invariant:** only one [`Guard`] is active at a time, and the terminal is restored once.

use std::io;
use std::sync::{Mutex, Once};

use crossterm::terminal;

use super::writer_thread;
use crate::sync::lock;

/// The sequence that restores the terminal, while a guard is active.
static LEAVE: Mutex<Option<&'static str>> = Mutex::new(None);

/// Keeps the terminal in raw mode: keys arrive one by one and are not echoed.
#[derive(Debug)]
pub struct Guard(());

impl Guard {
    /// Enters raw mode. `leave` is written when the mode is left; it undoes the modes that the caller sets.
    ///
    /// # Errors
    /// When there is no terminal.
    pub fn take(leave: &'static str) -> io::Result<Self> {
        static HOOK: Once = Once::new();
        HOOK.call_once(|| {
            let previous_hook = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |panic| {
                if restore_terminal() {
                    // The panic's message goes below the drawn rows. An error is ignored: the terminal is gone.
                    let _ = writer_thread::write("\r\n");
                }
                previous_hook(panic);
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

/// Restores the terminal; true if a guard was active. Errors are ignored: they mean that the terminal is gone.
fn restore_terminal() -> bool {
    let Some(leave) = lock(&LEAVE).take() else { return false };
    let _ = writer_thread::write(leave);
    let _ = terminal::disable_raw_mode();
    true
}
