//! A full screen on the terminal's alternate screen. A row is rewritten only if it has changed.
//!
//! Dropping it restores the previous contents of the terminal.

use std::fmt::Write as _;
use std::io;

use super::frame::Size;
use super::inline_screen::{SYNCHRONISED, terminal_size};
use super::palette::{CharacterSet, Colour, styled};
use super::raw_mode::Guard;
use super::wrap::WrappedRow;
use super::writer_thread::TerminalWriter;

/// Switches to the alternate screen, hides the cursor and disables automatic wrapping. Without wrapping, a character that
/// is wider than computed does not add a row.
const ENTER: &str = "\x1b[?1049h\x1b[2J\x1b[?25l\x1b[?7l";
/// Undoes [`ENTER`] and resets the text attributes.
const LEAVE: &str = "\x1b[?7h\x1b[0m\x1b[?25h\x1b[?1049l";

/// Erases the rest of a row.
const ERASE: &str = "\x1b[K";

/// The terminal while the alternate screen is shown.
#[derive(Debug)]
pub struct AlternateScreen {
    // The fields are dropped in this order: the writer writes pending output before the guard restores the terminal.
    writer: TerminalWriter,
    _guard: Guard,
    colour: Colour,
    charset: CharacterSet,
    drawn: Vec<String>,
    size: Size,
}

impl AlternateScreen {
    /// Switches to the alternate screen.
    ///
    /// # Errors
    /// When there is no terminal.
    pub fn open(colour: Colour, charset: CharacterSet) -> io::Result<Self> {
        let guard = Guard::take(LEAVE)?;
        let screen = Self {
            writer: TerminalWriter::new(),
            _guard: guard,
            colour,
            charset,
            drawn: Vec::new(),
            size: terminal_size(),
        };
        screen.writer.queue(ENTER.to_owned())?;
        Ok(screen)
    }

    /// The size of the terminal.
    pub fn size(&self) -> Size {
        self.size
    }

    /// Reads the size again and clears the screen: after a resize, or if another program has written to the terminal.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub fn measure(&mut self) -> io::Result<()> {
        self.size = terminal_size();
        self.drawn.clear();
        self.writer.queue("\x1b[2J".to_owned())
    }

    /// Shows these rows. Does nothing while the previous screen is still being written; the next call shows the changes.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub fn show(&mut self, rows: &[WrappedRow]) -> io::Result<()> {
        if !self.writer.is_free() {
            return Ok(());
        }
        let mut rendered: Vec<String> = rows.iter().take(self.size.rows).map(|row| self.render(row)).collect();
        rendered.resize(self.size.rows, ERASE.to_owned());
        let mut out = String::new();
        for (at, row) in rendered.iter().enumerate().filter(|(at, row)| self.drawn.get(*at) != Some(row)) {
            let _ = write!(out, "\x1b[{};1H{row}", at + 1);
        }
        if out.is_empty() {
            return Ok(());
        }
        self.drawn = rendered;
        self.writer.queue(format!("{}{out}{}", SYNCHRONISED.0, SYNCHRONISED.1))
    }

    /// The bytes of a row. The rest of the row is erased after the text, which avoids flicker. After a full row nothing is
    /// erased, because the cursor is still on its last character.
    fn render(&self, row: &WrappedRow) -> String {
        let erase = if row.width() < self.size.columns { ERASE } else { "" };
        styled(row, self.colour, self.charset) + erase
    }
}
