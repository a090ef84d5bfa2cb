//! Deadlines: their times, roles and channels, and the steps that meet them.

use super::RunbookChecker;
use super::worst_case;
use crate::domain::config::yaml::fields::Fields;
use crate::domain::config::yaml::node::{Entry, Node};
use crate::domain::core::diagnostic::{MAX_QUOTED, Problem, visible};
use crate::domain::core::time::Span;
use crate::domain::runbook::runbook_schema::{DEADLINE, FROM};
use crate::domain::runbook::{DeadlineFrom, DeadlineRule, Step};

/// The shortest time between two messages to stakeholders: a shorter one would only be noise.
const SHORTEST_EVERY: Span = Span::seconds(60);

/// What meets a deadline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MetBy {
    Step,
    Role,
    Messages,
    Postmortem,
    /// Its fields have problems.
    Unknown,
}

impl MetBy {
    const fn of(rule: &DeadlineRule) -> Self {
        match rule {
            DeadlineRule { from: DeadlineFrom::Resolved, .. } => Self::Postmortem,
            DeadlineRule { role: Some(_), .. } => Self::Role,
            DeadlineRule { repeats: true, .. } => Self::Messages,
            _ => Self::Step,
        }
    }
}

impl RunbookChecker<'_> {
    pub(super) fn deadlines(&mut self, node: &Node) -> Vec<DeadlineRule> {
        let entries = self.report.entries(node, "a mapping of deadlines by name").unwrap_or_default();
        entries.into_iter().filter_map(|entry| self.deadline(entry)).collect()
    }

    fn deadline(&mut self, entry: &Entry) -> Option<DeadlineRule> {
        let name = self.report.named(&entry.key, &entry.key_span);
        // The name is known even if its fields are wrong, so that `meets` is not reported too.
        self.deadlines.insert(entry.key.clone(), (entry.key_span.clone(), MetBy::Unknown));
        let fields = self.open_entry(entry, &DEADLINE)?;
        let every = fields.get("every");
        let within = match every {
            Some(node) => self.every(node, &fields),
            None => {
                let within = fields.required(&mut self.report, "within", DEADLINE.what);
                within.and_then(|node| self.report.duration(node))
            }
        };
        let from = fields.get("from").map_or(Some(DeadlineFrom::Opened), |node| self.report.keyword(node, FROM));
        let rule = DeadlineRule {
            warn_at: self.before(&fields, "warn_at", within),
            fallback_at: self.before(&fields, "fallback_at", within),
            role: fields.get("role").and_then(|node| self.role(node)),
            to: fields.get("to").map(|node| self.channels(node)).unwrap_or_default(),
            escalate: fields.get("escalate").map(|node| self.channels(node)).unwrap_or_default(),
            repeats: every.is_some(),
            name: entry.key.clone(),
            within: within.unwrap_or_default(),
            from: from.unwrap_or(DeadlineFrom::Opened),
        };
        self.conflicting_keys(&fields, &rule);
        let met_by = if from.is_some() { MetBy::of(&rule) } else { MetBy::Unknown };
        self.deadlines.insert(entry.key.clone(), (entry.key_span.clone(), met_by));
        (name.is_some() && within.is_some() && from.is_some()).then_some(rule)
    }

    /// The longest time between two messages.
    fn every(&mut self, node: &Node, fields: &Fields<'_>) -> Option<Span> {
        if let Some(within) = fields.entry("within") {
            let problem = Problem::new(within.key_span.clone(), "a deadline has either `within` or `every`");
            self.report.add(problem.help("`every` repeats as long as the incident is open; `within` does not."));
        }
        let every = self.report.duration(node)?;
        if every < SHORTEST_EVERY {
            self.report.add(Problem::new(node.span.clone(), format!("`every` is shorter than {SHORTEST_EVERY}")));
            return None;
        }
        Some(every)
    }

    fn role(&mut self, node: &Node) -> Option<String> {
        let known = self.context.estate.map(|estate| estate.roles.keys().map(String::as_str).collect());
        self.name_of_the_estate(node, "role", known);
        node.as_text().map(str::to_owned)
    }

    fn channels(&mut self, node: &Node) -> Vec<String> {
        let items = self.report.one_or_many(node);
        items.iter().for_each(|item| self.channel(item));
        items.iter().filter_map(|item| item.as_text().map(str::to_owned)).collect()
    }

    /// Reports a key that would have no effect beside another.
    fn conflicting_keys(&mut self, fields: &Fields<'_>, rule: &DeadlineRule) {
        let conflicts: &[(&str, &str, bool)] = &[
            ("fallback_at", "`fallback_at` belongs to a deadline that a step meets", !rule.is_met_by_step()),
            ("to", "`to` belongs to `every`: a step names its channels itself", !rule.repeats),
            ("role", "a role is taken once, and `every` repeats", rule.repeats),
            (
                "every",
                "stakeholders are not notified after the incident is resolved",
                rule.from == DeadlineFrom::Resolved,
            ),
            ("role", "nobody takes a role after the incident is resolved", rule.from == DeadlineFrom::Resolved),
        ];
        for (key, why, is_conflict) in conflicts {
            if let Some(entry) = fields.entry(key).filter(|_| *is_conflict) {
                self.report.add(Problem::new(entry.key_span.clone(), *why).help("Take it away."));
                return;
            }
        }
    }

    /// A time that must come before the deadline.
    fn before(&mut self, fields: &Fields<'_>, key: &str, within: Option<Span>) -> Option<Span> {
        let node = fields.get(key)?;
        let at = self.report.duration(node)?;
        if within.is_some_and(|within| at >= within) {
            let help = "It is counted from the same instant as `within` and must be the shorter.";
            self.report
                .add(Problem::new(node.span.clone(), format!("`{key}` comes after the deadline itself")).help(help));
        }
        Some(at)
    }

    /// Reports deadlines that no step meets.
    pub(super) fn deadlines_are_met(&mut self) {
        let by_step = self.deadlines.iter().filter(|(_, (_, met_by))| *met_by == MetBy::Step);
        let unmet = by_step.filter(|(name, _)| !self.met.contains(*name));
        let problems: Vec<Problem> = unmet
            .map(|(name, (span, _))| {
                Problem::new(span.clone(), format!("no step meets the deadline `{}`", visible(name, MAX_QUOTED)))
                    .help(format!("Write `meets: {}` in the step whose success meets it.", visible(name, MAX_QUOTED)))
            })
            .collect();
        self.report.problems.extend(problems);
    }

    /// Reports deadlines that the worst case of a run misses.
    pub(super) fn deadlines_can_be_met(&mut self, rules: &[DeadlineRule], steps: &[Step], finally: &[Step]) {
        for rule in rules.iter().filter(|rule| rule.is_met_by_step()) {
            let problem = worst_case::check_deadline(rule, steps, finally, self.context);
            let Some((message, help)) = problem else { continue };
            let span = self.deadlines.get(&rule.name).map(|(span, _)| span.clone()).unwrap_or_default();
            self.report.add(Problem::new(span, message).help(help));
        }
    }
}
