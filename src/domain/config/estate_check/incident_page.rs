//! The page of an incident: an address that people reach, and the secret that makes its links.

use super::EstateChecker;
use crate::domain::config::incident_page::Page;
use crate::domain::config::yaml::fields::Fields;
use crate::domain::config::yaml::node::Node;
use crate::domain::core::diagnostic::Problem;

pub(in crate::domain) const PAGE_KEYS: &[&str] = &["url", "secret"];

impl EstateChecker<'_> {
    pub(super) fn page(&mut self, node: &Node) -> Option<Page> {
        let fields = Fields::open(&mut self.report, node, "`page`", PAGE_KEYS)?;
        let url = fields.required(&mut self.report, "url", "`page`").and_then(|node| self.front(node));
        let secret = fields.required(&mut self.report, "secret", "`page`").and_then(|node| self.key(node));
        Some(Page { url: url?, secret: secret? })
    }

    /// An address that a link can begin with.
    fn front(&mut self, node: &Node) -> Option<String> {
        let url = self.secure(node)?;
        if !url.contains(['?', '#']) {
            return Some(url);
        }
        let problem = Problem::new(node.span.clone(), "a link cannot begin with an address that has a `?` or a `#`");
        self.report.add(problem.help("Write only where it is reached, such as `https://runbook.shop.example`."));
        None
    }
}
