//! The status board: a shop's services and datastores, a line each, once or for as long as somebody watches.
//!
//! | file | job |
//! |---|---|
//! | [`columns`] | a row's cells, and which of them fit |
//! | [`sparkline`] | latencies as a curve of letters |
//! | [`model`] | what is known while somebody watches: rows, latencies, news, the choice |
//! | [`view`] | the whole screen |
//! | [`watch`](mod@self::watch) | the loop: keys, systemd's signals, probes, the clock |
//! | [`subcommand`] | other commands that a key starts on the same terminal |
//!
//! Deliberately absent: looking, which is the engine's, and what a row's state is, which is the domain's.

pub mod columns;
pub mod model;
pub mod sparkline;
mod subcommand;
#[cfg(test)]
mod tests;
pub mod view;
pub mod watch;

pub use self::watch::{WatchOptions, watch};
