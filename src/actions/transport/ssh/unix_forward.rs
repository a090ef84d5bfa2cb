//! A passage for a library that wants to connect by itself: a socket in our private directory, open for as long as the value lives.
//!
//! **Invariant:** only this account can open the socket, since it is in a directory that is this account's alone.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinHandle;

use super::{port_forward, socket_dir};
use crate::actions::Context;
use crate::actions::transport::nonce::nonce;
use crate::domain::core::reason::Reason;
use crate::sync::lock;

/// The socket's directory.
#[derive(Debug)]
pub struct UnixForward {
    directory: PathBuf,
    task: JoinHandle<()>,
    trouble: Arc<Mutex<Option<Reason>>>,
}

impl UnixForward {
    /// The directory that the socket is in.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Why a connection through it came to nothing, where that is known.
    pub fn last_error(&self) -> Option<Reason> {
        lock(&self.trouble).clone()
    }
}

impl Drop for UnixForward {
    fn drop(&mut self) {
        self.task.abort();
        // What is left is swept with the directory that it is in.
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// A socket called `name` behind which is an address as the environment's host reaches it; none where it is reached from here.
///
/// # Errors
/// `system` when there is no place for the socket.
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
    let directory = socket_dir::socket_dir().map_err(failed)?.join(format!("d{}", &nonce()[..8]));
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

/// Carries one connection to its end. One that ends without an answer says why.
async fn carried(mut stream: UnixStream, host: &str, port: u16, context: &Context) -> Result<(), Reason> {
    let Some(mut passage) = port_forward::open_forward(host, port, context).await? else { return Ok(()) };
    let carried = tokio::io::copy_bidirectional(&mut stream, &mut passage.stream).await;
    match carried {
        Ok((_, answered)) if answered > 0 => Ok(()),
        _ => passage.fate.reason().await.map_or(Ok(()), Err),
    }
}
