//! The whole terminal as a sheet of rows: on the alternate screen, each row rewritten only when it has changed.
//!
//! Deliberately absent: a record. What stood on the terminal before is there again afterwards.

use std::fmt::Write as _;
use std::io;

use super::inline_screen::{TOGETHER, measured};
use super::palette::{CharacterSet, Colour, styled};
use super::raw_mode::Guard;
use super::wrap::WrappedRow;
use super::writer_thread::TerminalWriter;
use crate::surface::terminal::stepper::view::Size;

/// The alternate screen without cursor or automatic wrapping, so that a character wider than computed does not add a
/// row.
const ENTER: &str = "\x1b[?1049h\x1b[2J\x1b[?25l\x1b[?7l";
/// Automatic wrapping, no attributes, a cursor, and the previous screen.
const LEAVE: &str = "\x1b[?7h\x1b[0m\x1b[?25h\x1b[?1049l";

/// Erases the rest of a row.
const ERASE: &str = "\x1b[K";

/// The terminal while the alternate screen is shown.
#[derive(Debug)]
pub struct AlternateScreen {
    // Dropped in this order: pending output is written first, then the terminal is restored.
    pen: TerminalWriter,
    _guard: Guard,
    colour: Colour,
    letters: CharacterSet,
    drawn: Vec<String>,
    size: Size,
}

impl AlternateScreen {
    /// Switches to the alternate screen.
    ///
    /// # Errors
    /// When there is no terminal.
    pub fn open(colour: Colour, letters: CharacterSet) -> io::Result<Self> {
        let guard = Guard::take(LEAVE)?;
        let canvas =
            Self { pen: TerminalWriter::new(), _guard: guard, colour, letters, drawn: Vec::new(), size: measured() };
        canvas.pen.hand(ENTER.to_owned())?;
        Ok(canvas)
    }

    /// The size to lay out for.
    pub fn size(&self) -> Size {
        self.size
    }

    /// Reads the size and redraws everything, after a resize or output of another program.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub fn measure(&mut self) -> io::Result<()> {
        self.size = measured();
        self.drawn.clear();
        self.pen.hand("\x1b[2J".to_owned())
    }

    /// Shows these rows. If the terminal is still busy with the last screen, nothing is done; the next one shows more.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub fn show(&mut self, rows: &[WrappedRow]) -> io::Result<()> {
        if !self.pen.is_free() {
            return Ok(());
        }
        let mut painted: Vec<String> = rows.iter().take(self.size.rows).map(|row| self.painted(row)).collect();
        painted.resize(self.size.rows, ERASE.to_owned());
        let mut out = String::new();
        for (at, row) in painted.iter().enumerate().filter(|(at, row)| self.drawn.get(*at) != Some(row)) {
            let _ = write!(out, "\x1b[{};1H{row}", at + 1);
        }
        if out.is_empty() {
            return Ok(());
        }
        self.drawn = painted;
        self.pen.hand(format!("{}{out}{}", TOGETHER.0, TOGETHER.1))
    }

    /// The bytes of a row. Erasing after the text avoids flicker. A full row is not erased, because the cursor then
    /// stands on its last character.
    fn painted(&self, row: &WrappedRow) -> String {
        let erase = if row.width() < self.size.columns { ERASE } else { "" };
        styled(row, self.colour, self.letters) + erase
    }
}
