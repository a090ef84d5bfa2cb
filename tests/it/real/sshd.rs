//! A real OpenSSH server on loopback for the account of the test, and its client.

use std::fs;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::daemon::{Daemon, free_port};

/// The directory that Debian's server needs when it runs as root; normally its unit makes it.
const EMPTY: &str = "/run/sshd";

/// The server; it stops with the value.
pub struct Sshd {
    daemon: Daemon,
    port: u16,
    directory: TempDir,
}

impl Sshd {
    /// A server that accepts only the key of this test.
    pub fn start() -> Self {
        Self::with("")
    }

    /// The same with further settings; `%here%` in them is its directory.
    pub fn with(settings: &str) -> Self {
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
        // With another home directory, the start-up files of the account are not read.
        let ours = format!(
            "ListenAddress 127.0.0.1:{port}\nHostKey {path}/host\nAuthorizedKeysFile {path}/key.pub\nPidFile none\n\
             StrictModes no\nUsePAM no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\nSetEnv HOME={path}\n\
             PermitRootLogin prohibit-password\nPrintMotd no\nPrintLastLog no\n"
        );
        let settings = settings.replace("%here%", &path.to_string());
        fs::write(directory.path().join("config"), ours + &settings).expect("a file can be written");
        let words = ["-D".to_owned(), "-e".to_owned(), "-f".to_owned(), format!("{path}/config")];
        let daemon = Daemon::start(program, &words, None, &directory.path().join("log"));
        daemon.wait(|| TcpStream::connect(("127.0.0.1", port)).is_ok());
        let server = Self { daemon, port, directory };
        server.know(&server.public());
        server.configure("");
        server
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its directory, which is also the home directory of its users.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Its log.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.path().join("log")).expect("it has a log")).into_owned()
    }

    /// The destination for `ssh`: `<account>@127.0.0.1`.
    pub fn to(&self) -> String {
        let account = super::run(Command::new("id").arg("-un"), "coreutils");
        format!("{}@127.0.0.1", String::from_utf8(account.stdout).expect("an account's name").trim())
    }

    /// The host as in an estate in JSON, with a client configuration that knows its key.
    pub fn host(&self) -> Value {
        json!({ "ssh": { "to": self.to(), "port": self.port, "config": self.client_config() } })
    }

    /// The configuration file of the client.
    pub fn client_config(&self) -> PathBuf {
        self.path().join("ssh_config")
    }

    /// Its public host key.
    pub fn public(&self) -> String {
        let key = fs::read_to_string(self.path().join("host.pub")).expect("it has a key");
        key.split(' ').take(2).collect::<Vec<_>>().join(" ")
    }

    /// Makes this the only host key that the client knows for this server.
    pub fn know(&self, key: &str) {
        let known = format!("[127.0.0.1]:{} {key}\n", self.port);
        fs::write(self.path().join("known_hosts"), known).expect("a file can be written");
    }

    /// Writes the client's configuration: the test's key and known hosts, and `more`.
    pub fn configure(&self, more: &str) {
        let path = self.path().display();
        let text = format!(
            "{more}\nHost *\nIdentityFile {path}/key\nIdentitiesOnly yes\nUserKnownHostsFile {path}/known_hosts\n\
             GlobalKnownHostsFile none\n"
        );
        fs::write(self.client_config(), text).expect("a file can be written");
    }

    /// The processes that serve connections.
    pub fn connections(&self) -> Vec<rustix::process::Pid> {
        let children = format!("/proc/{0}/task/{0}/children", self.daemon.pid());
        let children = fs::read_to_string(children).unwrap_or_default();
        children.split_whitespace().filter_map(|pid| rustix::process::Pid::from_raw(pid.parse().ok()?)).collect()
    }

    /// Kills the processes that serve connections, as a power failure of the host does.
    pub fn cut(&self) {
        let mut doomed = self.connections();
        assert!(!doomed.is_empty(), "nobody is connected");
        while let Some(pid) = doomed.pop() {
            let raw = pid.as_raw_nonzero();
            let below = fs::read_to_string(format!("/proc/{raw}/task/{raw}/children")).unwrap_or_default();
            let is_server =
                |pid: &str| fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.trim() == "sshd");
            let below = below.split_whitespace().filter(|pid| is_server(pid)).filter_map(|pid| pid.parse().ok());
            doomed.extend(below.filter_map(rustix::process::Pid::from_raw));
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
    }

    /// Kills the clients that are connected to it.
    pub fn kill_clients(&self) {
        let port = self.port.to_string();
        for entry in fs::read_dir("/proc").expect("there is a /proc").flatten() {
            let line = fs::read_to_string(entry.path().join("cmdline")).unwrap_or_default();
            let is_ours = line.starts_with("ssh\0") && line.split('\0').any(|word| word == port);
            let pid = entry.file_name().to_str().and_then(|name| name.parse().ok());
            if let Some(pid) = pid.and_then(rustix::process::Pid::from_raw).filter(|_| is_ours) {
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            }
        }
    }

    /// The arguments of `ssh` that run a command line on the server with a terminal.
    pub fn client(&self, command: &str) -> Vec<String> {
        let key: PathBuf = self.directory.path().join("key");
        let options =
            ["-tt", "-F", "/dev/null", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"];
        let mut words: Vec<String> = std::iter::once("ssh").chain(options).map(str::to_owned).collect();
        words.extend(["-o", "LogLevel=ERROR", "-i"].map(str::to_owned));
        words.extend([key.display().to_string(), "-p".to_owned(), self.port.to_string()]);
        words.extend([self.to(), command.to_owned()]);
        words
    }
}
