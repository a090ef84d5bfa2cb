//! Code shared by kinds: addresses of datastores and services, fields with one or many values, thresholds, and the
//! outcome of a program.

pub mod datastore;
pub mod libpq;
pub mod one_or_many;
pub mod program;
pub mod service_address;
#[cfg(test)]
pub mod testing;
pub mod threshold;
