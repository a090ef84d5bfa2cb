//! Building blocks of the stepper and the status board: screens, styled text, wrapping, a line editor.

pub mod alternate_screen;
pub mod countdown;
pub mod frame;
pub mod inline_screen;
pub mod line_editor;
pub mod palette;
pub(crate) mod raw_mode;
pub mod styled_text;
pub mod wrap;
pub(crate) mod writer_thread;
