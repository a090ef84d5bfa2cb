//! Checks the host: its name, and whether its clock is synchronised. It contacts no time server.

use std::path::Path;

use serde_json::json;

use super::Doctor;
use crate::domain::config::host::Host;
use crate::domain::core::glob_name::matches;
use crate::domain::host::requirement::{CheckResult, Topic};

/// Created by systemd-timesyncd when it has set the clock (systemd-timesyncd.service(8)).
const SYNCHRONIZED: &str = "/run/systemd/timesync/synchronized";

/// The finding when neither file nor program shows the state of the clock.
const UNKNOWN: &str = "it is unknown whether it is synchronised";

impl Doctor {
    pub(super) async fn host(&self) -> Vec<CheckResult> {
        let clock = match Path::new(SYNCHRONIZED).exists() {
            true => clock("yes"),
            false => self.timedatectl().await,
        };
        let remote_clock = match &self.context.environment.host {
            Host::Local => None,
            Host::Ssh(host) => Some(self.remote_clock(host).await),
        };
        self.name().into_iter().chain([clock]).chain(remote_clock).collect()
    }

    fn name(&self) -> Option<CheckResult> {
        // The name of a remote host is checked when the connection is opened.
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
        let outcome = self.perform_here("command", json!({ "argv": argv })).await;
        if outcome.is_success() {
            return clock(outcome.output["stdout"].as_str().unwrap_or_default());
        }
        CheckResult::doubtful(Topic::Host, "clock", UNKNOWN).remedy("timedatectl timesync-status")
    }
}

/// Interprets the value of `NTPSynchronized`.
fn clock(value: &str) -> CheckResult {
    match value {
        "yes" => CheckResult::fine(Topic::Host, "clock", "synchronised"),
        "no" => CheckResult::wrong(
            Topic::Host,
            "clock",
            "not synchronised, so deadlines and the order of events cannot be relied on",
            "timedatectl set-ntp true",
        ),
        _ => CheckResult::doubtful(Topic::Host, "clock", UNKNOWN),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::host::requirement::CheckState;

    #[test]
    fn an_unsynchronised_clock_is_wrong_and_an_unknown_state_is_doubtful() {
        assert_eq!(clock("yes").state, CheckState::Fine);
        assert_eq!(clock("no").mend.as_deref(), Some("timedatectl set-ntp true"));
        assert_eq!(clock("").state, CheckState::Doubtful);
    }
}
