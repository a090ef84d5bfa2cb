//! The checker of `estate.yaml`: an [`Estate`], or every [`Problem`] of the file.
//!
//! **Invariant:** an estate is returned only when there is no problem: every name that one section uses is defined in another.
//!
//! Not here: whether units, files and addresses exist; see `runbook doctor`.

mod alert_policy;
mod channel;
mod host;
mod incident_page;
mod logs;
mod sections;
mod sender;
mod slack_app;

use std::collections::{BTreeMap, BTreeSet};

use super::estate::{Estate, PostmortemPolicy};
use super::yaml::fields::{Fields, FileProblems};
use super::yaml::node::{Entry, Node};
use super::yaml::reader;
use crate::domain::core::diagnostic::{Problem, Source};

pub(in crate::domain) use self::alert_policy::{ALERTS_KEYS, BUDGET_KEYS, GROUPINGS, PERMISSION_KEYS};
pub(in crate::domain) use self::channel::{EMAIL_KEYS, PROGRAM_KEYS, TLS, WEBHOOK_KEYS};
pub(in crate::domain) use self::host::{HOST_KEYS, SSH_OPTIONS};
pub(in crate::domain) use self::incident_page::PAGE_KEYS;
pub(in crate::domain) use self::logs::LOGS_KEYS;
pub(in crate::domain) use self::sections::{
    CRITICALITY, DATASTORE_KEYS, ENVIRONMENT_KEYS, PERSON_KEYS, ROLE_KEYS, SERVICE_KEYS,
};
pub(in crate::domain) use self::sender::{AUTH_KEYS, SENDER_KEYS, STATUS_KEYS, WORKFLOW_KEYS, mapping_keys};
pub(in crate::domain) use self::slack_app::{SLACK_KEYS, UNKNOWN_USERS};

/// The keys of an estate.
pub(in crate::domain) const ESTATE_KEYS: &[&str] = &[
    "estate",
    "default_environment",
    "environments",
    "services",
    "datastores",
    "channels",
    "people",
    "roles",
    "secrets",
    "senders",
    "postmortem",
    "report",
    "alerts",
    "slack",
    "page",
    "logs",
];

/// The keys of the post-mortem's place.
pub(in crate::domain) const POSTMORTEM_KEYS: &[&str] = &["directory", "template"];

/// The keys of the reports' place.
pub(in crate::domain) const REPORT_KEYS: &[&str] = &["directory"];

/// Entries that one part of the estate may have.
const MAX_ENTRIES: usize = 1_000;

/// Checks an estate.
///
/// # Errors
/// Every problem of the file.
pub fn check(source: &Source) -> Result<Estate, Vec<Problem>> {
    let node = reader::read(source).map_err(|problem| vec![*problem])?;
    let mut checker = EstateChecker { report: FileProblems::new(source), names: Names::of(&node) };
    let estate = checker.estate(&node);
    let mut problems = checker.report.problems;
    problems.sort_by_key(|problem| problem.span.range.start);
    match estate {
        Some(estate) if problems.is_empty() => Ok(estate),
        _ => Err(problems),
    }
}

/// The names that parts of the file give, learnt before the walk so that the order of the parts is free.
struct Names {
    environments: Vec<String>,
    services: Vec<String>,
    channels: Vec<String>,
    /// Those of the channels that are Slack's with a bot's token.
    slack_channels: BTreeSet<String>,
    people: Vec<String>,
    /// The address of each person who has one.
    emails: BTreeMap<String, String>,
    secrets: Vec<String>,
    /// Those of the secrets that stand for several lines of a file and have no value of their own.
    families: BTreeSet<String>,
}

impl Names {
    fn of(node: &Node) -> Self {
        let keys = |part: &str| -> Vec<String> {
            let entries = node.get(part).and_then(Node::as_map).unwrap_or_default();
            entries.iter().map(|entry| entry.key.clone()).collect()
        };
        let is_family =
            |entry: &&Entry| entry.value.get("key").and_then(Node::as_text).is_some_and(|key| key.ends_with('*'));
        let secrets = node.get("secrets").and_then(Node::as_map).unwrap_or_default();
        let people = node.get("people").and_then(Node::as_map).unwrap_or_default();
        let channels = node.get("channels").and_then(Node::as_map).unwrap_or_default();
        let is_slack = |entry: &&Entry| entry.value.get("slack").is_some();
        let email = |entry: &Entry| Some((entry.key.clone(), entry.value.get("email")?.as_text()?.to_owned()));
        Self {
            families: secrets.iter().filter(is_family).map(|entry| entry.key.clone()).collect(),
            environments: keys("environments"),
            services: keys("services"),
            channels: keys("channels"),
            slack_channels: channels.iter().filter(is_slack).map(|entry| entry.key.clone()).collect(),
            people: keys("people"),
            emails: people.iter().filter_map(email).collect(),
            secrets: keys("secrets"),
        }
    }
}

struct EstateChecker<'a> {
    report: FileProblems<'a>,
    names: Names,
}

impl EstateChecker<'_> {
    fn estate(&mut self, node: &Node) -> Option<Estate> {
        let fields = Fields::open(&mut self.report, node, "an estate", ESTATE_KEYS)?;
        let estate = fields.required(&mut self.report, "estate", "an estate").and_then(|node| self.text(node));
        let default_environment = fields
            .get("default_environment")
            .and_then(|node| self.known(node, "environment", &self.names.environments.clone()));
        let environments = fields.required(&mut self.report, "environments", "an estate");
        let environments =
            environments.map(|node| self.all(node, "environments", Self::environment)).unwrap_or_default();
        if let Some(node) = fields.get("environments").filter(|node| node.as_map().is_some_and(<[Entry]>::is_empty)) {
            self.report.add(Problem::new(node.span.clone(), "an estate needs at least one environment"));
        }
        let services = self.part(&fields, "services", Self::service);
        let mut senders = self.part(&fields, "senders", Self::sender);
        sender::know_branches(&mut senders, &environments);
        self.units_differ(&fields);
        self.people_differ(&fields);
        self.alerts_have_an_environment(&fields);
        Some(Estate {
            estate: estate?,
            default_environment,
            environments,
            services,
            datastores: self.part(&fields, "datastores", Self::datastore),
            channels: self.part(&fields, "channels", Self::channel),
            people: self.part(&fields, "people", Self::person),
            roles: self.part(&fields, "roles", Self::role),
            secrets: self.part(&fields, "secrets", Self::secret),
            senders,
            postmortem: fields.get("postmortem").and_then(|node| self.postmortem(node)).unwrap_or_default(),
            report: fields.get("report").and_then(|node| self.place_of_reports(node)).unwrap_or_default(),
            alerts: fields.get("alerts").and_then(|node| self.alerts(node)).unwrap_or_default(),
            slack: fields.get("slack").and_then(|node| self.slack(node)),
            page: fields.get("page").and_then(|node| self.page(node)),
            logs: fields.get("logs").and_then(|node| self.logs(node)).unwrap_or_default(),
        })
    }

    fn part<T>(
        &mut self,
        fields: &Fields<'_>,
        key: &str,
        read: fn(&mut Self, &Entry) -> Option<T>,
    ) -> BTreeMap<String, T> {
        fields.get(key).map(|node| self.all(node, key, read)).unwrap_or_default()
    }

    /// Every entry of a part by its name; a part that is there with nothing in it is empty.
    fn all<T>(&mut self, node: &Node, part: &str, read: fn(&mut Self, &Entry) -> Option<T>) -> BTreeMap<String, T> {
        let mut all = BTreeMap::new();
        if node.content == super::yaml::node::Content::Null {
            return all;
        }
        let entries = self.report.entries(node, &format!("a mapping of {part} by name")).unwrap_or_default();
        if let Some(entry) = entries.get(MAX_ENTRIES) {
            self.report
                .add(Problem::new(entry.key_span.clone(), format!("an estate has at most {MAX_ENTRIES} {part}")));
        }
        for entry in entries {
            let name = self.report.named(&entry.key, &entry.key_span);
            if let (Some(name), Some(value)) = (name, read(self, entry)) {
                all.insert(name, value);
            }
        }
        all
    }

    fn postmortem(&mut self, node: &Node) -> Option<PostmortemPolicy> {
        let fields = Fields::open(&mut self.report, node, "`postmortem`", POSTMORTEM_KEYS)?;
        Some(PostmortemPolicy {
            directory: self.optional(&fields, "directory"),
            template: self.optional(&fields, "template"),
        })
    }

    fn place_of_reports(&mut self, node: &Node) -> Option<PostmortemPolicy> {
        let fields = Fields::open(&mut self.report, node, "`report`", REPORT_KEYS)?;
        Some(PostmortemPolicy { directory: self.optional(&fields, "directory"), template: None })
    }

    fn text(&mut self, node: &Node) -> Option<String> {
        self.report.text(node).map(str::to_owned)
    }

    fn optional(&mut self, fields: &Fields<'_>, key: &str) -> Option<String> {
        fields.get(key).and_then(|node| self.text(node))
    }

    /// A name that another part of the file must give.
    fn known(&mut self, node: &Node, what: &str, known: &[String]) -> Option<String> {
        let text = self.report.text(node)?;
        if known.iter().any(|name| name == text) {
            return Some(text.to_owned());
        }
        let shown = crate::domain::core::diagnostic::visible(text, crate::domain::core::diagnostic::MAX_QUOTED);
        let problem = Problem::new(node.span.clone(), format!("there is no {what} `{shown}` in this file"));
        self.report.add(problem.did_you_mean(text, known.iter().map(String::as_str)));
        None
    }
}

#[cfg(test)]
mod tests;
