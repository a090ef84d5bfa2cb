//! The rules of channels.

use super::{EstateChecker, entries, entry};
use crate::domain::config::estate_schema::pattern::is_loopback_host;
use crate::domain::config::yaml::node::{Entry, Node};
use crate::domain::core::diagnostic::Problem;

impl EstateChecker<'_> {
    pub(super) fn channels(&mut self, estate: &Node) {
        for channel in entries(estate, "channels") {
            self.bot_has_a_token(channel);
            self.no_fallback_to_itself(channel);
            if let Some(email) = channel.value.get("email") {
                self.mail_is_protected(email);
            }
        }
    }

    /// `slack` needs `token`; no other route has `token` or `api`.
    fn bot_has_a_token(&mut self, channel: &Entry) {
        let has = |key: &str| channel.value.get(key).is_some();
        let others = ["slack_webhook", "email", "webhook", "command"];
        let (message, help) = match others.iter().find(|key| has(key)) {
            None if has("slack") && !has("token") => (
                "a Slack channel needs the bot's `token`".to_owned(),
                "Write `slack: \"#incidents\"` with `token: { secret: … }`, or `slack_webhook: { secret: … }`.",
            ),
            Some(other) if !has("slack") && (has("token") || has("api")) => {
                (format!("`{other}` takes no `token` and no `api`"), "Remove them; they belong to `slack`.")
            }
            _ => return,
        };
        self.report.add(Problem::new(channel.key_span.clone(), message).help(help));
    }

    fn no_fallback_to_itself(&mut self, channel: &Entry) {
        let Some(fallback) = channel.value.get("fallback") else { return };
        for item in self.report.one_or_many(fallback) {
            if item.as_text() == Some(&channel.key) {
                self.report.add(Problem::new(item.span.clone(), "a channel cannot be its own fallback"));
            }
        }
    }

    /// E-mail leaves this machine only with TLS, and an account has a password.
    fn mail_is_protected(&mut self, email: &Node) {
        let is_remote = email.get("server").and_then(Node::as_text).is_some_and(|server| !is_loopback_host(server));
        if let Some(tls) = email.get("tls").filter(|tls| is_remote && tls.as_text() == Some("none")) {
            let problem = Problem::new(tls.span.clone(), "`tls: none` is only for a server on this machine");
            self.report.add(problem.help("Write `tls: starttls` or `tls: implicit`."));
        }
        if let (Some(lone), None) | (None, Some(lone)) = (entry(email, "user"), entry(email, "password")) {
            let problem = Problem::new(lone.key_span.clone(), "an account needs both `user` and `password`");
            self.report.add(problem.help("Give both, or neither."));
        }
    }
}
