//! The shipped runbooks for maintenance: each is started as a person starts it, against the real thing it looks after.
//!
//! Stand-ins there are for GitHub, AWS, npm's registry, a list of releases and Docker, with the shapes that these have.

mod house;
mod monthly;
mod quarterly;
mod restore;
mod weekly;
