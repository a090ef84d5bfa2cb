//! The channels of an estate: exactly one way out each, and the others that are tried in its place.

use std::collections::BTreeMap;

use super::EstateChecker;
use super::sections::is_variable;
use crate::domain::config::channel::Variable;
use crate::domain::config::estate::{Channel, Email, Program, Tls, Webhook};
use crate::domain::config::yaml::fields::{Fields, list};
use crate::domain::config::yaml::node::{Content, Entry, Node};
use crate::domain::core::diagnostic::{MAX_QUOTED, Problem, visible};
use crate::domain::core::secret_ref::SecretRef;

/// The ways out, of which a channel has exactly one.
pub(in crate::domain) const WAYS: &[&str] = &["slack", "slack_webhook", "email", "webhook", "command"];
const CHANNEL_KEYS: &[&str] = &["slack", "token", "api", "slack_webhook", "email", "webhook", "command", "fallback"];
pub(in crate::domain) const EMAIL_KEYS: &[&str] = &["to", "from", "server", "port", "tls", "user", "password", "trust"];
pub(in crate::domain) const WEBHOOK_KEYS: &[&str] = &["url", "secret"];
pub(in crate::domain) const PROGRAM_KEYS: &[&str] = &["argv", "env"];

/// How a connection to an SMTP server is kept secret, as it is written.
pub(in crate::domain) const TLS: &[(&str, Tls)] =
    &[("starttls", Tls::Starttls), ("implicit", Tls::Implicit), ("none", Tls::None)];

/// The ports that go with them: submission, submissions (RFC 8314) and plain SMTP.
const PORTS: [(Tls, u16); 3] = [(Tls::Starttls, 587), (Tls::Implicit, 465), (Tls::None, 25)];

/// The most people that one letter goes to: a channel is no mailing list.
const MAX_ADDRESSES: usize = 50;

impl EstateChecker<'_> {
    pub(super) fn channel(&mut self, entry: &Entry) -> Option<Channel> {
        let fields = self.open(entry, "a channel", CHANNEL_KEYS)?;
        let channel = Channel {
            slack: self.optional(&fields, "slack"),
            token: fields.get("token").and_then(|node| self.secret_ref(node)),
            api: fields.get("api").and_then(|node| self.address(node)),
            slack_webhook: fields.get("slack_webhook").and_then(|node| self.secret_ref(node)),
            email: fields.get("email").and_then(|node| self.email(node)),
            webhook: fields.get("webhook").and_then(|node| self.webhook(node)),
            command: fields.get("command").and_then(|node| self.program(node)),
            fallback: fields.get("fallback").map(|node| self.fallback(node, &entry.key)).unwrap_or_default(),
        };
        self.one_transport(&fields, entry).then_some(channel)
    }

    fn one_transport(&mut self, fields: &Fields<'_>, entry: &Entry) -> bool {
        let has = |key: &str| fields.get(key).is_some();
        let ways: Vec<&str> = WAYS.iter().copied().filter(|way| has(way)).collect();
        let (message, help) = match ways.as_slice() {
            [] => ("the channel has no way out".to_owned(), format!("Give exactly one of {}.", list(WAYS))),
            [first, second, ..] => (
                format!("the channel has two ways out, `{first}` and `{second}`"),
                "Make two channels of it, and name the second in `fallback` of the first.".to_owned(),
            ),
            ["slack"] if !has("token") => (
                "a Slack channel needs the bot's `token`".to_owned(),
                "Write `slack: \"#incidents\"` with `token: { secret: … }`, or `slack_webhook: { secret: … }`."
                    .to_owned(),
            ),
            [other] if *other != "slack" && (has("token") || has("api")) => (
                format!("`{other}` takes no `token` and no `api`"),
                "Take them away; they belong to `slack`.".to_owned(),
            ),
            _ => return true,
        };
        self.report.add(Problem::new(entry.key_span.clone(), message).help(help));
        false
    }

    fn fallback(&mut self, node: &Node, own: &str) -> Vec<String> {
        let known = self.names.channels.clone();
        let items = self.report.one_or_many(node);
        items
            .iter()
            .filter_map(|item| {
                if item.as_text() == Some(own) {
                    self.report.add(Problem::new(item.span.clone(), "a channel cannot stand in for itself"));
                    return None;
                }
                self.known(item, "channel", &known)
            })
            .collect()
    }

    fn email(&mut self, node: &Node) -> Option<Email> {
        let fields = Fields::open(&mut self.report, node, "`email`", EMAIL_KEYS)?;
        let to = fields.required(&mut self.report, "to", "`email`").map(|node| self.addresses(node));
        let from = fields.required(&mut self.report, "from", "`email`").and_then(|node| self.mailbox(node));
        let server = fields.required(&mut self.report, "server", "`email`").and_then(|node| self.text(node));
        let tls = fields.get("tls").map_or(Some(Tls::Starttls), |node| self.report.keyword(node, TLS))?;
        let port = fields.get("port").and_then(|node| self.report.integer(node, 1, i64::from(u16::MAX)));
        let usual = PORTS.iter().find(|(of, _)| *of == tls).map_or(587, |(_, port)| *port);
        let email = Email {
            to: to?,
            from: from?,
            server: server?,
            port: port.and_then(|port| u16::try_from(port).ok()).unwrap_or(usual),
            tls,
            user: self.optional(&fields, "user"),
            password: fields.get("password").and_then(|node| self.secret_ref(node)),
            trust: self.optional(&fields, "trust"),
        };
        self.is_secret_address(&fields, &email);
        Some(email)
    }

    fn is_secret_address(&mut self, fields: &Fields<'_>, email: &Email) {
        let local = matches!(email.server.as_str(), "localhost" | "127.0.0.1" | "::1");
        if let (Some(node), Tls::None, false) = (fields.get("tls"), email.tls, local) {
            let problem = Problem::new(node.span.clone(), "without TLS a letter goes only to this machine");
            self.report.add(problem.help("Write `tls: starttls` or `tls: implicit`."));
        }
        let (user, password) = (fields.entry("user"), fields.entry("password"));
        if let (Some(lone), None) | (None, Some(lone)) = (user, password) {
            let problem = Problem::new(lone.key_span.clone(), "an account has a `user` and a `password`");
            self.report.add(problem.help("Give both, or neither."));
        }
    }

    /// Addresses, or people of the estate who have one.
    fn addresses(&mut self, node: &Node) -> Vec<String> {
        let items = self.report.one_or_many(node);
        if items.is_empty() || items.len() > MAX_ADDRESSES {
            let message = format!("a letter goes to 1 to {MAX_ADDRESSES} people, this one to {}", items.len());
            self.report.add(Problem::new(node.span.clone(), message));
        }
        items
            .iter()
            .filter_map(|item| {
                let text = self.report.text(item)?;
                if text.contains('@') {
                    return self.mailbox(item);
                }
                self.known(item, "person", &self.names.people.clone())?;
                let address = self.names.emails.get(text).cloned();
                if address.is_none() {
                    let problem = Problem::new(item.span.clone(), format!("`{text}` has no `email` in this file"));
                    self.report.add(problem.help("Add it to the person, or write the address here."));
                }
                address
            })
            .collect()
    }

    /// An address, as far as it can be told without asking its server.
    pub(super) fn mailbox(&mut self, node: &Node) -> Option<String> {
        let text = self.report.text(node)?;
        let plain = |c: char| !c.is_whitespace() && !c.is_control() && !matches!(c, '<' | '>' | ',' | ';' | '"');
        let whole = text.rsplit_once('@').is_some_and(|(local, domain)| !local.is_empty() && !domain.is_empty());
        if whole && text.len() <= 254 && text.chars().all(plain) {
            return Some(text.to_owned());
        }
        let shown = visible(text, MAX_QUOTED);
        let problem = Problem::new(node.span.clone(), format!("`{shown}` is no e-mail address"));
        self.report.add(problem.help("Write it bare, such as `oncall@shop.example`."));
        None
    }

    fn webhook(&mut self, node: &Node) -> Option<Webhook> {
        let fields = Fields::open(&mut self.report, node, "`webhook`", WEBHOOK_KEYS)?;
        let url = fields.required(&mut self.report, "url", "`webhook`").and_then(|node| self.secure(node));
        let secret = fields.required(&mut self.report, "secret", "`webhook`").and_then(|node| self.key(node));
        Some(Webhook { url: url?, secret: secret? })
    }

    /// An address to which secrets may be sent.
    pub(super) fn secure(&mut self, node: &Node) -> Option<String> {
        let text = self.address(node)?;
        let rest = text.strip_prefix("http://");
        let host = rest.map(|rest| rest.split(['/', '?', '#']).next().unwrap_or_default());
        let local = |host: &str| {
            ["127.0.0.1", "localhost", "[::1]"]
                .iter()
                .any(|name| host == *name || host.starts_with(&format!("{name}:")))
        };
        if host.is_some_and(|host| !local(host)) {
            let problem = Problem::new(node.span.clone(), "a message goes in clear only to this machine");
            self.report.add(problem.help("Write `https://…`."));
            return None;
        }
        Some(text)
    }

    /// `{secret: name}`, or the name alone: nothing else can stand there.
    pub(super) fn key(&mut self, node: &Node) -> Option<SecretRef> {
        match node.as_text() {
            Some(text) if self.names.secrets.iter().any(|name| name == text) => {
                Some(SecretRef { secret: text.to_owned() })
            }
            _ => self.secret_ref(node),
        }
    }

    fn program(&mut self, node: &Node) -> Option<Program> {
        let (words, env) = match &node.content {
            Content::List(_) => (Some(node), None),
            _ => {
                let fields = Fields::open(&mut self.report, node, "`command`", PROGRAM_KEYS)?;
                (fields.required(&mut self.report, "argv", "`command`"), fields.get("env"))
            }
        };
        let argv = self.report.items(words?)?;
        if argv.is_empty() {
            self.report.add(Problem::new(node.span.clone(), "no program is given"));
        }
        let argv = argv.iter().filter_map(|word| self.text(word)).collect();
        Some(Program { argv, env: env.map(|node| self.variables(node)).unwrap_or_default() })
    }

    fn variables(&mut self, node: &Node) -> BTreeMap<String, Variable> {
        let entries = self.report.entries(node, "a mapping of variables by name").unwrap_or_default();
        let mut variables = BTreeMap::new();
        for entry in entries {
            if !is_variable(&entry.key) {
                self.report.add(Problem::new(entry.key_span.clone(), "this is not the name of a variable"));
            }
            let value = match &entry.value.content {
                Content::Map(_) => self.secret_ref(&entry.value).map(Variable::Secret),
                _ => self.text(&entry.value).map(Variable::Plain),
            };
            variables.extend(value.map(|value| (entry.key.clone(), value)));
        }
        variables
    }
}
