//! The runbook that a step starts: it exists, its params fit, and its starts do not lead back here.
//!
//! Not here: problems of the other file. A runbook with problems is reported there, and its params are not checked here.

use serde_json::{Map, Value};

use super::RunbookChecker;
use super::action::is_literal;
use crate::domain::config::yaml::fields::list;
use crate::domain::config::yaml::node::{Content, Entry, Node};
use crate::domain::core::diagnostic::{MAX_QUOTED, Problem, visible};
use crate::domain::runbook::runbook_schema::START;
use crate::domain::runbook::{Runbook, Start, StepBody};

impl<'a> RunbookChecker<'a> {
    /// Another runbook: its id, or a mapping with its params.
    pub(super) fn start(&mut self, entry: &Entry) -> Option<StepBody> {
        let node = &entry.value;
        if matches!(node.content, Content::Text(_)) {
            let runbook = self.other_runbook(node)?;
            self.check_start(node, &runbook, &[]);
            return Some(StepBody::Start(Start { runbook, params: Map::new() }));
        }
        let fields = self.open(node, &START)?;
        let given = fields.get("params").and_then(|node| self.report.entries(node, "a mapping of params"));
        let given = given.unwrap_or_default();
        let params = self.checked_params(&given);
        let node = fields.required(&mut self.report, "runbook", START.what)?;
        let runbook = self.other_runbook(node)?;
        self.check_start(node, &runbook, &given);
        Some(StepBody::Start(Start { runbook, params }))
    }

    fn checked_params(&mut self, given: &[&Entry]) -> Map<String, Value> {
        let param = |entry: &&Entry| {
            self.templates_within(&entry.value);
            (entry.key.clone(), entry.value.to_json())
        };
        given.iter().map(param).collect()
    }

    fn other_runbook(&mut self, node: &Node) -> Option<String> {
        let id = self.report.text(node)?;
        let known: Vec<&str> = self.context.runbooks.iter().map(String::as_str).collect();
        if id == self.report.source.stem() {
            self.report.add(
                Problem::new(node.span.clone(), "a runbook cannot start itself")
                    .help("Use `for_each` or `retry` to do something again."),
            );
        } else if !known.contains(&id) {
            let problem = Problem::new(node.span.clone(), format!("there is no runbook `{}`", visible(id, MAX_QUOTED)));
            let problem = problem.did_you_mean(id, known.iter().copied());
            self.report.add(problem.or_help(format!("The runbooks are {}.", list(&known))));
        }
        Some(id.to_owned())
    }

    /// Checks the params for a runbook without problems, and where its starts lead.
    fn check_start(&mut self, node: &Node, id: &str, given: &[&Entry]) {
        let Some(peer) = self.peer(id) else {
            return;
        };
        for entry in given {
            self.check_given_param(peer, entry);
        }
        let is_given = |name: &str| given.iter().any(|entry| entry.key == name);
        for param in peer.params.iter().filter(|param| param.default.is_none() && !is_given(&param.name)) {
            let problem = Problem::new(node.span.clone(), format!("`{id}` needs the param `{}`", param.name));
            self.report.add(problem.help(format!("Add `params: {{ {}: … }}` here.", param.name)));
        }
        if let Some(path) = self.return_path(peer) {
            let problem = Problem::new(node.span.clone(), format!("`{id}` leads back to this runbook"));
            self.report.add(problem.help(format!("Break the circle of starts: {}.", path.join(" → "))));
        }
    }

    fn check_given_param(&mut self, peer: &Runbook, entry: &Entry) {
        match peer.params.iter().find(|param| param.name == entry.key) {
            Some(param) if is_literal_value(&entry.value) => drop(self.default_value(&entry.value, &param.kind)),
            Some(_) => {}
            None => {
                let message = format!("`{}` has no param `{}`", peer.id, visible(&entry.key, MAX_QUOTED));
                let known: Vec<&str> = peer.params.iter().map(|param| param.name.as_str()).collect();
                let problem = Problem::new(entry.key_span.clone(), message);
                let problem = problem.did_you_mean(&entry.key, known.iter().copied());
                let help = if known.is_empty() { "It has none.".into() } else { format!("It has {}.", list(&known)) };
                self.report.add(problem.or_help(help));
            }
        }
    }

    fn peer(&self, id: &str) -> Option<&'a Runbook> {
        self.context.peers.iter().copied().find(|peer| peer.id == id)
    }

    /// The runbooks from this one over `peer` back to this one, if its starts lead back.
    fn return_path(&self, peer: &Runbook) -> Option<Vec<String>> {
        let this = self.report.source.stem();
        let mut seen = vec![peer.id.as_str()];
        let mut open = vec![vec![this, peer.id.as_str()]];
        while let Some(path) = open.pop() {
            let last = path.last().and_then(|id| self.peer(id));
            for next in last.into_iter().flat_map(started) {
                let mut path = path.clone();
                path.push(next);
                if next == this {
                    return Some(path.into_iter().map(str::to_owned).collect());
                }
                if !seen.contains(&next) {
                    seen.push(next);
                    open.push(path);
                }
            }
        }
        None
    }
}

/// Whether a value is literal, and not a template.
fn is_literal_value(node: &Node) -> bool {
    match &node.content {
        Content::Text(text) => is_literal(text),
        _ => true,
    }
}

/// The runbooks that a runbook starts.
fn started(runbook: &Runbook) -> impl Iterator<Item = &str> {
    runbook.all_steps().into_iter().filter_map(|step| match &step.body {
        StepBody::Start(start) => Some(start.runbook.as_str()),
        _ => None,
    })
}
