//! What several kinds share: the addresses of datastores, fields with one value or many, thresholds, and the outcome of a program.

pub mod datastore;
pub mod libpq;
pub mod one_or_many;
pub mod program;
#[cfg(test)]
pub mod testing;
pub mod threshold;
