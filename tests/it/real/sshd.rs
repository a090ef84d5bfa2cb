//! A real OpenSSH server on loopback, and its client, for whoever runs the tests.

use std::fs;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::daemon::{Daemon, free_port};

/// Where Debian's server wants an empty directory when it is root's; its unit makes it at every start.
const EMPTY: &str = "/run/sshd";

/// The server; it is gone with the value.
pub struct Sshd {
    daemon: Daemon,
    port: u16,
    directory: TempDir,
}

impl Sshd {
    /// A server that lets in who has the key of this test, and nobody else.
    pub fn start() -> Self {
        Self::with("")
    }

    /// The same with further settings, which may speak of its directory as `%here%`.
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
        // The account's own start-up files are no part of the test.
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

    /// Its files, among them the home directory of who comes in.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Everything it has logged.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.path().join("log")).expect("it has a log")).into_owned()
    }

    /// The account that comes in.
    pub fn to(&self) -> String {
        let account = super::run(Command::new("id").arg("-un"), "coreutils");
        format!("{}@127.0.0.1", String::from_utf8(account.stdout).expect("an account's name").trim())
    }

    /// The host as an estate in JSON has it, reached by a configuration that knows its key.
    pub fn host(&self) -> Value {
        json!({ "ssh": { "to": self.to(), "port": self.port, "config": self.client_config() } })
    }

    /// The file that configures the client.
    pub fn client_config(&self) -> PathBuf {
        self.path().join("ssh_config")
    }

    /// Its host key.
    pub fn public(&self) -> String {
        let key = fs::read_to_string(self.path().join("host.pub")).expect("it has a key");
        key.split(' ').take(2).collect::<Vec<_>>().join(" ")
    }

    /// Makes the client know this key, and no other, for this server.
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

    /// Kills whatever serves connections, as a host does that loses its power.
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

    /// Kills the client's connections to it, as if memory had run out here.
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

    /// The words that run a command line over there with a terminal, as a person does.
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
