//! What the shop does about alerts in general, held against what it may say.

use std::num::NonZeroU32;

use super::EstateChecker;
use crate::domain::config::alert_policy::{AlertPolicy, Budget, GroupBy, Permission};
use crate::domain::config::yaml::fields::{Fields, list};
use crate::domain::config::yaml::node::Node;
use crate::domain::core::diagnostic::{MAX_QUOTED, Problem, visible};
use crate::domain::core::time::Span;

/// The keys of what is done about alerts.
pub(in crate::domain) const ALERTS_KEYS: &[&str] = &[
    "environment",
    "environment_from",
    "service_from",
    "group_by",
    "window",
    "resolve_after",
    "cool_down",
    "notify",
    "budget",
    "automatic",
];
pub(in crate::domain) const BUDGET_KEYS: &[&str] = &["at_most", "within"];
pub(in crate::domain) const PERMISSION_KEYS: &[&str] = &["action", "of", "environments"];

/// What alerts of one incident may have in common, as it is written.
pub(in crate::domain) const GROUPINGS: &[(&str, GroupBy)] = &[
    ("environment", GroupBy::Environment),
    ("service", GroupBy::Service),
    ("name", GroupBy::Name),
    ("sender", GroupBy::Sender),
];

/// The most changes of one sort that a budget may allow: more is no budget.
const MAX_BUDGET: i64 = 1_000;

impl EstateChecker<'_> {
    pub(super) fn alerts(&mut self, node: &Node) -> Option<AlertPolicy> {
        let fields = Fields::open(&mut self.report, node, "`alerts`", ALERTS_KEYS)?;
        let usual = AlertPolicy::default();
        let environments = self.names.environments.clone();
        let environment = fields.get("environment").and_then(|node| self.known(node, "environment", &environments));
        Some(AlertPolicy {
            environment,
            environment_from: fields
                .get("environment_from")
                .and_then(|node| self.found(node, crate::domain::alert::template_scope::NAMES)),
            service_from: fields
                .get("service_from")
                .and_then(|node| self.found(node, crate::domain::alert::template_scope::NAMES)),
            group_by: fields.get("group_by").map_or(usual.group_by, |node| self.grouping(node)),
            window: self.length(&fields, "window", usual.window),
            resolve_after: self.length(&fields, "resolve_after", usual.resolve_after),
            cool_down: self.length(&fields, "cool_down", usual.cool_down),
            notify: fields.get("notify").map(|node| self.notify_targets(node)).unwrap_or_default(),
            budget: fields.get("budget").map_or(Some(usual.budget), |node| self.budget(node))?,
            automatic: fields.get("automatic").map(|node| self.permissions(node)).unwrap_or_default(),
        })
    }

    /// A sender's alerts need an environment even when they name none.
    pub(super) fn alerts_have_an_environment(&mut self, fields: &Fields<'_>) {
        let (Some(senders), None) = (fields.entry("senders"), fields.get("default_environment")) else { return };
        let given = fields.get("alerts").and_then(|node| node.get("environment")).is_some();
        if given || self.names.environments.len() < 2 {
            return;
        }
        let known: Vec<&str> = self.names.environments.iter().map(String::as_str).collect();
        let problem =
            Problem::new(senders.key_span.clone(), "nothing says what an alert is about that names no environment");
        self.report.add(problem.help(format!("Add `alerts: {{ environment: … }}` with one of {}.", list(&known))));
    }

    fn length(&mut self, fields: &Fields<'_>, key: &str, usual: Span) -> Span {
        fields.get(key).and_then(|node| self.report.duration(node)).unwrap_or(usual)
    }

    fn grouping(&mut self, node: &Node) -> Vec<GroupBy> {
        let words = self.report.one_or_many(node);
        words.iter().filter_map(|word| self.report.keyword(word, GROUPINGS)).collect()
    }

    fn notify_targets(&mut self, node: &Node) -> Vec<String> {
        let channels = self.names.channels.clone();
        let names = self.report.one_or_many(node);
        names.iter().filter_map(|name| self.known(name, "channel", &channels)).collect()
    }

    fn budget(&mut self, node: &Node) -> Option<Budget> {
        let fields = Fields::open(&mut self.report, node, "a budget", BUDGET_KEYS)?;
        let at_most = fields
            .required(&mut self.report, "at_most", "a budget")
            .and_then(|node| self.report.integer(node, 1, MAX_BUDGET))
            .and_then(|number| u32::try_from(number).ok())
            .and_then(NonZeroU32::new);
        let within =
            fields.required(&mut self.report, "within", "a budget").and_then(|node| self.report.duration(node));
        Some(Budget { at_most: at_most?, within: within? })
    }

    fn permissions(&mut self, node: &Node) -> Vec<Permission> {
        let items = self.report.items(node).unwrap_or_default();
        items.iter().filter_map(|item| self.permission(item)).collect()
    }

    fn permission(&mut self, node: &Node) -> Option<Permission> {
        let fields = Fields::open(&mut self.report, node, "a permission", PERMISSION_KEYS)?;
        let action =
            fields.required(&mut self.report, "action", "a permission").and_then(|node| self.action_name(node));
        let patterns = fields.get("of").map(|node| self.report.one_or_many(node)).unwrap_or_default();
        let of = patterns.iter().filter_map(|node| self.text(node)).collect();
        let environments = self.names.environments.clone();
        let named = fields.get("environments").map(|node| self.report.one_or_many(node)).unwrap_or_default();
        let named = named.iter().filter_map(|node| self.known(node, "environment", &environments)).collect();
        Some(Permission { action: action?, of, environments: named })
    }

    /// A kind, or a kind and one of its verbs. Which kinds there are, this file does not know; a name that no kind has
    /// allows nothing.
    fn action_name(&mut self, node: &Node) -> Option<String> {
        let text = self.report.text(node)?;
        let parts: Vec<&str> = text.split('.').collect();
        if (1..=2).contains(&parts.len()) && parts.iter().all(|part| crate::domain::core::id::is_name(part)) {
            return Some(text.to_owned());
        }
        let problem = Problem::new(node.span.clone(), format!("`{}` is no action", visible(text, MAX_QUOTED)));
        self.report.add(problem.help("Write a kind and its verb, such as `systemd.restart`."));
        None
    }
}
