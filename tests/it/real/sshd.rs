//! A real OpenSSH server on loopback, and its client, for whoever runs the tests.

use std::fs;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::daemon::{Daemon, free_port};

/// Where Debian's server wants an empty directory when it is root's; its unit makes it at every start.
const EMPTY: &str = "/run/sshd";

/// The server; it is gone with the value.
pub struct Sshd {
    _daemon: Daemon,
    port: u16,
    directory: TempDir,
}

impl Sshd {
    /// A server that lets in who has the key of this test, and nobody else.
    pub fn start() -> Self {
        let program = Path::new("/usr/sbin/sshd");
        assert!(program.exists(), "there is no sshd; install the Debian package `openssh-server`");
        if rustix::process::geteuid().is_root() {
            fs::create_dir_all(EMPTY).expect("root can make a directory");
        }
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        for name in ["host", "key"] {
            let mut make = Command::new("ssh-keygen");
            make.args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(directory.path().join(name));
            super::run(&mut make, "openssh-client");
        }
        let (port, path) = (free_port(), directory.path().display());
        let settings = format!(
            "ListenAddress 127.0.0.1:{port}\nHostKey {path}/host\nAuthorizedKeysFile {path}/key.pub\nPidFile none\n\
             StrictModes no\nUsePAM no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n\
             PermitRootLogin prohibit-password\nPrintMotd no\nPrintLastLog no\n"
        );
        fs::write(directory.path().join("config"), settings).expect("a file can be written");
        let words = ["-D".to_owned(), "-e".to_owned(), "-f".to_owned(), format!("{path}/config")];
        let mut daemon = Daemon::start(program, &words, None, &directory.path().join("log"));
        daemon.wait(|| TcpStream::connect(("127.0.0.1", port)).is_ok());
        Self { _daemon: daemon, port, directory }
    }

    /// The words that run a command line over there with a terminal, as a person does.
    pub fn client(&self, command: &str) -> Vec<String> {
        let account = super::run(Command::new("id").arg("-un"), "coreutils");
        let account = String::from_utf8(account.stdout).expect("an account's name");
        let key: PathBuf = self.directory.path().join("key");
        let options =
            ["-tt", "-F", "/dev/null", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"];
        let mut words: Vec<String> = std::iter::once("ssh").chain(options).map(str::to_owned).collect();
        words.extend(["-o", "LogLevel=ERROR", "-i"].map(str::to_owned));
        words.extend([key.display().to_string(), "-p".to_owned(), self.port.to_string()]);
        words.extend([format!("{}@127.0.0.1", account.trim()), command.to_owned()]);
        words
    }
}
