//! The screen of the stepper: finished lines in the terminal's scroll-back, and a live region below them.
//!
//! Finished lines are printed as any program prints its output, so a resize erases none of them. Only the rows of the region
//! are redrawn, with relative cursor movements. The cursor's position is never queried, because over a slow connection the
//! answer could arrive late.
//!
//! **Invariant:** the terminal is restored in every case, also after a panic.

use std::fmt::Write as _;
use std::io;

use crossterm::terminal;

use super::frame::{Frame, Size};
use super::palette::{CharacterSet, Colour, styled};
use super::raw_mode::Guard;
use super::wrap::WrappedRow;
use super::writer_thread::TerminalWriter;

/// Maximum width of lines. Longer lines are hard to read, and would wrap again if a wide terminal becomes narrower.
const MAX_WIDTH: usize = 100;
/// The size that is assumed if the terminal reports none.
const DEFAULT_SIZE: (u16, u16) = (80, 24);

/// Enables bracketed paste, so that a pasted line end does not count as enter, and hides the cursor.
const ENTER: &str = "\x1b[?2004h\x1b[?25l";
/// Undoes [`ENTER`], enables automatic wrapping and resets the text attributes.
const LEAVE: &str = "\x1b[?2004l\x1b[?7h\x1b[0m\x1b[?25h";
/// The beginning and the end of a synchronised update, which a terminal that supports it shows at once.
pub(crate) const SYNCHRONISED: (&str, &str) = ("\x1b[?2026h", "\x1b[?2026l");

/// A terminal with a live region.
#[derive(Debug)]
pub struct Screen {
    // The fields are dropped in this order: the writer writes pending output before the guard restores the terminal.
    writer: TerminalWriter,
    _guard: Guard,
    colour: Colour,
    charset: CharacterSet,
    /// The region as last drawn: the bytes and the width of each row.
    drawn: Vec<(String, usize)>,
    /// The row and column of the cursor in the region.
    cursor: Option<(usize, usize)>,
    size: Size,
}

impl Screen {
    /// Takes over the terminal.
    pub fn open(colour: Colour, charset: CharacterSet) -> io::Result<Self> {
        let guard = Guard::take(LEAVE)?;
        let (drawn, size) = (Vec::new(), terminal_size());
        let screen = Self { writer: TerminalWriter::new(), _guard: guard, colour, charset, drawn, cursor: None, size };
        screen.writer.queue(ENTER.to_owned())?;
        Ok(screen)
    }

    /// The size to lay out for: the terminal's, with a limited width.
    pub fn size(&self) -> Size {
        Size { columns: self.size.columns.min(MAX_WIDTH), ..self.size }
    }

    /// Whether everything drawn so far has been written.
    pub fn is_free(&self) -> bool {
        self.writer.is_free()
    }

    /// Prints finished lines, and draws the region below them.
    pub fn show(&mut self, finished: &[WrappedRow], frame: &Frame) -> io::Result<()> {
        let rendered: Vec<(String, usize)> =
            frame.rows.iter().map(|row| (styled(row, self.colour, self.charset), row.width())).collect();
        if finished.is_empty() && rendered == self.drawn && frame.cursor == self.cursor {
            return Ok(());
        }
        let mut out = String::from(SYNCHRONISED.0);
        out.push_str("\x1b[?25l");
        self.to_top(&mut out);
        for row in finished {
            // The row is erased before it is written, because the cursor may stand on its last column afterwards.
            let _ = write!(out, "\x1b[2K{}\r\n", styled(row, self.colour, self.charset));
        }
        // Without wrapping, a character wider than computed does not add a row.
        out.push_str("\x1b[?7l");
        for (index, (row, _)) in rendered.iter().enumerate() {
            let _ = write!(out, "{}\x1b[2K{row}", if index == 0 { "" } else { "\r\n" });
        }
        out.push_str("\x1b[?7h");
        if finished.len() + rendered.len() < self.drawn.len() {
            out.push_str(if rendered.is_empty() { "\x1b[J" } else { "\r\n\x1b[J\x1b[1A" });
        }
        if let Some((row, column)) = frame.cursor {
            move_up(&mut out, rendered.len().saturating_sub(row + 1));
            out.push('\r');
            if column > 0 {
                let _ = write!(out, "\x1b[{column}C");
            }
            out.push_str("\x1b[?25h");
        }
        out.push_str(SYNCHRONISED.1);
        self.drawn = rendered;
        self.cursor = frame.cursor;
        self.writer.queue(out)
    }

    /// Moves the cursor to the first column of the region's first row.
    fn to_top(&self, out: &mut String) {
        out.push('\r');
        let row = self.cursor.map_or_else(|| self.drawn.len().saturating_sub(1), |(row, _)| row);
        // A terminal that became narrower has wrapped the rows that no longer fit.
        let wrapped: usize =
            self.drawn.iter().take(row).map(|(_, wide)| wide.saturating_sub(1) / self.size.columns).sum();
        let in_row = self.drawn.get(row).map_or(0, |(_, wide)| match self.cursor {
            Some((_, column)) => column / self.size.columns,
            None => wide.saturating_sub(1) / self.size.columns,
        });
        move_up(out, row + wrapped + in_row);
    }

    /// Reads the size again and erases the region: after a resize, or if another program has written to the terminal.
    pub fn measure(&mut self) -> io::Result<()> {
        self.size = terminal_size();
        let mut out = String::new();
        self.to_top(&mut out);
        out.push_str("\x1b[J");
        self.drawn.clear();
        self.cursor = None;
        self.writer.queue(out)
    }

    /// Prints the last finished lines, removes the region and restores the terminal.
    pub fn close(mut self, finished: &[WrappedRow]) -> io::Result<()> {
        self.show(finished, &Frame::default())
    }
}

/// The terminal's size, or [`DEFAULT_SIZE`] if it reports none.
pub(crate) fn terminal_size() -> Size {
    let (columns, rows) =
        terminal::size().ok().filter(|(columns, rows)| *columns > 0 && *rows > 0).unwrap_or(DEFAULT_SIZE);
    Size { columns: columns.into(), rows: rows.into() }
}

fn move_up(out: &mut String, rows: usize) {
    if rows > 0 {
        let _ = write!(out, "\x1b[{rows}A");
    }
}
