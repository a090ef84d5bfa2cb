//! The host of a step: a name under `hosts` of an environment, or `local`.

use super::RunbookChecker;
use crate::domain::config::host::LOCAL;
use crate::domain::config::yaml::node::Node;
use crate::domain::core::diagnostic::{MAX_QUOTED, Problem, visible};
use crate::domain::template::expression;

impl RunbookChecker<'_> {
    pub(super) fn host(&mut self, node: &Node) -> Option<String> {
        let host = self.template(node)?;
        let Some(estate) = self.context.estate.filter(|_| !expression::is_template(&host)) else { return Some(host) };
        let known: Vec<&str> =
            estate.environments.values().flat_map(|environment| environment.hosts.keys()).map(String::as_str).collect();
        if host == LOCAL || known.contains(&host.as_str()) {
            return Some(host);
        }
        let problem =
            Problem::new(node.span.clone(), format!("no environment has a host `{}`", visible(&host, MAX_QUOTED)));
        self.report.add(
            problem
                .did_you_mean(&host, known.into_iter().chain([LOCAL]))
                .or_help("Write `local`, or a name under `hosts` of an environment."),
        );
        None
    }
}
