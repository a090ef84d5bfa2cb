//! A stand-in HTTP server on loopback: PawaPay, Flutterwave, ZRA, Meilisearch, or the metrics page of a service.
//!
//! It answers one request per connection and ignores bodies.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use crate::real::daemon::free_port;

/// A request.
pub struct Request {
    /// The path with its query.
    pub path: String,
    /// The `Authorization` header, or nothing.
    pub authorization: String,
    /// The number of earlier requests.
    pub before: usize,
}

/// The server; it stops with the value.
pub struct Site {
    port: u16,
    over: Arc<AtomicBool>,
}

impl Site {
    /// A server with this function for the status and the body.
    pub fn serve(answer: impl Fn(&Request) -> (u16, String) + Send + 'static) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", free_port())).expect("a free port");
        let port = listener.local_addr().expect("a bound socket has an address").port();
        let over = Arc::new(AtomicBool::new(false));
        let (end, count) = (Arc::clone(&over), AtomicUsize::new(0));
        std::thread::spawn(move || {
            for stream in listener.incoming().take_while(|_| !end.load(Ordering::Relaxed)).flatten() {
                // The client may have disconnected.
                let _ = meet(&stream, count.fetch_add(1, Ordering::Relaxed), &answer);
            }
        });
        Self { port, over }
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its URL, without a slash at the end.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

fn meet(stream: &TcpStream, before: usize, answer: &dyn Fn(&Request) -> (u16, String)) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let mut lines = BufReader::new(stream).lines();
    let first = lines.next().transpose()?.unwrap_or_default();
    let mut authorization = String::new();
    for line in lines {
        let line = line?;
        if line.is_empty() {
            break;
        }
        if let Some((_, value)) = line.split_once(": ").filter(|(name, _)| name.eq_ignore_ascii_case("authorization")) {
            value.clone_into(&mut authorization);
        }
    }
    let path = first.split(' ').nth(1).unwrap_or_default().to_owned();
    let (status, text) = answer(&Request { path, authorization, before });
    let kind = if text.starts_with('{') { "application/json" } else { "text/plain; version=0.0.4" };
    let length = text.len();
    write!(
        &mut &*stream,
        "HTTP/1.1 {status} Status\r\nContent-Type: {kind}\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{text}"
    )
}

/// The answer of a healthy service to health requests, or `None` for other paths.
pub fn healthy(path: &str) -> Option<(u16, String)> {
    let body = match path {
        "/health" => r#"{"status":"ok"}"#,
        "/health/ready" => r#"{"status":"ready","dependencies":{"postgres":"ok"}}"#,
        _ => return None,
    };
    Some((200, body.to_owned()))
}
