//! The status board: the project's services and datastores, one line each, printed once or updated live.
//!
//! [`model`] holds the live state. [`view`] renders the screen with [`columns`] and [`sparkline`].
//! [`watch`](mod@self::watch) is the loop of keys, systemd's signals, probes and the clock. [`subcommand`] runs other
//! commands on the same terminal.
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

pub use self::watch::{WatchOptions, watch};
