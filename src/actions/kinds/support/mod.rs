//! What several kinds share: the addresses of datastores, thresholds, the outcome of a program, the error of an action.

pub mod datastore;
pub mod error;
pub mod libpq;
pub mod program;
#[cfg(test)]
pub mod testing;
pub mod threshold;
