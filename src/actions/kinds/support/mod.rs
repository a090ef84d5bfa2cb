//! What several kinds share: the addresses of datastores, thresholds, the outcome of a program.

pub mod datastore;
pub mod libpq;
pub mod program;
#[cfg(test)]
pub mod testing;
pub mod threshold;
