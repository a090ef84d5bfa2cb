//! Random names that cannot be guessed, for files, sockets, and the tags that separate a program's output from reports.

use ring::rand::{SecureRandom, SystemRandom};

/// 128 random bits as 32 hexadecimal digits.
pub(crate) fn nonce() -> String {
    let mut bytes = [0; 16];
    SystemRandom::new().fill(&mut bytes).expect("the system gives random numbers");
    hex::encode(bytes)
}
