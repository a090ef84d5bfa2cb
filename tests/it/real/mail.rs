//! A real SMTP server, aiosmtpd, optionally with STARTTLS and an account.

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
    /// Accepts unencrypted messages from anybody.
    pub fn plain() -> Self {
        Self::start(&["plain".to_owned()], tempfile::tempdir().unwrap())
    }

    /// Accepts messages only after `STARTTLS` and from the account `runbook` with the password `open-sesame`.
    pub fn encrypted() -> Self {
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
        let log = directory.path().join("messages");
        let daemon = Daemon::start(Path::new("/usr/bin/python3"), &arguments, None, &log);
        daemon.wait(|| std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
        Self { daemon, port, directory }
    }

    /// The file with its certificate.
    pub fn certificate(&self) -> PathBuf {
        self.directory.path().join("certificate.pem")
    }

    /// The end of its log.
    pub fn log_end(&self) -> String {
        self.daemon.log_end()
    }

    /// Every message that it accepted; fails with the name of the package if it could not start.
    pub fn messages(&self) -> Vec<Value> {
        let log_end = self.daemon.log_end();
        assert!(!log_end.contains("ModuleNotFoundError"), "install the Debian package `python3-aiosmtpd`: {log_end}");
        log_end.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }
}
