//! The terminal itself: a live region below the record, drawn with relative moves only.
//!
//! Deliberately absent: alternate screens, scroll regions and questions to the terminal. The record is printed like
//! any program's output and belongs to the terminal's own scroll-back; only the rows of the region are ever redrawn.
//! A cursor that is never asked for can not be answered late over a slow line, and a resize erases no record.
//!
//! **Invariant:** whatever happens, a panic included, the terminal is given back as it was found.

use std::fmt::Write as _;
use std::io;

use crossterm::terminal;

use super::palette::{CharacterSet, Colour, styled};
use super::raw_mode::Guard;
use super::wrap::WrappedRow;
use super::writer_thread::TerminalWriter;
use crate::surface::terminal::stepper::view::{Size, StepperFrame};

/// Maximum width of lines: longer ones are hard to read and would wrap again when a wide terminal is made narrower.
const WIDEST: usize = 100;
/// The size assumed if the terminal does not report one.
const UNKNOWN: (u16, u16) = (80, 24);

/// Bracketed paste, so that a pasted line end is not taken as enter; no cursor.
const ENTER: &str = "\x1b[?2004h\x1b[?25l";
/// No bracketed paste, automatic wrapping, no attributes, a cursor.
const LEAVE: &str = "\x1b[?2004l\x1b[?7h\x1b[0m\x1b[?25h";
/// Synchronised update: supporting terminals show the output between these two at once.
pub(crate) const TOGETHER: (&str, &str) = ("\x1b[?2026h", "\x1b[?2026l");

/// A terminal with a live region.
#[derive(Debug)]
pub struct Screen {
    // Dropped in this order: pending output is written first, then the terminal is restored.
    pen: TerminalWriter,
    _guard: Guard,
    colour: Colour,
    letters: CharacterSet,
    /// The region as last drawn: the bytes and the width of each row.
    drawn: Vec<(String, usize)>,
    /// The position of the cursor in it.
    cursor: Option<(usize, usize)>,
    size: Size,
}

impl Screen {
    /// Takes over the terminal.
    pub fn open(colour: Colour, letters: CharacterSet) -> io::Result<Self> {
        let guard = Guard::take(LEAVE)?;
        let (drawn, size) = (Vec::new(), measured());
        let screen = Self { pen: TerminalWriter::new(), _guard: guard, colour, letters, drawn, cursor: None, size };
        screen.pen.hand(ENTER.to_owned())?;
        Ok(screen)
    }

    /// The size to lay out for.
    pub fn size(&self) -> Size {
        Size { columns: self.size.columns.min(WIDEST), ..self.size }
    }

    /// Whether everything drawn so far has been written.
    pub fn is_free(&self) -> bool {
        self.pen.is_free()
    }

    /// Prints lines permanently, and draws the region below them.
    pub fn show(&mut self, record: &[WrappedRow], frame: &StepperFrame) -> io::Result<()> {
        let painted: Vec<(String, usize)> =
            frame.rows.iter().map(|row| (styled(row, self.colour, self.letters), row.width())).collect();
        if record.is_empty() && painted == self.drawn && frame.cursor == self.cursor {
            return Ok(());
        }
        let mut out = String::from(TOGETHER.0);
        out.push_str("\x1b[?25l");
        self.to_top(&mut out);
        for row in record {
            // The row is erased before it is written, because the cursor may stand on its last column afterwards.
            let _ = write!(out, "\x1b[2K{}\r\n", styled(row, self.colour, self.letters));
        }
        // Without wrapping, a character wider than computed does not add a row.
        out.push_str("\x1b[?7l");
        for (index, (row, _)) in painted.iter().enumerate() {
            let _ = write!(out, "{}\x1b[2K{row}", if index == 0 { "" } else { "\r\n" });
        }
        out.push_str("\x1b[?7h");
        if record.len() + painted.len() < self.drawn.len() {
            out.push_str(if painted.is_empty() { "\x1b[J" } else { "\r\n\x1b[J\x1b[1A" });
        }
        if let Some((row, column)) = frame.cursor {
            up(&mut out, painted.len().saturating_sub(row + 1));
            out.push('\r');
            if column > 0 {
                let _ = write!(out, "\x1b[{column}C");
            }
            out.push_str("\x1b[?25h");
        }
        out.push_str(TOGETHER.1);
        self.drawn = painted;
        self.cursor = frame.cursor;
        self.pen.hand(out)
    }

    /// Moves the cursor to the first column of the region's first row.
    fn to_top(&self, out: &mut String) {
        out.push('\r');
        let row = self.cursor.map_or_else(|| self.drawn.len().saturating_sub(1), |(row, _)| row);
        // A terminal that became narrower has wrapped the rows that no longer fit.
        let wrapped: usize =
            self.drawn.iter().take(row).map(|(_, wide)| wide.saturating_sub(1) / self.size.columns).sum();
        let here = self.drawn.get(row).map_or(0, |(_, wide)| match self.cursor {
            Some((_, column)) => column / self.size.columns,
            None => wide.saturating_sub(1) / self.size.columns,
        });
        up(out, row + wrapped + here);
    }

    /// Reads the size and redraws the region, after a resize or output of another program.
    pub fn measure(&mut self) -> io::Result<()> {
        self.size = measured();
        let mut out = String::new();
        self.to_top(&mut out);
        out.push_str("\x1b[J");
        self.drawn.clear();
        self.cursor = None;
        self.pen.hand(out)
    }

    /// Prints the last lines, removes the region and restores the terminal.
    pub fn close(mut self, record: &[WrappedRow]) -> io::Result<()> {
        self.show(record, &StepperFrame::default())
    }
}

/// The terminal's size, or a usual one if it reports none.
pub(crate) fn measured() -> Size {
    let (columns, rows) = terminal::size().ok().filter(|(columns, rows)| *columns > 0 && *rows > 0).unwrap_or(UNKNOWN);
    Size { columns: columns.into(), rows: rows.into() }
}

fn up(out: &mut String, rows: usize) {
    if rows > 0 {
        let _ = write!(out, "\x1b[{rows}A");
    }
}
