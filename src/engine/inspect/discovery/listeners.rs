//! Finds listening TCP ports in `/proc`.
//!
//! A process listens on a port if one of its file descriptors is a listening socket in the kernel's table of sockets; see
//! proc_pid_fd(5) and proc_pid_net(5).
//!
//! Not here: UDP, and sockets of systemd's socket units.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

/// The state of a listening socket (`TCP_LISTEN` of the kernel) in the tables.
const LISTEN: &str = "0A";

/// The tables of IPv4 and IPv6 sockets.
const TABLES: [&str; 2] = ["tcp", "tcp6"];

/// The most processes of one unit that are examined.
const PROCESS_LIMIT: usize = 500;

/// The ports that these processes listen on.
pub(super) fn ports(processes: &[u32]) -> BTreeSet<u16> {
    let mut ports = BTreeSet::new();
    for process in processes.iter().take(PROCESS_LIMIT) {
        // A process may have another network namespace, so its table is read.
        let table = table(&process.to_string());
        ports.extend(sockets(*process).iter().filter_map(|inode| table.get(inode)));
    }
    ports
}

/// All ports that any process listens on.
pub(super) fn listening() -> BTreeSet<u16> {
    table("self").into_values().collect()
}

/// Listening ports by socket inode.
fn table(process: &str) -> BTreeMap<u64, u16> {
    let read = |table: &&str| fs::read_to_string(format!("/proc/{process}/net/{table}")).unwrap_or_default();
    TABLES.iter().map(read).flat_map(|text| text.lines().filter_map(entry).collect::<Vec<_>>()).collect()
}

/// Parses a line of a table: number, local address, remote address, state, and in the tenth field the inode.
fn entry(line: &str) -> Option<(u64, u16)> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let port = fields.get(1)?.rsplit_once(':')?.1;
    let is_listening = fields.get(3) == Some(&LISTEN);
    let port = u16::from_str_radix(port, 16).ok().filter(|_| is_listening)?;
    Some((fields.get(9)?.parse().ok()?, port))
}

/// The sockets of a process; empty without permission to read them.
fn sockets(process: u32) -> Vec<u64> {
    let open = fs::read_dir(format!("/proc/{process}/fd")).into_iter().flatten().flatten();
    let names = open.filter_map(|entry| fs::read_link(entry.path()).ok());
    names.filter_map(|name| name.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_listening_port_of_this_process_is_found() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        assert!(ports(&[std::process::id()]).contains(&port) && listening().contains(&port));
    }

    #[test]
    fn only_listening_sockets_of_the_kernels_table_are_read() {
        let line = |state: &str| {
            format!(
                "   0: 0100007F:1F40 00000000:0000 {state} 00000000:00000000 00:00000000 00000000  1000  0 4242 1 0 100"
            )
        };
        assert_eq!(entry(&line("0A")), Some((4242, 8000)));
        assert_eq!(entry(&line("01")), None);
        assert_eq!(entry("  sl  local_address rem_address   st"), None);
    }
}
