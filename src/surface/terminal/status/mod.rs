//! The status board: the project's services and datastores, one line each, printed once or updated live.
//!
//! [`model`] has the live state. [`view`] renders the screen with [`columns`] and [`sparkline`].
//! [`watch`](mod@self::watch) is the loop that handles keys, systemd's signals, probes and the clock. [`subcommand`] runs
//! other commands on the same terminal.
//!
//! Not here: the probes, which are in `engine`, and the grade of a row, which is in `domain`.

pub mod columns;
pub mod model;
pub mod sparkline;
mod subcommand;
#[cfg(test)]
mod tests;
pub mod view;
pub mod watch;

pub use self::watch::{WatchOptions, watch};
