//! This host's name. An environment lists the names of the hosts that belong to it.

/// This host's name.
pub fn hostname() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}
