//! The whole terminal as a sheet of rows: on the alternate screen, each row rewritten only when it has changed.
//!
//! Deliberately absent: a record. What stood on the terminal before is there again afterwards.

use std::fmt::Write as _;
use std::io;

use super::frame::Size;
use super::inline_screen::{TOGETHER, measured};
use super::palette::{Colour, Letters, styled};
use super::raw_mode::Guard;
use super::wrap::WrappedRow;
use super::writer_thread::TerminalWriter;

/// The alternate screen, without a cursor; a character that is wider than we think must not make two rows of one.
const ENTER: &str = "\x1b[?1049h\x1b[2J\x1b[?25l\x1b[?7l";
/// Automatic wrapping, no attributes, a cursor, and the screen as it was.
const LEAVE: &str = "\x1b[?7h\x1b[0m\x1b[?25h\x1b[?1049l";

/// Erases the rest of a row.
const ERASE: &str = "\x1b[K";

/// A terminal that is ours alone.
#[derive(Debug)]
pub struct AlternateScreen {
    // Dropped in this order: first what was handed over is written, then the terminal is given back.
    pen: TerminalWriter,
    _guard: Guard,
    colour: Colour,
    letters: Letters,
    drawn: Vec<String>,
    size: Size,
}

impl AlternateScreen {
    /// Takes the terminal.
    ///
    /// # Errors
    /// When there is none.
    pub fn open(colour: Colour, letters: Letters) -> io::Result<Self> {
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

    /// The terminal may have another size, or was written on by somebody else: everything is drawn again.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub fn measure(&mut self) -> io::Result<()> {
        self.size = measured();
        self.drawn.clear();
        self.pen.hand("\x1b[2J".to_owned())
    }

    /// Shows these rows. A terminal that is still busy with the last drawing is left alone: the next one shows more.
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

    /// The bytes of a row. What is erased after the text is written does not flicker where the text stays; behind a full
    /// row there is nothing to erase, and the cursor stands on its last character.
    fn painted(&self, row: &WrappedRow) -> String {
        let erase = if row.width() < self.size.columns { ERASE } else { "" };
        styled(row, self.colour, self.letters) + erase
    }
}
