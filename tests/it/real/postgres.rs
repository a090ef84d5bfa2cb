//! A real, empty PostgreSQL on a free port of loopback, with a password for its superuser.
//!
//! PostgreSQL refuses to run as root, so a test that runs as root starts it as `postgres`. `fsync` is off, and there are no
//! Unix sockets.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use runbook::actions::transport::process::spawn_detached;
use rustix::process::Signal;
use tempfile::TempDir;

use super::daemon::{Daemon, free_port};

const PACKAGE: &str = "postgresql";
const VERSIONS: &str = "/usr/lib/postgresql";
const USER: &str = "postgres";

/// The superuser's password.
pub const PASSWORD: &str = "elephant-in-the-room";

/// The server; it stops with the value.
pub struct Postgres {
    daemon: Daemon,
    port: u16,
    programs: PathBuf,
    directory: TempDir,
}

impl Postgres {
    /// A server with its default settings.
    pub fn start() -> Self {
        Self::with(&[])
    }

    /// A server with these settings, as `postgresql.conf` has them: `("max_connections", "20")`.
    pub fn with(settings: &[(&str, &str)]) -> Self {
        Self::prepared(settings, |_| {})
    }

    /// The same, after `prepare` has written files into its directory; the server's account owns them.
    pub fn prepared(settings: &[(&str, &str)], prepare: impl FnOnce(&Path)) -> Self {
        let programs = programs();
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        fs::write(directory.path().join("password"), PASSWORD).expect("a file can be written");
        fs::write(directory.path().join("log"), "").expect("a file can be written");
        prepare(directory.path());
        give_away(directory.path());
        let data = directory.path().join("data");
        initialise(&programs, directory.path(), &data);
        let port = free_port();
        let mut arguments = vec!["-D".to_owned(), data.display().to_string(), "-p".to_owned(), port.to_string()];
        let all = [("listen_addresses", "127.0.0.1"), ("unix_socket_directories", ""), ("fsync", "off")];
        arguments.extend(all.iter().chain(settings).flat_map(|(name, value)| ["-c".into(), format!("{name}={value}")]));
        let log = directory.path().join("log");
        // SIGINT: without waiting for clients.
        let daemon = Daemon::start(&programs.join("postgres"), &arguments, Some(USER), &log).stopped_by(Signal::INT);
        let postgres = Self { daemon, port, programs, directory };
        let ready = postgres.programs.join("pg_isready");
        postgres.daemon.wait(|| is_ready(&ready, port));
        postgres
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its directory.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The URL for the superuser, with the password.
    pub fn url(&self) -> String {
        self.url_of(USER, PASSWORD)
    }

    /// The URL for another role.
    pub fn url_of(&self, role: &str, password: &str) -> String {
        format!("postgres://{role}:{password}@127.0.0.1:{}/postgres", self.port)
    }

    /// Runs SQL as superuser and returns the output of `psql`: values only, columns separated by `|`.
    pub fn sql(&self, sql: &str) -> String {
        let mut command = self.psql("runbook-test");
        command.args(["-c", sql]);
        String::from_utf8_lossy(&super::run(&mut command, PACKAGE).stdout).trim_end().to_owned()
    }

    /// A session under this application name that begins a transaction, runs `sql` in it and stays idle.
    pub fn idle_in_transaction(&self, application: &str, sql: &str) -> Session {
        self.idle(self.psql(application), application, sql)
    }

    /// The same for another role, without further SQL.
    pub fn idle_in_transaction_as(&self, role: &str, password: &str, application: &str) -> Session {
        let command = self.psql_at(&self.url_of(role, password), application);
        self.idle(command, application, "select 1")
    }

    fn idle(&self, command: Command, application: &str, sql: &str) -> Session {
        let session = Session::new(command, &format!("begin; {sql};"));
        let found = format!(
            "select count(*) from pg_stat_activity where application_name = '{application}' and state like 'idle in%'"
        );
        super::eventually("the session is idle in its transaction", || self.sql(&found) != "0");
        session
    }

    /// Waits until `count` sessions of an application have been idle in a transaction for longer than `over`.
    pub fn wait_until_idle(&self, application: &str, count: usize, over: Duration) {
        let idle = format!(
            "select count(*) from pg_stat_activity where application_name = '{application}' \
             and state like 'idle in%' and clock_timestamp() - state_change > interval '{} milliseconds'",
            over.as_millis()
        );
        super::eventually("the sessions have been idle for long enough", || self.sql(&idle) == count.to_string());
    }

    /// A session under this application name that runs `sql` and then stays connected.
    pub fn session(&self, application: &str, sql: &str) -> Session {
        Session::new(self.psql(application), sql)
    }

    fn psql(&self, application: &str) -> Command {
        self.psql_at(&self.url(), application)
    }

    fn psql_at(&self, url: &str, application: &str) -> Command {
        let mut command = Command::new(self.programs.join("psql"));
        command.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", url]);
        command.env("PGAPPNAME", application);
        command
    }
}

/// A client that is connected until its value drops.
pub struct Session(Child);

impl Session {
    fn new(mut command: Command, sql: &str) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = spawn_detached(&mut command).expect("psql starts");
        writeln!(child.stdin.as_mut().expect("stdin was asked for"), "{sql}").expect("psql reads its standard input");
        Self(child)
    }

    /// Whether the server has ended its connection. `psql` notices that at the next statement, which this sends.
    pub fn is_over(&mut self) -> bool {
        let _ = writeln!(self.0.stdin.as_mut().expect("stdin was asked for"), "select 1;");
        self.0.try_wait().expect("a child can be asked").is_some()
    }

    /// Waits until the server has ended its connection.
    pub fn is_over_soon(&mut self) -> bool {
        super::eventually("the session is over", || self.is_over());
        true
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The directory with the programs of the newest installed version.
fn programs() -> PathBuf {
    let versions = fs::read_dir(VERSIONS).into_iter().flatten().flatten().map(|entry| entry.path());
    let newest = versions.filter(|path| path.join("bin/postgres").exists()).max();
    newest.unwrap_or_else(|| panic!("there is no `{VERSIONS}`; install the Debian package `{PACKAGE}`")).join("bin")
}

fn initialise(programs: &Path, directory: &Path, data: &Path) {
    let mut command = as_owner(&programs.join("initdb"));
    command.args(["--no-sync", "--no-locale", "-E", "UTF8", "-U", USER, "-A", "scram-sha-256", "-D"]).arg(data);
    command.arg("--pwfile").arg(directory.join("password")).current_dir("/");
    super::run(&mut command, PACKAGE);
}

/// A program that runs as the account of the server.
fn as_owner(program: &Path) -> Command {
    if !rustix::process::geteuid().is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid", USER, "--regid", USER, "--clear-groups", "--"]).arg(program);
    command
}

fn give_away(directory: &Path) {
    if rustix::process::geteuid().is_root() {
        super::run(Command::new("chown").args(["-R", USER]).arg(directory), "coreutils");
    }
}

fn is_ready(program: &Path, port: u16) -> bool {
    let mut command = Command::new(program);
    command.args(["-q", "-h", "127.0.0.1", "-p", &port.to_string()]);
    runbook::actions::transport::process::output_detached(&mut command).is_ok_and(|output| output.status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_stays_until_it_is_dropped() {
        let postgres = Postgres::with(&[("max_connections", "20")]);
        let session = postgres.idle_in_transaction("leak", "select 1");
        let count = "select count(*) from pg_stat_activity where application_name = 'leak'";
        assert_eq!((postgres.sql(count), postgres.sql("show max_connections")), ("1".to_owned(), "20".to_owned()));
        drop(session);
        super::super::eventually("the session is gone", || postgres.sql(count) == "0");
    }
}
