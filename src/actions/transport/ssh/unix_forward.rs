//! A passage for a library that wants to connect by itself: a socket in our private directory, open for as long as the value lives.
//!
//! **Invariant:** only this account can open the socket, since it is in a directory that is this account's alone.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinHandle;

use super::{port_forward, socket_dir};
use crate::actions::Context;
use crate::actions::transport::host::random;
use crate::domain::core::reason::Reason;
use crate::sync::lock;

/// A forwarding socket. Dropping it closes and removes the socket.
#[derive(Debug)]
pub struct UnixForward {
    directory: PathBuf,
    task: JoinHandle<()>,
    trouble: Arc<Mutex<Option<Reason>>>,
}

impl UnixForward {
    /// The directory of the socket.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Why the last connection failed, if that is known.
    pub fn last_error(&self) -> Option<Reason> {
        lock(&self.trouble).clone()
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
    let failed = |error: std::io::Error| Reason::new("system", format!("there is no place for a socket: {error}"));
    let directory = socket_dir::socket_dir().map_err(failed)?.join(format!("d{}", &random()[..8]));
    std::fs::create_dir(&directory).map_err(failed)?;
    let listener = UnixListener::bind(directory.join(name)).map_err(failed)?;
    let trouble = Arc::new(Mutex::new(None));
    let (noted, host, context) = (Arc::clone(&trouble), host.to_owned(), context.clone());
    let task = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            if let Err(why) = carried(stream, &host, port, &context).await {
                *lock(&noted) = Some(why);
            }
        }
    });
    Ok(Some(UnixForward { directory, task, trouble }))
}

/// Forwards one connection until it ends. If nothing was received, returns the reason.
async fn carried(mut stream: UnixStream, host: &str, port: u16, context: &Context) -> Result<(), Reason> {
    let Some(mut passage) = port_forward::open_forward(host, port, context).await? else { return Ok(()) };
    let carried = tokio::io::copy_bidirectional(&mut stream, &mut passage.stream).await;
    match carried {
        Ok((_, answered)) if answered > 0 => Ok(()),
        _ => passage.fate.reason().await.map_or(Ok(()), Err),
    }
}
