//! The Slack app of an estate: a Slack channel of it, and at least one way in.

use super::EstateChecker;
use crate::domain::config::slack_app::{SlackApp, UnknownUsers};
use crate::domain::config::yaml::fields::Fields;
use crate::domain::config::yaml::node::Node;
use crate::domain::core::diagnostic::Problem;

pub(in crate::domain) const SLACK_KEYS: &[&str] =
    &["channel", "app_token", "signing_secret", "strangers", "channel_an_incident"];

/// What people may do whom the estate does not know, as it is written.
pub(in crate::domain) const UNKNOWN_USERS: &[(&str, UnknownUsers)] =
    &[("nothing", UnknownUsers::Nothing), ("look", UnknownUsers::Look), ("acknowledge", UnknownUsers::Acknowledge)];

impl EstateChecker<'_> {
    pub(super) fn slack(&mut self, node: &Node) -> Option<SlackApp> {
        let fields = Fields::open(&mut self.report, node, "`slack`", SLACK_KEYS)?;
        let channel = fields.required(&mut self.report, "channel", "`slack`").and_then(|node| self.board(node));
        let app_token = fields.get("app_token").and_then(|node| self.secret_ref(node));
        let signing_secret = fields.get("signing_secret").and_then(|node| self.secret_ref(node));
        if fields.get("app_token").is_none() && fields.get("signing_secret").is_none() {
            let problem = Problem::new(node.span.clone(), "Slack has no way in");
            self.report.add(problem.help("Give `app_token` for Socket Mode, or `signing_secret` for HTTP."));
        }
        let strangers = fields.get("strangers").and_then(|node| self.report.keyword(node, UNKNOWN_USERS));
        let own = fields.get("channel_an_incident").and_then(|node| self.report.boolean(node));
        Some(SlackApp {
            channel: channel?,
            app_token,
            signing_secret,
            strangers: strangers.unwrap_or_default(),
            channel_an_incident: own.unwrap_or_default(),
        })
    }

    /// A channel that can be shown incidents in: one that answers with a message's name, so that it can be changed.
    fn board(&mut self, node: &Node) -> Option<String> {
        let name = self.known(node, "channel", &self.names.channels.clone())?;
        if self.names.slack_channels.contains(&name) {
            return Some(name);
        }
        let problem = Problem::new(node.span.clone(), format!("`{name}` is no Slack channel with a bot's token"));
        self.report
            .add(problem.help("Incidents are shown where messages can be changed: name one with `slack: \"#…\"`."));
        None
    }
}
