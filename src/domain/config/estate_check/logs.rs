//! How the services' lines are read: by which fields they say where in a trace they belong.

use super::EstateChecker;
use crate::domain::config::yaml::fields::Fields;
use crate::domain::config::yaml::node::{Content, Node};
use crate::domain::journal::trace_tree::TraceFields;

pub(in crate::domain) const LOGS_KEYS: &[&str] = &["trace", "span", "parent", "span_name"];

impl EstateChecker<'_> {
    pub(super) fn logs(&mut self, node: &Node) -> Option<TraceFields> {
        let fields = Fields::open(&mut self.report, node, "`logs`", LOGS_KEYS)?;
        let usual = TraceFields::default();
        let mut names = |key: &str, usual: Vec<String>| fields.get(key).map_or(usual, |node| self.field_names(node));
        Some(TraceFields {
            trace: names("trace", usual.trace),
            span: names("span", usual.span),
            parent: names("parent", usual.parent),
            span_name: names("span_name", usual.span_name),
        })
    }

    /// One name or several.
    fn field_names(&mut self, node: &Node) -> Vec<String> {
        let nodes = match &node.content {
            Content::List(nodes) => nodes.as_slice(),
            _ => std::slice::from_ref(node),
        };
        nodes.iter().filter_map(|node| self.report.text(node).map(str::to_owned)).collect()
    }
}
