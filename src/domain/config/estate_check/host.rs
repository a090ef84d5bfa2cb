//! An environment's host: `local`, or a mapping that says how it is reached by SSH.

use super::EstateChecker;
use crate::domain::config::host::{Host, LOCAL, SshHost, is_destination};
use crate::domain::config::yaml::fields::{Fields, list};
use crate::domain::config::yaml::node::{Content, Entry, Node};
use crate::domain::core::diagnostic::{MAX_QUOTED, Problem, visible};

/// The keys of a host that is reached by SSH.
pub(in crate::domain) const HOST_KEYS: &[&str] = &["ssh", "port", "config", "options", "reaches"];

/// The options of ssh that an estate may set: what a connection needs, and none that starts a program, forwards an agent,
/// or takes the known hosts less seriously.
pub(in crate::domain) const SSH_OPTIONS: &[&str] = &[
    "AddressFamily",
    "BindAddress",
    "BindInterface",
    "CertificateFile",
    "Ciphers",
    "Compression",
    "GlobalKnownHostsFile",
    "HostKeyAlgorithms",
    "HostKeyAlias",
    "HostName",
    "IdentitiesOnly",
    "IdentityAgent",
    "IdentityFile",
    "KexAlgorithms",
    "MACs",
    "ProxyJump",
    "PubkeyAcceptedAlgorithms",
    "RekeyLimit",
    "UserKnownHostsFile",
];

/// The longest value of an option: a path, or a list of algorithms.
const LONGEST_VALUE: usize = 1_000;

/// The most patterns of what is reached from a host.
const MOST_PATTERNS: usize = 100;

impl EstateChecker<'_> {
    pub(super) fn host(&mut self, node: &Node) -> Option<Host> {
        if let Content::Map(_) = &node.content {
            return self.ssh_host(node).map(Host::Ssh);
        }
        let text = self.report.text(node)?;
        if text == LOCAL {
            return Some(Host::Local);
        }
        let problem = Problem::new(node.span.clone(), format!("`{}` is no host", visible(text, MAX_QUOTED)));
        self.report.add(problem.help("Write `local`, or `{ ssh: deploy@host }` for one that is reached by SSH."));
        None
    }

    /// One of an environment's further hosts. None is called as this machine is.
    pub(super) fn further_host(&mut self, entry: &Entry) -> Option<Host> {
        if entry.key == LOCAL {
            let problem = Problem::new(entry.key_span.clone(), "`local` is this machine and no further host");
            self.report.add(problem.help("Give the host another name."));
        }
        self.host(&entry.value)
    }

    fn ssh_host(&mut self, node: &Node) -> Option<SshHost> {
        let fields = Fields::open(&mut self.report, node, "a host", HOST_KEYS)?;
        let to = fields.required(&mut self.report, "ssh", "a host").and_then(|node| self.destination(node));
        let port = fields.get("port").and_then(|node| self.report.integer(node, 1, i64::from(u16::MAX)));
        let options = fields.get("options").map(|node| self.options(node)).unwrap_or_default();
        Some(SshHost {
            port: port.and_then(|port| u16::try_from(port).ok()),
            config: self.optional(&fields, "config"),
            options: options.into_iter().collect(),
            reaches: fields.get("reaches").map(|node| self.reached(node)).unwrap_or_default(),
            to: to?,
        })
    }

    fn destination(&mut self, node: &Node) -> Option<String> {
        let text = self.report.text(node)?;
        if is_destination(text) {
            return Some(text.to_owned());
        }
        let shown = visible(text, MAX_QUOTED);
        let problem = Problem::new(node.span.clone(), format!("`{shown}` is no destination of ssh"));
        self.report.add(problem.help("Write `host` or `user@host`; the port has a key of its own, `port`."));
        None
    }

    fn options(&mut self, node: &Node) -> Vec<(String, String)> {
        let entries = self.report.entries(node, "a mapping of options of ssh").unwrap_or_default();
        let mut options = Vec::new();
        for entry in entries {
            let Some(name) = SSH_OPTIONS.iter().find(|name| name.eq_ignore_ascii_case(&entry.key)) else {
                let shown = visible(&entry.key, MAX_QUOTED);
                let problem =
                    Problem::new(entry.key_span.clone(), format!("`{shown}` is no option that an estate sets"));
                self.report.add(
                    problem
                        .did_you_mean(&entry.key, SSH_OPTIONS.iter().copied())
                        .or_help(format!("These may be set: {}.", list(SSH_OPTIONS))),
                );
                continue;
            };
            let value = self.report.text(&entry.value).map(str::to_owned);
            match value {
                Some(value) if is_value(&value) => options.push(((*name).to_owned(), value)),
                Some(_) => {
                    self.report.add(Problem::new(entry.value.span.clone(), format!("this is no value of `{name}`")));
                }
                None => {}
            }
        }
        options
    }

    fn reached(&mut self, node: &Node) -> Vec<String> {
        let items = self.report.one_or_many(node);
        if items.len() > MOST_PATTERNS {
            let message = format!("a host has at most {MOST_PATTERNS} patterns of what is reached from it");
            self.report.add(Problem::new(node.span.clone(), message));
        }
        items.iter().filter_map(|item| self.text(item)).collect()
    }
}

/// Whether a text can be the value of an option: one line without quotes that does not begin as an option does.
fn is_value(text: &str) -> bool {
    text.len() <= LONGEST_VALUE && !text.starts_with('-') && !text.contains(|c: char| c == '"' || c.is_control())
}
