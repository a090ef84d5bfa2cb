//! Who types: the local account, as the kernel and the host's list of accounts have it, and its person in the estate.
//!
//! **Invariant:** no flag and no variable that its owner may set freely says who somebody is. `SUDO_UID` counts for
//! root alone, since `sudo` sets it and root could pretend anyway.
//!
//! Deliberately absent: accounts that only a directory service knows. They are called by their number, `uid-1234`, and
//! the estate can say whose that is.

use std::fs::File;
use std::io::Read as _;

use super::settings::Environment;
use crate::domain::estate::Estate;
use crate::domain::event::{Actor, Identity};

/// The largest list of accounts that is read, in bytes.
const ACCOUNTS_LIMIT: u64 = 4 * 1024 * 1024;

/// The person at the command line.
pub fn actor(estate: Option<&Estate>, environment: &Environment) -> Actor {
    let account = Identity::Account(account(environment));
    estate.unwrap_or(&Estate::default()).actor(account, "cli")
}

fn account(environment: &Environment) -> String {
    let own = rustix::process::getuid().as_raw();
    let uid = match environment.text("SUDO_UID").and_then(|uid| uid.parse().ok()) {
        Some(uid) if own == 0 => uid,
        _ => own,
    };
    named(&accounts(), uid).unwrap_or_else(|| format!("uid-{uid}"))
}

/// The account of this process, whoever called it.
pub fn process_account() -> String {
    let uid = rustix::process::getuid().as_raw();
    named(&accounts(), uid).unwrap_or_else(|| format!("uid-{uid}"))
}

fn accounts() -> String {
    let mut text = Vec::new();
    let read = File::open("/etc/passwd").and_then(|file| file.take(ACCOUNTS_LIMIT).read_to_end(&mut text));
    // Without the list an account is called by its number.
    read.map(|_| String::from_utf8_lossy(&text).into_owned()).unwrap_or_default()
}

/// The name of an account in the form of `passwd(5)`: name, password, number.
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
    fn an_account_is_found_by_its_number() {
        let accounts = "root:x:0:0:root:/root:/bin/sh\nbroken\nada:x:1000:1000::/home/ada:/bin/sh\n";
        assert_eq!(named(accounts, 1000).as_deref(), Some("ada"));
        assert_eq!(named(accounts, 0).as_deref(), Some("root"));
        assert_eq!(named(accounts, 7), None);
    }
}
