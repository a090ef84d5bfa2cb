//! The SSH part of [`host`](super::host): one connection per host in this process, and the sessions over it.

pub(crate) mod connect_error;
pub(crate) mod connection;
pub(crate) mod output_framing;
pub(crate) mod port_forward;
pub(crate) mod remote_process;
pub(crate) mod remote_supervisor;
pub(crate) mod socket_dir;
pub(crate) mod tls_stream;
pub(crate) mod unix_forward;
