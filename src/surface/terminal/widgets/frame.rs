//! A frame: the rows that a screen shows, and the size of the terminal.

use super::wrap::WrappedRow;

/// The rows to draw, and the cursor.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Frame {
    /// Each is no wider than the terminal.
    pub rows: Vec<WrappedRow>,
    /// The row and column of the cursor while text is typed.
    pub cursor: Option<(usize, usize)>,
}

/// The size of the terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    pub columns: usize,
    pub rows: usize,
}
