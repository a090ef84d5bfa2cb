//! The host: whether it is the one that is meant, and whether its clock is right.
//!
//! Deliberately absent: asking anybody on the network what time it is.

use std::path::Path;

use serde_json::json;

use super::Checkup;
use crate::domain::config::host::Host;
use crate::domain::core::glob_name::matches;
use crate::domain::host::requirement::{CheckResult, Topic};

/// Created by systemd-timesyncd when it has set the clock (systemd-timesyncd.service(8)).
const SYNCHRONIZED: &str = "/run/systemd/timesync/synchronized";

impl Checkup {
    pub(super) async fn host(&self) -> Vec<CheckResult> {
        let clock = match Path::new(SYNCHRONIZED).exists() {
            true => clock("yes"),
            false => self.timedatectl().await,
        };
        let there = match &self.context.environment.host {
            Host::Local => None,
            Host::Ssh(there) => Some(self.clock_there(there).await),
        };
        self.name().into_iter().chain([clock]).chain(there).collect()
    }

    fn name(&self) -> Option<CheckResult> {
        // A remote host's name is checked when it is connected.
        let environment = &self.context.environment;
        let pattern = environment.hostname.as_ref().filter(|_| environment.host == Host::Local)?;
        let subject = "name";
        Some(match matches(pattern, &self.hostname) {
            true => CheckResult::fine(Topic::Host, subject, format!("`{}` is a host of `{pattern}`", self.hostname)),
            false => {
                let found = format!(
                    "this is `{}`, and environment `{}` is for `{pattern}` only",
                    self.hostname, self.context.environment_name
                );
                CheckResult::wrong(Topic::Host, subject, found, self.edit(&super::Users::default()))
            }
        })
    }

    async fn timedatectl(&self) -> CheckResult {
        let argv = ["timedatectl", "show", "--property=NTPSynchronized", "--value"];
        let said = self.ask_here("command", json!({ "argv": argv })).await;
        if said.is_success() {
            return clock(said.output["stdout"].as_str().unwrap_or_default());
        }
        CheckResult::doubtful(Topic::Host, "clock", "nobody here says whether it is synchronised")
            .remedy("timedatectl timesync-status")
    }
}

/// Interprets the value of `NTPSynchronized`.
fn clock(word: &str) -> CheckResult {
    match word {
        "yes" => CheckResult::fine(Topic::Host, "clock", "synchronised"),
        "no" => CheckResult::wrong(
            Topic::Host,
            "clock",
            "not synchronised, so deadlines and the order of events cannot be relied on",
            "timedatectl set-ntp true",
        ),
        _ => CheckResult::doubtful(Topic::Host, "clock", "nobody here says whether it is synchronised"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::host::requirement::CheckState;

    #[test]
    fn a_clock_that_nobody_sets_is_wrong_and_one_that_is_not_known_is_not() {
        assert_eq!(clock("yes").state, CheckState::Fine);
        assert_eq!(clock("no").mend.as_deref(), Some("timedatectl set-ntp true"));
        assert_eq!(clock("").state, CheckState::Doubtful);
    }
}
