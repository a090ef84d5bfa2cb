//! The connections of the server: their number, the time for their headers, and a graceful shutdown.
//!
//! **Invariant:** a connection whose headers are not complete after [`HEADERS_WITHIN`] is closed, even if it sends a byte each
//! second.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use super::{CONNECTIONS, HEADERS_LIMIT, HEADERS_WITHIN};

/// How long to wait after the system could not accept a connection, for example because no file descriptor is free.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(100);

/// How long requests in progress may take when the server stops.
const SHUTDOWN_LIMIT: Duration = Duration::from_secs(8);

/// A socket on which the server accepts connections.
#[derive(Debug)]
pub enum Listener {
    Tcp(TcpListener),
    /// A socket in the file system, to which only this machine can connect.
    Unix(UnixListener),
}

/// A connection of either kind.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

impl Listener {
    /// Listens on a port.
    ///
    /// # Errors
    /// When the system refuses to bind the address.
    pub async fn bind(address: SocketAddr) -> io::Result<Self> {
        TcpListener::bind(address).await.map(Self::Tcp)
    }

    /// Whether the server listens on this machine only.
    pub fn is_local(&self) -> bool {
        match self {
            Self::Tcp(listener) => listener.local_addr().is_ok_and(|address| address.ip().is_loopback()),
            Self::Unix(_) => true,
        }
    }

    /// The address, for people.
    pub fn shown(&self) -> String {
        match self {
            Self::Tcp(listener) => {
                listener.local_addr().map_or_else(|_| "a port".to_owned(), |address| format!("http://{address}"))
            }
            Self::Unix(listener) => {
                let path = listener.local_addr().ok().and_then(|address| address.as_pathname().map(ToOwned::to_owned));
                path.map_or_else(|| "a socket".to_owned(), |path| path.display().to_string())
            }
        }
    }

    async fn accept(&self) -> io::Result<Box<dyn Stream>> {
        match self {
            Self::Tcp(listener) => {
                let (stream, _) = listener.accept().await?;
                // A response is one small packet, so delaying it in order to fill a packet does not help.
                stream.set_nodelay(true)?;
                Ok(Box::new(stream))
            }
            Self::Unix(listener) => Ok(Box::new(listener.accept().await?.0)),
        }
    }
}

/// Serves one listener until `stop` is cancelled.
#[expect(
    clippy::disallowed_methods,
    reason = "a pause between two tries to accept has nothing to do with an incident's time"
)]
pub async fn serve(listener: Listener, router: Router, stop: CancellationToken) {
    let permits = Arc::new(Semaphore::new(CONNECTIONS));
    let graceful = GracefulShutdown::new();
    loop {
        let Ok(permit) = Arc::clone(&permits).acquire_owned().await else { break };
        let stream = tokio::select! {
            stream = listener.accept() => stream,
            () = stop.cancelled() => break,
        };
        match stream {
            Ok(stream) => serve_connection(stream, router.clone(), permit, &graceful),
            Err(error) => {
                tracing::warn!(%error, "a connection cannot be accepted");
                tokio::time::sleep(ACCEPT_BACKOFF).await;
            }
        }
    }
    drop(listener);
    let _ = tokio::time::timeout(SHUTDOWN_LIMIT, graceful.shutdown()).await;
}

fn serve_connection(
    stream: Box<dyn Stream>,
    router: Router,
    permit: OwnedSemaphorePermit,
    graceful: &GracefulShutdown,
) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADERS_WITHIN)
        .max_buf_size(HEADERS_LIMIT)
        // Some senders close their writing side after the body and then read the response.
        .half_close(true)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let watched = graceful.watch(connection);
    tokio::spawn(async move {
        // The only error is that the peer disconnects.
        let _ = watched.await;
        drop(permit);
    });
}
