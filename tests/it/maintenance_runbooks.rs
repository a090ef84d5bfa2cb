//! The shipped runbooks for maintenance, each started from the command line against real parts.
//!
//! GitHub, AWS, npm's registry, a list of releases and Docker are stand-ins.

mod monthly;
mod project;
mod quarterly;
mod restore;
mod weekly;
