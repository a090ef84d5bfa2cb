//! Access to a host: programs, addresses and the system bus, on this machine or over SSH.

pub mod host;
pub mod http_client;
pub(crate) mod nonce;
pub mod process;
pub mod ssh;
pub mod timeout;
