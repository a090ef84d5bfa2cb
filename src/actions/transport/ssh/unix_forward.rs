//! A Unix socket that forwards to a remote address, for libraries that open their connections themselves.
//!
//! **Invariant:** only this account can open the socket, because its directory is private to the account.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinHandle;

use super::{port_forward, socket_dir};
use crate::actions::Context;
use crate::actions::transport::nonce::nonce;
use crate::domain::core::reason::Reason;
use crate::sync::lock;

/// A forwarding socket. Dropping it closes and removes the socket.
#[derive(Debug)]
pub struct UnixForward {
    directory: PathBuf,
    task: JoinHandle<()>,
    last_error: Arc<Mutex<Option<Reason>>>,
}

impl UnixForward {
    /// The directory of the socket.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Why the last connection failed, if that is known.
    pub fn last_error(&self) -> Option<Reason> {
        lock(&self.last_error).clone()
    }
}

impl Drop for UnixForward {
    fn drop(&mut self) {
        self.task.abort();
        // If this fails, the directory is removed with the one that contains it.
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// Opens a socket called `name` that forwards to an address on the environment's host. `None` if this machine reaches
/// the address directly.
///
/// # Errors
/// `system` if the socket cannot be created.
pub async fn open_unix_forward(
    name: &str,
    host: &str,
    port: u16,
    context: &Context,
) -> Result<Option<UnixForward>, Reason> {
    if !context.environment.host.ssh().is_some_and(|ssh| ssh.reaches(host)) {
        return Ok(None);
    }
    let failed = |error: std::io::Error| Reason::new("system", format!("a socket cannot be created: {error}"));
    let directory = socket_dir::socket_dir().map_err(failed)?.join(format!("d{}", &nonce()[..8]));
    std::fs::create_dir(&directory).map_err(failed)?;
    let listener = UnixListener::bind(directory.join(name)).map_err(failed)?;
    let last_error = Arc::new(Mutex::new(None));
    let (task_error, host, context) = (Arc::clone(&last_error), host.to_owned(), context.clone());
    let task = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            if let Err(error) = forward(stream, &host, port, &context).await {
                *lock(&task_error) = Some(error);
            }
        }
    });
    Ok(Some(UnixForward { directory, task, last_error }))
}

/// Forwards one connection until it ends. If nothing was received, returns the reason.
async fn forward(mut stream: UnixStream, host: &str, port: u16, context: &Context) -> Result<(), Reason> {
    let Some(mut forwarded) = port_forward::open_forward(host, port, context).await? else { return Ok(()) };
    match tokio::io::copy_bidirectional(&mut stream, &mut forwarded.stream).await {
        Ok((_, received)) if received > 0 => Ok(()),
        _ => forwarded.end.reason().await.map_or(Ok(()), Err),
    }
}
