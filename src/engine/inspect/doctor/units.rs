//! Checks all units in one call, and the health of all services.

use serde_json::{Value, json};

use super::{Doctor, by};
use crate::actions::transport::host::manual_command;
use crate::domain::config::host::Host;
use crate::domain::core::text::one_line;
use crate::domain::host::requirement::{CheckResult, Topic, Users};

/// The most characters of a reason in a finding.
const REASON_LIMIT: usize = 240;

impl Doctor {
    pub(super) async fn units(&self) -> Vec<CheckResult> {
        let names: Vec<&String> = self.needs.units.keys().collect();
        if names.is_empty() {
            return vec![
                CheckResult::doubtful(Topic::Units, "units", "the project names no unit")
                    .remedy(self.edit(&Users::default())),
            ];
        }
        let outcome = self.perform("systemd", json!({ "status": names })).await;
        let Some(units) = outcome.output["units"].as_array() else {
            let remedy = format!("{} is-system-running", self.systemctl());
            let found = one_line(&outcome.summary, REASON_LIMIT);
            return vec![CheckResult::wrong(Topic::Units, "systemd", found, remedy)];
        };
        units.iter().map(|unit| self.unit(unit)).collect()
    }

    fn unit(&self, unit: &Value) -> CheckResult {
        let text = |name: &str| unit[name].as_str().unwrap_or_default();
        let (name, systemctl) = (text("name"), self.systemctl());
        let users = self.needs.units.get(name).cloned().unwrap_or_default();
        let wrong = |found: String, remedy: String| CheckResult::wrong(Topic::Units, name, found, remedy);
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
                format!("its unit file cannot be loaded: {load}"),
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
        let (with_address, without): (Vec<_>, Vec<_>) =
            services.iter().partition(|(_, service)| service.health.is_some() || service.port.is_some());
        let mut findings: Vec<CheckResult> = Vec::new();
        if !with_address.is_empty() {
            let names: Vec<&String> = with_address.iter().map(|(name, _)| *name).collect();
            let outcome = self.perform("health", json!({ "service": names })).await;
            let results = &outcome.output["services"];
            findings.extend(names.into_iter().map(|name| self.service_health(name, &results[name.as_str()])));
        }
        findings.extend(without.into_iter().map(|(name, _)| {
            CheckResult::doubtful(Topic::Health, name, "the estate has neither `health` nor `port` for it")
                .remedy(self.edit(&Users::default()))
        }));
        findings
    }

    fn service_health(&self, name: &str, result: &Value) -> CheckResult {
        let service = &self.context.estate.services[name];
        let port = service.port.map(|port| format!("http://127.0.0.1:{port}"));
        let address = service.health.clone().or(port).unwrap_or_default();
        let reason = one_line(result["error"].as_str().unwrap_or("no answer"), REASON_LIMIT);
        let restart = format!("{} restart {}", self.systemctl(), service.unit);
        match (result["live"] == json!(true), result["ready"] == json!(true)) {
            (true, true) => {
                let found = format!("`{address}` is alive and ready, {} ms", result["latency_ms"]);
                CheckResult::fine(Topic::Health, name, found)
            }
            (true, false) => CheckResult::doubtful(Topic::Health, name, format!("`{address}` is alive, {reason}")),
            (false, _) => CheckResult::wrong(Topic::Health, name, format!("`{address}`: {reason}"), restart),
        }
    }
}
