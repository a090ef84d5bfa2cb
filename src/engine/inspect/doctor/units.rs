//! Every unit that is named, in one look, and every health address.

use serde_json::{Value, json};

use super::{Checkup, by};
use crate::actions::transport::host::manual_command;
use crate::domain::config::host::Host;
use crate::domain::core::text::one_line;
use crate::domain::host::requirement::{CheckResult, Topic, Users};

/// Characters of a reason in a finding.
const REASON: usize = 240;

impl Checkup {
    pub(super) async fn units(&self) -> Vec<CheckResult> {
        let names: Vec<&String> = self.needs.units.keys().collect();
        if names.is_empty() {
            return vec![
                CheckResult::doubtful(Topic::Units, "units", "none is named").remedy(self.edit(&Users::default())),
            ];
        }
        let seen = self.ask("systemd", json!({ "status": names })).await;
        let Some(units) = seen.output["units"].as_array() else {
            let mend = format!("{} is-system-running", self.systemctl());
            return vec![CheckResult::wrong(Topic::Units, "systemd", one_line(&seen.summary, REASON), mend)];
        };
        units.iter().map(|unit| self.unit(unit)).collect()
    }

    fn unit(&self, unit: &Value) -> CheckResult {
        let text = |name: &str| unit[name].as_str().unwrap_or_default();
        let (name, systemctl) = (text("name"), self.systemctl());
        let users = self.needs.units.get(name).cloned().unwrap_or_default();
        let wrong = |found: String, mend: String| CheckResult::wrong(Topic::Units, name, found, mend);
        match (text("load"), text("active")) {
            ("not-found", _) => wrong(format!("there is no such unit; {}", by(&users)), self.edit(&users)),
            ("masked", _) => wrong("masked, so it cannot be started".to_owned(), format!("{systemctl} unmask {name}")),
            ("loaded", "active" | "reloading") => {
                CheckResult::fine(Topic::Units, name, format!("active ({})", text("sub")))
            }
            ("loaded", active) => {
                let found = format!("present, and {active} ({})", text("sub"));
                CheckResult::doubtful(Topic::Units, name, found).remedy(format!("{systemctl} start {name}"))
            }
            (load, _) => wrong(
                format!("its file cannot be used: {load}"),
                format!("systemd-analyze verify {name} && {systemctl} daemon-reload"),
            ),
        }
    }

    /// The `systemctl` command for the environment's manager.
    pub(super) fn systemctl(&self) -> String {
        let environment = &self.context.environment;
        let systemctl = if environment.systemd.0 == "system" { "systemctl" } else { "systemctl --user" };
        match &environment.host {
            Host::Local => systemctl.to_owned(),
            Host::Ssh(there) => format!("{} {systemctl}", manual_command(there)),
        }
    }

    pub(super) async fn health(&self) -> Vec<CheckResult> {
        let services = &self.context.estate.services;
        let (asked, silent): (Vec<_>, Vec<_>) =
            services.iter().partition(|(_, service)| service.health.is_some() || service.port.is_some());
        let mut findings: Vec<CheckResult> = Vec::new();
        if !asked.is_empty() {
            let names: Vec<&String> = asked.iter().map(|(name, _)| *name).collect();
            let seen = self.ask("health", json!({ "service": names })).await;
            findings.extend(names.into_iter().map(|name| self.answer(name, &seen.output["services"][name.as_str()])));
        }
        findings.extend(silent.into_iter().map(|(name, _)| {
            CheckResult::doubtful(Topic::Health, name, "the estate has neither `health` nor `port` for it")
                .remedy(self.edit(&Users::default()))
        }));
        findings
    }

    fn answer(&self, name: &str, found: &Value) -> CheckResult {
        let service = &self.context.estate.services[name];
        let port = service.port.map(|port| format!("http://127.0.0.1:{port}"));
        let address = service.health.clone().or(port).unwrap_or_default();
        let reason = one_line(found["error"].as_str().unwrap_or("no answer"), REASON);
        let restart = format!("{} restart {}", self.systemctl(), service.unit);
        match (found["live"] == json!(true), found["ready"] == json!(true)) {
            (true, true) => {
                let found = format!("`{address}` is alive and ready, {} ms", found["latency_ms"]);
                CheckResult::fine(Topic::Health, name, found)
            }
            (true, false) => CheckResult::doubtful(Topic::Health, name, format!("`{address}` is alive, {reason}")),
            (false, _) => CheckResult::wrong(Topic::Health, name, format!("`{address}`: {reason}"), restart),
        }
    }
}
