//! The rules between values of an estate, which no shape can express.
//!
//! A rule reads the nodes of the file. It ignores a value of a wrong shape, because that is reported by `shape`.

use std::collections::BTreeMap;

use super::{EstateChecker, entries, entry};
use crate::domain::config::estate_schema::Part;
use crate::domain::config::yaml::fields::list;
use crate::domain::config::yaml::node::Node;
use crate::domain::core::diagnostic::{MAX_QUOTED, Problem, SourceSpan, visible};

impl EstateChecker<'_> {
    /// Checks every rule.
    pub(super) fn rules(&mut self, estate: &Node) {
        self.hosts(estate);
        self.no_service_needs_itself(estate);
        self.units_differ(estate);
        self.people_differ(estate);
        self.keys_are_of_files(estate);
        self.channels(estate);
        self.senders(estate);
        self.alerts_have_an_environment(estate);
        self.slack(estate);
    }

    fn no_service_needs_itself(&mut self, estate: &Node) {
        for service in entries(estate, "services") {
            let Some(needed) = service.value.get("depends_on") else { continue };
            for item in self.report.one_or_many(needed) {
                if item.as_text() == Some(&service.key) {
                    self.report.add(Problem::new(item.span.clone(), "a service cannot depend on itself"));
                }
            }
        }
    }

    /// Two services with one unit would be restarted together and have separate states.
    fn units_differ(&mut self, estate: &Node) {
        let mut seen: BTreeMap<&str, &SourceSpan> = BTreeMap::new();
        for node in entries(estate, "services").filter_map(|entry| entry.value.get("unit")) {
            let Some(unit) = node.as_text() else { continue };
            if let Some(first) = seen.get(unit) {
                let message = format!("two services have the unit `{}`", visible(unit, MAX_QUOTED));
                let problem = Problem::new(node.span.clone(), message);
                self.report.add(problem.related((*first).clone(), "the first is here"));
            } else {
                seen.insert(unit, &node.span);
            }
        }
    }

    /// An account, a Slack user id and an address each identify one person.
    fn people_differ(&mut self, estate: &Node) {
        for key in ["account", "slack", "email"] {
            let mut seen: Vec<(&str, &SourceSpan)> = Vec::new();
            for node in entries(estate, "people").filter_map(|entry| entry.value.get(key)) {
                let Some(text) = node.as_text() else { continue };
                match seen.iter().find(|(other, _)| other.eq_ignore_ascii_case(text)) {
                    Some((_, first)) => {
                        let shown = visible(text, MAX_QUOTED);
                        let problem = Problem::new(node.span.clone(), format!("two people have the {key} `{shown}`"));
                        self.report.add(problem.related((*first).clone(), "the first is here"));
                    }
                    None => seen.push((text, &node.span)),
                }
            }
        }
    }

    fn keys_are_of_files(&mut self, estate: &Node) {
        for secret in entries(estate, "secrets") {
            if let (Some(key), None) = (entry(&secret.value, "key"), entry(&secret.value, "file")) {
                let problem = Problem::new(key.key_span.clone(), "`key` needs a `file`");
                self.report.add(problem.help("Add `file: …`."));
            }
        }
    }

    /// With several environments, there is one for alerts that name none.
    fn alerts_have_an_environment(&mut self, estate: &Node) {
        let (Some(senders), None) = (entry(estate, "senders"), estate.get("default_environment")) else { return };
        let given = estate.get("alerts").and_then(|node| node.get("environment")).is_some();
        let environments = self.names.of_part(Part::Environments);
        if given || environments.len() < 2 {
            return;
        }
        let known: Vec<&str> = environments.iter().map(String::as_str).collect();
        let problem = Problem::new(senders.key_span.clone(), "there is no environment for alerts that name none");
        self.report.add(problem.help(format!("Add `alerts: {{ environment: … }}` with one of {}.", list(&known))));
    }

    /// The Slack app can receive requests, and its channel allows messages to be changed.
    fn slack(&mut self, estate: &Node) {
        let Some(app) = estate.get("slack").filter(|node| node.as_map().is_some()) else { return };
        if app.get("app_token").is_none() && app.get("signing_secret").is_none() {
            let problem = Problem::new(app.span.clone(), "the Slack app cannot receive requests");
            self.report.add(problem.help("Add `app_token` for Socket Mode, or `signing_secret` for HTTP."));
        }
        let Some(channel) = app.get("channel") else { return };
        let Some(name) = channel.as_text().filter(|name| self.is_channel(name)) else { return };
        if !self.names.slack_channels.contains(name) {
            let message = format!("`{name}` is no Slack channel with a bot's token");
            let problem = Problem::new(channel.span.clone(), message);
            let help = "The incident's message is changed later, so the channel needs `slack: \"#…\"` and `token`.";
            self.report.add(problem.help(help));
        }
    }

    fn is_channel(&self, name: &str) -> bool {
        self.names.of_part(Part::Channels).iter().any(|known| known == name)
    }
}
