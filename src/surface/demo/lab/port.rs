//! Ports of loopback for services that are about to start.

use std::io;
use std::net::TcpListener;
use std::sync::atomic::{AtomicU16, Ordering};

/// Ports below those that the kernel gives to outgoing connections (32768 to 60999), so that no connection takes one before its
/// service does.
const PORTS: std::ops::Range<u16> = 12_000..32_000;

/// The distance between the first ports of processes with neighbouring ids: more than one of them takes.
const STRIDE: u32 = 41;

/// A port that is free now. This process never gets the same one twice, until it has had all.
///
/// # Errors
/// When every port of the range is taken.
pub fn free_port() -> io::Result<u16> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let width = PORTS.end - PORTS.start;
    let first = std::process::id().wrapping_mul(STRIDE) % u32::from(width);
    let first = u16::try_from(first).expect("it is less than the width");
    for _ in 0..width {
        let port = PORTS.start + first.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % width;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    Err(io::Error::other("every port of loopback is taken"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_port_is_free_and_another() {
        let ports: std::collections::BTreeSet<u16> = (0..50).map(|_| free_port().unwrap()).collect();
        assert_eq!(ports.len(), 50);
        assert!(ports.iter().all(|port| PORTS.contains(port)));
    }
}
