//! Free ports on loopback for services that are about to start.

use std::io;
use std::net::TcpListener;
use std::sync::atomic::{AtomicU16, Ordering};

/// The ports to choose from. They are below those of outgoing connections (32768 to 60999), so that no connection takes a
/// port before its service does.
const PORTS: std::ops::Range<u16> = 12_000..32_000;

/// The distance between the first ports of processes with consecutive ids: more ports than one process usually needs.
const STRIDE: u32 = 41;

/// A port that is free now. A process gets a port a second time only after it has got all the others.
///
/// # Errors
/// When no port is free.
pub fn free_port() -> io::Result<u16> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let width = PORTS.end - PORTS.start;
    let first = std::process::id().wrapping_mul(STRIDE) % u32::from(width);
    let first = u16::try_from(first).expect("the remainder is less than the width");
    for _ in 0..width {
        let port = PORTS.start + first.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % width;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    Err(io::Error::other("no port on loopback is free"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_port_is_a_different_one() {
        let ports: std::collections::BTreeSet<u16> = (0..50).map(|_| free_port().unwrap()).collect();
        assert_eq!(ports.len(), 50);
        assert!(ports.iter().all(|port| PORTS.contains(port)));
    }
}
