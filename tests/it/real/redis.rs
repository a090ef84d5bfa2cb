//! A real, empty Redis without persistence, on a free port of loopback.

use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use super::daemon::{Daemon, free_port};

const SERVER: &str = "/usr/bin/redis-server";
const CLIENT: &str = "/usr/bin/redis-cli";
const PACKAGE: &str = "redis-server";

/// The server; it stops with the value.
pub struct Redis {
    daemon: Daemon,
    port: u16,
    password: Option<String>,
    _directory: TempDir,
}

impl Redis {
    /// A server without password and without limits.
    pub fn start() -> Self {
        Self::with(None, &[])
    }

    /// A server that asks for a password.
    pub fn with_password(password: &str) -> Self {
        Self::with(Some(password), &[])
    }

    /// A server with these settings, as `redis.conf` has them: `("maxmemory", "8mb")`.
    pub fn with(password: Option<&str>, settings: &[(&str, &str)]) -> Self {
        let server = super::installed(SERVER, PACKAGE);
        super::installed(CLIENT, "redis-tools");
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        let port = free_port();
        let mut arguments = vec!["--port".to_owned(), port.to_string()];
        let own = directory.path().display().to_string();
        let mut all = vec![("bind", "127.0.0.1"), ("save", ""), ("appendonly", "no"), ("dir", own.as_str())];
        all.extend(password.map(|password| ("requirepass", password)));
        all.extend(settings);
        arguments.extend(all.into_iter().flat_map(|(name, value)| [format!("--{name}"), value.to_owned()]));
        let daemon = Daemon::start(&server, &arguments, None, &directory.path().join("log"));
        let redis = Self { daemon, port, password: password.map(str::to_owned), _directory: directory };
        let ping = Self::client(port, password);
        redis.daemon.wait(|| answers(&ping));
        redis
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its URL, with the password.
    pub fn url(&self) -> String {
        let user = self.password.as_ref().map_or_else(String::new, |password| format!(":{password}@"));
        format!("redis://{user}127.0.0.1:{}/", self.port)
    }

    /// Runs one command with `redis-cli` and returns its output.
    pub fn cli(&self, words: &[&str]) -> String {
        let mut command = Command::new(CLIENT);
        command.args(Self::client(self.port, self.password.as_deref())).args(words);
        let output = super::run(&mut command, "redis-tools");
        String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
    }

    /// Runs a Lua script, which can write thousands of keys in one call.
    pub fn eval(&self, script: &str) -> String {
        self.cli(&["EVAL", script, "0"])
    }

    /// Suspends it: its port stays open, and nothing answers.
    pub fn freeze(&self) {
        self.daemon.freeze();
    }

    fn client(port: u16, password: Option<&str>) -> Vec<String> {
        let mut words = vec!["-h".to_owned(), "127.0.0.1".to_owned(), "-p".to_owned(), port.to_string()];
        if let Some(password) = password {
            words.extend(["--no-auth-warning".to_owned(), "-a".to_owned(), password.to_owned()]);
        }
        words
    }
}

fn answers(client: &[String]) -> bool {
    let mut command = Command::new(Path::new(CLIENT));
    command.args(client).arg("PING");
    runbook::actions::transport::process::output_detached(&mut command)
        .is_ok_and(|output| output.status.success() && output.stdout.starts_with(b"PONG"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_answers_only_with_the_password() {
        let redis = Redis::with_password("open sesame");
        assert_eq!(redis.cli(&["SET", "a", "1"]), "OK");
        let mut without_password = Command::new(CLIENT);
        without_password.args(Redis::client(redis.port(), None)).arg("PING");
        let printed = super::super::run(&mut without_password, "redis-tools").stdout;
        assert!(String::from_utf8_lossy(&printed).contains("NOAUTH"));
    }
}
