//! Deadlines: what must be done by when, by whom, and who hears of it.

use super::RunbookChecker;
use super::worst_case;
use crate::domain::config::yaml::fields::Fields;
use crate::domain::config::yaml::node::{Entry, Node};
use crate::domain::core::diagnostic::{MAX_QUOTED, Problem, visible};
use crate::domain::core::time::Span;
use crate::domain::runbook::runbook_schema::{DEADLINE, FROM};
use crate::domain::runbook::{DeadlineFrom, DeadlineRule, Step};

/// The shortest time between two words to stakeholders: a shorter one would only be noise.
const SHORTEST_EVERY: Span = Span::seconds(60);

impl RunbookChecker<'_> {
    pub(super) fn deadlines(&mut self, node: &Node) -> Vec<DeadlineRule> {
        let entries = self.report.entries(node, "a mapping of deadlines by name").unwrap_or_default();
        entries.into_iter().filter_map(|entry| self.deadline(entry)).collect()
    }

    fn deadline(&mut self, entry: &Entry) -> Option<DeadlineRule> {
        let name = self.report.named(&entry.key, &entry.key_span);
        // Known by name even when its own fields are wrong, so that `meets` is not blamed too.
        self.deadlines.insert(entry.key.clone(), (entry.key_span.clone(), false));
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
        self.fits(&fields, &rule);
        let by_a_step = from.is_some() && rule.is_met_by_step();
        self.deadlines.insert(entry.key.clone(), (entry.key_span.clone(), by_a_step));
        (name.is_some() && within.is_some() && from.is_some()).then_some(rule)
    }

    /// The time after which the next word is owed.
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
        let known = self.world.estate.map(|estate| estate.roles.keys().map(String::as_str).collect());
        self.name_of_the_estate(node, "role", known);
        node.as_text().map(str::to_owned)
    }

    fn channels(&mut self, node: &Node) -> Vec<String> {
        let known: Option<Vec<&str>> =
            self.world.estate.map(|estate| estate.channels.keys().map(String::as_str).collect());
        let items = self.report.one_or_many(node);
        for item in items {
            self.name_of_the_estate(item, "channel", known.clone());
        }
        items.iter().filter_map(|item| item.as_text().map(str::to_owned)).collect()
    }

    /// Keys that would do nothing together.
    fn fits(&mut self, fields: &Fields<'_>, rule: &DeadlineRule) {
        let unfit: &[(&str, &str, bool)] = &[
            ("fallback_at", "only what a step meets is done by other ways", !rule.is_met_by_step()),
            ("to", "`to` belongs to `every`: a step says itself where it tells", !rule.repeats),
            ("role", "a role is taken once, and `every` repeats", rule.repeats),
            ("every", "nobody is told any more after the incident is resolved", rule.from == DeadlineFrom::Resolved),
            ("role", "nobody takes a role after the incident is resolved", rule.from == DeadlineFrom::Resolved),
        ];
        for (key, why, is_unfit) in unfit {
            if let Some(entry) = fields.entry(key).filter(|_| *is_unfit) {
                self.report.add(Problem::new(entry.key_span.clone(), *why).help("Take it away."));
                return;
            }
        }
    }

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

    pub(super) fn deadlines_are_met(&mut self) {
        let unmet = self.deadlines.iter().filter(|(name, (_, by_a_step))| *by_a_step && !self.met.contains(*name));
        let problems: Vec<Problem> = unmet
            .map(|(name, (span, _))| {
                Problem::new(span.clone(), format!("no step meets the deadline `{}`", visible(name, MAX_QUOTED)))
                    .help(format!("Write `meets: {}` in the step whose success keeps it.", visible(name, MAX_QUOTED)))
            })
            .collect();
        self.report.problems.extend(problems);
    }

    /// Whether the longest way that a run can take comes to its notice in time.
    pub(super) fn deadlines_can_be_met(&mut self, rules: &[DeadlineRule], steps: &[Step], finally: &[Step]) {
        for rule in rules.iter().filter(|rule| rule.is_met_by_step()) {
            let judged = worst_case::judge(rule, steps, finally, self.world);
            let Some((message, help)) = judged else { continue };
            let span = self.deadlines.get(&rule.name).map(|(span, _)| span.clone()).unwrap_or_default();
            self.report.add(Problem::new(span, message).help(help));
        }
    }
}
