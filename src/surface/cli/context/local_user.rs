//! Who types: the local account, as the kernel and the host's list of accounts have it, and its person in the estate.
//!
//! **Invariant:** no flag and no variable that its owner may set freely says who somebody is. `SUDO_UID` counts for the
//! host's own root alone, since `sudo` sets it and root could pretend anyway; the root of a user namespace may be anybody.
//!
//! Deliberately absent: accounts that only a directory service knows. They are called by their number, `uid-1234`, and
//! the estate can say whose that is.

use std::fs::File;
use std::io::Read as _;

use super::settings::EnvironmentVariables;
use crate::domain::config::estate::Estate;
use crate::domain::incident::event::{Actor, Identity};

/// The largest account list that is read, in bytes.
const ACCOUNTS_LIMIT: u64 = 4 * 1024 * 1024;

/// The person at the command line.
pub fn actor(estate: Option<&Estate>, environment: &EnvironmentVariables) -> Actor {
    let account = Identity::Account(account(environment));
    estate.unwrap_or(&Estate::default()).actor(account, "cli")
}

fn account(environment: &EnvironmentVariables) -> String {
    let own = rustix::process::getuid().as_raw();
    let map = || read("/proc/self/uid_map");
    let uid = real(own, environment.text("SUDO_UID"), map);
    named(&read("/etc/passwd"), uid).unwrap_or_else(|| format!("uid-{uid}"))
}

/// The real account: the caller of `sudo`, otherwise the process's own.
fn real(own: u32, sudo: Option<&str>, map: impl FnOnce() -> String) -> u32 {
    match sudo.and_then(|uid| uid.parse().ok()) {
        Some(uid) if own == 0 && is_whole(&map()) => uid,
        _ => own,
    }
}

/// Whether a map of user ids (`user_namespaces(7)`) is the identity. Only the host's own map is, or one made by the
/// host's root.
fn is_whole(map: &str) -> bool {
    let fields: Vec<&str> = map.split_ascii_whitespace().collect();
    fields == ["0", "0", "4294967295"]
}

/// The account of this process, even under `sudo`.
pub fn process_account() -> String {
    let uid = rustix::process::getuid().as_raw();
    named(&read("/etc/passwd"), uid).unwrap_or_else(|| format!("uid-{uid}"))
}

fn read(path: &str) -> String {
    let mut text = Vec::new();
    let read = File::open(path).and_then(|file| file.take(ACCOUNTS_LIMIT).read_to_end(&mut text));
    // Without the account list, an account is called by its number; without the map, `SUDO_UID` is ignored.
    read.map(|_| String::from_utf8_lossy(&text).into_owned()).unwrap_or_default()
}

/// The name of an account in the format of `passwd(5)`: name, password, number.
fn named(accounts: &str, uid: u32) -> Option<String> {
    let number = uid.to_string();
    accounts.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (name, _, id) = (fields.next()?, fields.next()?, fields.next()?);
        (id == number && !name.is_empty()).then(|| name.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sudo_is_believed_of_the_hosts_own_root_alone() {
        let host = || "         0          0 4294967295\n".to_owned();
        let space = || "         0       1000          1\n".to_owned();
        assert_eq!(real(0, Some("1000"), host), 1000);
        assert_eq!(real(0, Some("1000"), space), 0);
        assert_eq!(real(0, Some("1000"), String::new), 0);
        assert_eq!(real(7, Some("1000"), host), 7);
        assert_eq!(real(0, Some("root"), host), 0);
        assert_eq!(real(0, None, host), 0);
    }

    #[test]
    fn an_account_is_found_by_its_number() {
        let accounts = "root:x:0:0:root:/root:/bin/sh\nbroken\nada:x:1000:1000::/home/ada:/bin/sh\n";
        assert_eq!(named(accounts, 1000).as_deref(), Some("ada"));
        assert_eq!(named(accounts, 0).as_deref(), Some("root"));
        assert_eq!(named(accounts, 7), None);
    }
}
