//! The local user: the account of the process, from the kernel and the host's account list, and its person in the estate.
//!
//! **Invariant:** no flag decides the identity of the user, and no variable but `SUDO_UID`. That one counts only if the
//! process is root of the host, who could become any account anyway. In a user namespace any account may be root.
//!
//! An account that is not in `/etc/passwd`, such as one from a directory service, is named `uid-1234`. The estate can map
//! this name to a person.

use std::fs::File;
use std::io::Read as _;

use super::settings::EnvironmentVariables;
use crate::domain::config::estate::Estate;
use crate::domain::incident::event::{Actor, Identity};

/// Maximum number of bytes that are read of the account list.
const ACCOUNTS_LIMIT: u64 = 4 * 1024 * 1024;

/// The person at the command line.
pub fn actor(estate: Option<&Estate>, environment: &EnvironmentVariables) -> Actor {
    let account = Identity::Account(account(environment));
    estate.unwrap_or(&Estate::default()).actor(account, "cli")
}

fn account(environment: &EnvironmentVariables) -> String {
    let own_uid = rustix::process::getuid().as_raw();
    let uid_map = || read("/proc/self/uid_map");
    name_of(real_uid(own_uid, environment.text("SUDO_UID"), uid_map))
}

/// The user id of the caller of `sudo`, otherwise that of the process.
fn real_uid(own_uid: u32, sudo_uid: Option<&str>, uid_map: impl FnOnce() -> String) -> u32 {
    match sudo_uid.and_then(|uid| uid.parse().ok()) {
        Some(uid) if own_uid == 0 && is_identity(&uid_map()) => uid,
        _ => own_uid,
    }
}

/// Whether a map of user ids (`user_namespaces(7)`) is the identity. Only the host's root can create another namespace
/// with such a map.
fn is_identity(uid_map: &str) -> bool {
    let fields: Vec<&str> = uid_map.split_ascii_whitespace().collect();
    fields == ["0", "0", "4294967295"]
}

/// The account of this process; under `sudo` that is root.
pub fn process_account() -> String {
    name_of(rustix::process::getuid().as_raw())
}

/// The name of an account, or `uid-1234` if the account list does not have it.
fn name_of(uid: u32) -> String {
    find_name(&read("/etc/passwd"), uid).unwrap_or_else(|| format!("uid-{uid}"))
}

fn read(path: &str) -> String {
    let mut text = Vec::new();
    let read = File::open(path).and_then(|file| file.take(ACCOUNTS_LIMIT).read_to_end(&mut text));
    // An unreadable file counts as empty: then an account has no name, and `SUDO_UID` is ignored.
    read.map(|_| String::from_utf8_lossy(&text).into_owned()).unwrap_or_default()
}

/// The name of an account in a list in the format of `passwd(5)`.
fn find_name(accounts: &str, uid: u32) -> Option<String> {
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
    fn sudo_uid_counts_only_for_root_of_the_host() {
        let host = || "         0          0 4294967295\n".to_owned();
        let namespace = || "         0       1000          1\n".to_owned();
        assert_eq!(real_uid(0, Some("1000"), host), 1000);
        assert_eq!(real_uid(0, Some("1000"), namespace), 0);
        assert_eq!(real_uid(0, Some("1000"), String::new), 0);
        assert_eq!(real_uid(7, Some("1000"), host), 7);
        assert_eq!(real_uid(0, Some("root"), host), 0);
        assert_eq!(real_uid(0, None, host), 0);
    }

    #[test]
    fn an_account_is_found_by_its_number() {
        let accounts = "root:x:0:0:root:/root:/bin/sh\nbroken\nada:x:1000:1000::/home/ada:/bin/sh\n";
        assert_eq!(find_name(accounts, 1000).as_deref(), Some("ada"));
        assert_eq!(find_name(accounts, 0).as_deref(), Some("root"));
        assert_eq!(find_name(accounts, 7), None);
    }
}
