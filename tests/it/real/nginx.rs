//! A real nginx that serves TLS with the certificates of a test, each site on its own port. Every site answers 204.

use std::fmt::Write as _;
use std::fs;

use tempfile::TempDir;

use super::daemon::{Daemon, free_port, get};

const SERVER: &str = "/usr/sbin/nginx";

/// A site: its certificate chain, its key and its protocols.
pub struct Site {
    /// The chain in PEM, the certificate of the site first.
    pub chain: String,
    /// The private key in PEM.
    pub key: String,
    /// As in nginx's configuration: `TLSv1.2 TLSv1.3`.
    pub protocols: &'static str,
}

/// The server; it stops with the value.
pub struct Nginx {
    _daemon: Daemon,
    plain: u16,
    ports: Vec<u16>,
    _directory: TempDir,
}

impl Nginx {
    /// Serves each site on its own port.
    pub fn serve(sites: &[Site]) -> Self {
        let program = super::installed(SERVER, "nginx-light");
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        let own = directory.path().display().to_string();
        let write = |name: &str, text: &str| fs::write(directory.path().join(name), text).expect("a file is written");
        let plain = free_port();
        let mut text = head(&own, plain);
        let mut ports = Vec::new();
        for (at, site) in sites.iter().enumerate() {
            write(&format!("{at}.pem"), &site.chain);
            write(&format!("{at}.key"), &site.key);
            let (port, protocols) = (free_port(), site.protocols);
            let _ = writeln!(
                text,
                "server {{ listen 127.0.0.1:{port} ssl; ssl_certificate {own}/{at}.pem; \
                 ssl_certificate_key {own}/{at}.key; ssl_protocols {protocols}; ssl_ciphers ALL:@SECLEVEL=0; return 204; }}"
            );
            ports.push(port);
        }
        text.push_str("}\n");
        write("nginx.conf", &text);
        let arguments = ["-c", "/nginx.conf", "-e", "/error.log"];
        let arguments = arguments.map(|word| if word.starts_with('/') { format!("{own}{word}") } else { word.into() });
        let daemon = Daemon::start(&program, &arguments, None, &directory.path().join("log"));
        daemon.wait(|| get(plain, "/").is_some_and(|(status, _)| status == 204));
        Self { _daemon: daemon, plain, ports, _directory: directory }
    }

    /// The port of a site.
    pub fn port(&self, site: usize) -> u16 {
        self.ports[site]
    }

    /// The port for HTTP without TLS.
    pub fn plain_port(&self) -> u16 {
        self.plain
    }
}

/// The beginning of the configuration: one process, all files in one directory, and a port without TLS to wait for.
fn head(own: &str, plain: u16) -> String {
    let user = if rustix::process::geteuid().is_root() { "user root;\n" } else { "" };
    let mut text = format!(
        "{user}daemon off;\nmaster_process off;\npid {own}/pid;\nevents {{ worker_connections 64; }}\n\
         http {{\naccess_log off;\n"
    );
    for part in ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"] {
        let _ = writeln!(text, "{part}_temp_path {own}/{part};");
    }
    let _ = writeln!(text, "server {{ listen 127.0.0.1:{plain}; return 204; }}");
    text
}
