//! A real PgBouncer in front of a test's PostgreSQL.

use std::fs;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use tempfile::TempDir;

use super::daemon::{Daemon, free_port};
use super::postgres::Postgres;

/// The account that it runs as; it refuses to run as root.
const USER: &str = "postgres";

/// The pooler; it stops with the value.
pub struct PgBouncer {
    _daemon: Daemon,
    port: u16,
    _directory: TempDir,
}

impl PgBouncer {
    /// A pooler in front of this server.
    pub fn before(postgres: &Postgres) -> Self {
        let program = Path::new("/usr/sbin/pgbouncer");
        assert!(program.exists(), "there is no pgbouncer; install the Debian package `pgbouncer`");
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).expect("it is ours");
        let (port, file) = (free_port(), directory.path().join("pgbouncer.ini"));
        let settings = format!(
            "[databases]\n* = host=127.0.0.1 port={}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n\
             unix_socket_dir =\nauth_type = any\n",
            postgres.port()
        );
        fs::write(&file, settings).expect("a file can be written");
        let log = directory.path().join("log");
        let daemon = Daemon::start(program, &[file.display().to_string()], Some(USER), &log);
        daemon.wait(|| TcpStream::connect(("127.0.0.1", port)).is_ok());
        Self { _daemon: daemon, port, _directory: directory }
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }
}
