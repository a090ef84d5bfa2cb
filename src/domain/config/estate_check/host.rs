//! The rules of hosts.

use super::{EstateChecker, entries};
use crate::domain::config::host::LOCAL;
use crate::domain::config::yaml::node::Node;
use crate::domain::core::diagnostic::{MAX_QUOTED, Problem, visible};

/// The longest value of an option of ssh, in bytes. The longest in use are paths and lists of algorithms.
const LONGEST_VALUE: usize = 1_000;

impl EstateChecker<'_> {
    pub(super) fn hosts(&mut self, estate: &Node) {
        for environment in entries(estate, "environments") {
            if let Some(host) = environment.value.get("host") {
                self.ssh_options(host);
            }
            for host in entries(&environment.value, "hosts") {
                if host.key == LOCAL {
                    let message = "`local` is always this machine, so no further host can have the name";
                    self.report.add(Problem::new(host.key_span.clone(), message).help("Give the host another name."));
                }
                self.ssh_options(&host.value);
            }
        }
    }

    fn ssh_options(&mut self, host: &Node) {
        for option in entries(host, "options") {
            if option.value.as_text().is_some_and(|text| !text.trim().is_empty() && !is_value(text)) {
                let name = visible(&option.key, MAX_QUOTED);
                let message = format!("this cannot be a value of `{name}`");
                self.report.add(Problem::new(option.value.span.clone(), message));
            }
        }
    }
}

/// Whether a text can be the value of an option: one line without `"` that does not begin with `-`.
fn is_value(text: &str) -> bool {
    text.len() <= LONGEST_VALUE && !text.starts_with('-') && !text.contains(|c: char| c == '"' || c.is_control())
}
