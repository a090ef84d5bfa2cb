//! The status board: the project's services and datastores, one line each, printed once or updated live.
//!
//! | file | job |
//! |---|---|
//! | [`columns`] | the cells of a row, and which of them fit |
//! | [`sparkline`] | latencies as a curve of characters |
//! | [`model`] | the live state: rows, latencies, changes, selection |
//! | [`view`] | the whole screen |
//! | [`watch`](mod@self::watch) | the loop: keys, systemd's signals, probes, the clock |
//! | [`subcommand`] | other commands that a key starts on the same terminal |
//!
//! Not here: probing (`engine`), and the grade of a row (`domain`).

pub mod columns;
pub mod model;
pub mod sparkline;
mod subcommand;
#[cfg(test)]
mod tests;
pub mod view;
pub mod watch;

pub use self::watch::{Options, watch};
