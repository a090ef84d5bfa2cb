//! Waits for many connections in one thread (poll(2)): switching between threads would cost more than the measured server.

#![expect(unsafe_code, reason = "poll(2) without a further dependency")]

use std::io::{self, Read as _};
use std::net::TcpStream;
use std::os::fd::AsRawFd as _;

/// As in `poll.h`.
const READABLE: i16 = 1;

#[repr(C)]
struct Watched {
    descriptor: i32,
    wanted: i16,
    found: i16,
}

unsafe extern "C" {
    fn poll(watched: *mut Watched, count: std::ffi::c_ulong, milliseconds: i32) -> i32;
}

/// Waits until a descriptor is readable; returns which ones are.
pub fn readable(descriptors: impl Iterator<Item = i32>) -> Vec<bool> {
    let mut watched: Vec<Watched> =
        descriptors.map(|descriptor| Watched { descriptor, wanted: READABLE, found: 0 }).collect();
    // SAFETY: the pointer and the count are those of a vector that outlives the call.
    let found = unsafe { poll(watched.as_mut_ptr(), watched.len() as std::ffi::c_ulong, -1) };
    assert!(found >= 0, "poll: {}", io::Error::last_os_error());
    watched.iter().map(|watched| watched.found != 0).collect()
}

/// A connection, and the part of a message that has been read.
pub struct Connection {
    pub stream: TcpStream,
    pub read: Vec<u8>,
}

impl Connection {
    pub fn new(stream: TcpStream) -> Self {
        stream.set_nodelay(true).expect("a connection can be set up");
        Self { stream, read: Vec::new() }
    }

    pub fn descriptor(&self) -> i32 {
        self.stream.as_raw_fd()
    }

    /// Reads available bytes; returns whether the connection is open.
    pub fn fill(&mut self) -> bool {
        let mut piece = [0; 16 * 1024];
        let length = self.stream.read(&mut piece).unwrap_or(0);
        self.read.extend_from_slice(&piece[..length]);
        length > 0
    }

    /// Removes and returns a complete HTTP message, if there is one.
    pub fn message(&mut self) -> Option<Vec<u8>> {
        let head = self.read.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
        let length = head + content_length(&self.read[..head]);
        (self.read.len() >= length).then(|| self.read.drain(..length).collect())
    }
}

fn content_length(head: &[u8]) -> usize {
    let head = String::from_utf8_lossy(head);
    let named = |line: &str| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
    };
    head.lines().find_map(named).unwrap_or(0)
}
