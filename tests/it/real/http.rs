//! One HTTP request to a server on loopback, on a connection of its own.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// How long an answer may take on a busy machine.
const LIMIT: Duration = Duration::from_secs(60);

/// The answer to a request.
pub struct Response {
    /// 0 when no answer came.
    pub status: u16,
    /// The status line and the headers, in lower case.
    pub head: String,
    pub body: String,
}

/// Sends a request, such as `POST /hooks/github`, with these headers.
pub fn send(port: u16, request: &str, headers: &[(&str, &str)], body: &[u8]) -> Response {
    let mut answer = Vec::new();
    if let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) {
        let length = body.len();
        let head =
            format!("{request} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Length: {length}\r\n");
        let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let message = [head.as_bytes(), headers.as_bytes(), b"\r\n", body].concat();
        stream.set_read_timeout(Some(LIMIT)).expect("a time limit can be set");
        // A server that refuses the headers may close the connection before it has read the body.
        let _ = stream.write_all(&message);
        // A server that is killed while it answers resets the connection.
        let _ = stream.read_to_end(&mut answer);
    }
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&*answer, ""));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    Response { status, head: head.to_lowercase(), body: body.to_owned() }
}
