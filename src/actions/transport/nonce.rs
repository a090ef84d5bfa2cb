//! Names that nobody can guess: of files, sockets, and the marks between one program's output and the next.

use ring::rand::{SecureRandom, SystemRandom};

/// A word that nobody can guess: 32 hexadecimal digits.
pub(crate) fn nonce() -> String {
    let mut bytes = [0; 16];
    SystemRandom::new().fill(&mut bytes).expect("the system gives random numbers");
    hex::encode(bytes)
}
