//! An SMTP server: aiosmtpd, with STARTTLS and accounts where a test wants them.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::daemon::{Daemon, free_port};

/// A running server.
pub struct Mail {
    daemon: Daemon,
    pub port: u16,
    directory: tempfile::TempDir,
}

impl Mail {
    /// Takes letters in clear from anybody.
    pub fn plain() -> Self {
        Self::start(&["plain".to_owned()], tempfile::tempdir().unwrap())
    }

    /// Takes letters only after `STARTTLS` and from the account `runbook` with the password `open-sesame`.
    pub fn secret() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned(), "localhost".to_owned()]).unwrap();
        let (certificate, key) = (directory.path().join("certificate.pem"), directory.path().join("key.pem"));
        fs::write(&certificate, made.cert.pem()).unwrap();
        fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        let files = [certificate, key].map(|file| file.to_string_lossy().into_owned());
        Self::start(&["starttls".to_owned(), files[0].clone(), files[1].clone()], directory)
    }

    fn start(mode: &[String], directory: tempfile::TempDir) -> Self {
        let port = free_port();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/mail/server.py");
        let mut arguments = vec![script.to_string_lossy().into_owned(), port.to_string()];
        arguments.extend_from_slice(mode);
        let log = directory.path().join("letters");
        let daemon = Daemon::start(Path::new("/usr/bin/python3"), &arguments, None, &log);
        daemon.wait(|| std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
        Self { daemon, port, directory }
    }

    /// The file with its certificate.
    pub fn certificate(&self) -> PathBuf {
        self.directory.path().join("certificate.pem")
    }

    /// What it said last.
    pub fn said(&self) -> String {
        self.daemon.said()
    }

    /// Every letter that it took; fails with the package's name when it could not start.
    pub fn letters(&self) -> Vec<Value> {
        let said = self.daemon.said();
        assert!(!said.contains("ModuleNotFoundError"), "install the Debian package `python3-aiosmtpd`: {said}");
        said.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }
}
