//! A real Prometheus, a real Alertmanager, and a page of metrics to scrape, each on a free port of loopback.
//!
//! A test gives the text of the configurations. It starts the Alertmanager first, whose port is in the configuration of the
//! Prometheus.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tempfile::TempDir;

use super::daemon::{Daemon, free_port, get};

const PROMETHEUS: &str = "/usr/bin/prometheus";
const ALERTMANAGER: &str = "/usr/bin/prometheus-alertmanager";

/// A Prometheus or an Alertmanager; it stops with the value.
pub struct Server {
    daemon: Daemon,
    port: u16,
    directory: TempDir,
}

/// A Prometheus with this configuration and these files beside it, such as rules.
pub fn prometheus(configuration: &str, files: &[(&str, &str)]) -> Server {
    let program = super::installed(PROMETHEUS, "prometheus");
    Server::start(&program, configuration, files, |directory, port| {
        vec![
            format!("--config.file={directory}/configuration.yml"),
            format!("--storage.tsdb.path={directory}/data"),
            format!("--web.listen-address=127.0.0.1:{port}"),
            "--web.enable-lifecycle".to_owned(),
        ]
    })
}

/// A Prometheus that scrapes one page five times a second, under the job name `page`.
pub fn prometheus_of(page: &Page) -> Server {
    let configuration = format!(
        "global: {{ scrape_interval: 200ms, scrape_timeout: 200ms }}\n\
         scrape_configs:\n- job_name: page\n  static_configs: [ {{ targets: [ \"127.0.0.1:{}\" ] }} ]\n",
        page.port()
    );
    prometheus(&configuration, &[])
}

/// An Alertmanager with this configuration.
pub fn alertmanager(configuration: &str) -> Server {
    let program = super::installed(ALERTMANAGER, "prometheus-alertmanager");
    Server::start(&program, configuration, &[], |directory, port| {
        vec![
            format!("--config.file={directory}/configuration.yml"),
            format!("--storage.path={directory}/data"),
            format!("--web.listen-address=127.0.0.1:{port}"),
            "--cluster.listen-address=".to_owned(),
        ]
    })
}

impl Server {
    fn start(
        program: &Path,
        configuration: &str,
        files: &[(&str, &str)],
        arguments: impl Fn(&str, u16) -> Vec<String>,
    ) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        let own = [("configuration.yml", configuration)];
        for (name, text) in own.iter().chain(files) {
            fs::write(directory.path().join(name), text).expect("a file can be written");
        }
        let port = free_port();
        let arguments = arguments(&directory.path().display().to_string(), port);
        let daemon = Daemon::start(program, &arguments, None, &directory.path().join("log"));
        let server = Self { daemon, port, directory };
        server.daemon.wait(|| get(port, "/-/ready").is_some_and(|(status, _)| status == 200));
        server
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its URL, without a slash at the end.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Its directory: `configuration.yml`, the files beside it, `data`, `log`.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The body of `GET <path>`.
    pub fn get(&self, path: &str) -> String {
        get(self.port, path).unwrap_or_else(|| panic!("no answer to {path}: {}", self.daemon.log_end())).1
    }
}

/// An HTTP server that answers every path with one text, which a test may change.
pub struct Page {
    port: u16,
    text: Arc<Mutex<String>>,
    asked: Arc<AtomicUsize>,
    over: Arc<AtomicBool>,
}

impl Page {
    /// A page with this text.
    pub fn serve(text: &str) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", free_port())).expect("a free port");
        let port = listener.local_addr().expect("a bound socket has an address").port();
        let (text, asked) = (Arc::new(Mutex::new(text.to_owned())), Arc::new(AtomicUsize::new(0)));
        let over = Arc::new(AtomicBool::new(false));
        let (shown, count, end) = (Arc::clone(&text), Arc::clone(&asked), Arc::clone(&over));
        std::thread::spawn(move || {
            for stream in listener.incoming().take_while(|_| !end.load(Ordering::Relaxed)).flatten() {
                count.fetch_add(1, Ordering::Relaxed);
                let text = shown.lock().expect("no holder panics").clone();
                // The client may have disconnected.
                let _ = answer(&stream, &text);
            }
        });
        Self { port, text, asked, over }
    }

    /// Changes the text.
    pub fn show(&self, text: &str) {
        text.clone_into(&mut self.text.lock().expect("no holder panics"));
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its URL, without a slash at the end.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The number of requests so far.
    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

fn answer(stream: &TcpStream, text: &str) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    for line in BufReader::new(stream).lines() {
        if line?.is_empty() {
            break;
        }
    }
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\nConnection: close\r\n";
    write!(&mut &*stream, "{head}Content-Length: {}\r\n\r\n{text}", text.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::real::eventually;

    #[test]
    fn an_alert_about_a_page_arrives_at_the_alertmanager() {
        let page = Page::serve("queue_length 7\n");
        let alertmanager = alertmanager("route: { receiver: none }\nreceivers: [ { name: none } ]\n");
        let rules = "groups: [ { name: g, rules: [ { alert: Long, expr: queue_length > 5 } ] } ]\n";
        let configuration = format!(
            "global: {{ scrape_interval: 200ms, scrape_timeout: 200ms, evaluation_interval: 200ms }}\n\
             rule_files: [ rules.yml ]\n\
             alerting: {{ alertmanagers: [ {{ static_configs: [ {{ targets: [ \"127.0.0.1:{}\" ] }} ] }} ] }}\n\
             scrape_configs:\n- job_name: page\n  static_configs: [ {{ targets: [ \"127.0.0.1:{}\" ] }} ]\n",
            alertmanager.port(),
            page.port()
        );
        let _prometheus = prometheus(&configuration, &[("rules.yml", rules)]);
        eventually("the alert fires", || alertmanager.get("/api/v2/alerts").contains(r#""alertname":"Long""#));
    }
}
