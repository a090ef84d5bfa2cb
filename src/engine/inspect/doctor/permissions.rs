//! Checks the account's permissions for units: exactly the verbs and units that the runbooks use.
//!
//! It asks systemd about the account of this process, and polkit about another account; polkit answers only root. No unit is
//! changed; see [`crate::actions::kinds::systemd::permissions`].

use std::path::Path;

use futures_util::future::join_all;
use tokio::sync::mpsc;

use super::{Doctor, few};
use crate::actions::kinds::systemd::permissions;
use crate::actions::kinds::systemd::permissions::{Polkit, Right};
use crate::actions::transport::host::manual_command;
use crate::actions::transport::process;
use crate::actions::transport::process::Job;
use crate::actions::transport::process::capture::{ChildStream, Sink};
use crate::domain::config::host::Host;
use crate::domain::host::requirement::{CheckResult, Topic};

/// The script of a process of the account, about which polkit is asked: prints its id and lives as long as the check may take.
const SUBJECT_SCRIPT: &str = "echo $$; exec sleep 15";

/// Sends the first line that a program prints.
struct FirstLine {
    received: String,
    line: mpsc::Sender<String>,
}

impl Sink for FirstLine {
    fn take(&mut self, source: ChildStream, bytes: &[u8]) {
        if matches!(source, ChildStream::Stdout) {
            self.received.push_str(&String::from_utf8_lossy(bytes));
            if let Some((line, _)) = self.received.split_once('\n') {
                // The channel is full after the first line.
                let _ = self.line.try_send(line.to_owned());
            }
        }
    }
}

impl Doctor {
    pub(super) async fn rights(&self) -> Vec<CheckResult> {
        let grant = &self.needs.grant;
        if grant.units.values().all(|units| units.is_empty()) && !grant.unit_files && !grant.daemon_reload {
            return vec![CheckResult::fine(Topic::Rights, "units", "no runbook changes a unit")];
        }
        if self.context.environment.host != Host::Local {
            // The account of the SSH connection performs the changes there.
            return self.own_rights().await;
        }
        match (self.account.is_own, self.context.environment.systemd.0.as_str()) {
            (true, "system") if self.account.asks_as_root => {
                let found = "this is root, which may change every unit; `--user ACCOUNT` checks another account";
                vec![CheckResult::fine(Topic::Rights, "units", found)]
            }
            (true, _) => self.own_rights().await,
            (false, "system") => self.rights_of_other_account().await,
            (false, _) => {
                let found = "only its user may use the systemd manager of a user";
                vec![CheckResult::doubtful(Topic::Rights, &*self.account.name, found)]
            }
        }
    }

    /// Asks systemd about the account of this process.
    async fn own_rights(&self) -> Vec<CheckResult> {
        let manager = &self.context.environment.systemd;
        let mut findings = Vec::new();
        for (verb, units) in &self.needs.grant.units {
            let rights = join_all(units.iter().map(|unit| permissions::own(&self.context, verb, unit))).await;
            let rights = rights.into_iter().map(|right| right.unwrap_or_else(Right::Unknown));
            findings.push(self.finding(verb, units.iter().map(String::as_str).zip(rights).collect()));
        }
        let for_all_units =
            [(self.needs.grant.unit_files, "enable or disable"), (self.needs.grant.daemon_reload, "daemon_reload")];
        // A user's manager does not ask polkit.
        let asks_polkit = manager.0 == "system";
        for (_, what) in for_all_units.into_iter().filter(|(used, _)| *used && asks_polkit) {
            let found = format!("root can ask: `sudo {} doctor --user {}`", self.commands.runbook, self.account.name);
            findings.push(CheckResult::doubtful(Topic::Rights, what, found));
        }
        findings
    }

    /// Asks polkit, as root, about a process that runs as the account during the check.
    async fn rights_of_other_account(&self) -> Vec<CheckResult> {
        let context = self.context();
        let job = Job::new(["runuser", "-u", &self.account.name, "--", "sh", "-c", SUBJECT_SCRIPT], &context);
        let (line, mut lines) = mpsc::channel(1);
        let mut sink = FirstLine { received: String::new(), line };
        let checked = async {
            let process = lines.recv().await.and_then(|line| line.trim().parse().ok());
            match process {
                Some(process) => self.polkit(process).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            findings = checked => findings,
            ended = process::run_into(&job, &context, &mut sink) => {
                let reason = ended.err().map_or_else(|| "there is no such account".to_owned(), |error| error.to_string());
                let found = format!("no process can be run as `{}`: {reason}", self.account.name);
                let remedy = format!("useradd --system --groups systemd-journal {}", self.account.name);
                vec![CheckResult::wrong(Topic::Rights, &*self.account.name, found, remedy)]
            }
        }
    }

    async fn polkit(&self, process: u32) -> Vec<CheckResult> {
        use std::os::unix::fs::MetadataExt as _;
        let owner = std::fs::metadata(Path::new("/proc").join(process.to_string())).map(|metadata| metadata.uid());
        let polkit = match owner {
            Ok(account) => Polkit::about(process, account).await,
            Err(error) => Err(error.to_string()),
        };
        let polkit = match polkit {
            Ok(polkit) => polkit,
            Err(reason) => {
                let found = format!("polkit does not answer, so only root may change a unit: {reason}");
                return vec![CheckResult::wrong(Topic::Rights, "polkit", found, "apt-get install polkitd")];
            }
        };
        let mut findings = Vec::new();
        for (verb, units) in &self.needs.grant.units {
            let rights = join_all(units.iter().map(|unit| polkit.unit(verb, unit))).await;
            findings.push(self.finding(verb, units.iter().map(String::as_str).zip(rights).collect()));
        }
        let for_all_units = [
            (self.needs.grant.unit_files, "enable or disable", "manage-unit-files"),
            (self.needs.grant.daemon_reload, "daemon_reload", "reload-daemon"),
        ];
        for (_, what, action) in for_all_units.into_iter().filter(|(used, _, _)| *used) {
            findings.push(self.finding(what, vec![("any unit", polkit.whole(action).await)]));
        }
        findings
    }

    fn finding(&self, verb: &str, rights: Vec<(&str, Right)>) -> CheckResult {
        let (account, at) = match &self.context.environment.host {
            Host::Local => (self.account.name.as_str(), String::new()),
            // The account of the SSH connection performs the changes there.
            Host::Ssh(there) => {
                (there.to.split_once('@').map_or("ACCOUNT", |(account, _)| account), manual_command(there) + " ")
            }
        };
        let refused: Vec<&str> =
            rights.iter().filter(|(_, right)| *right == Right::Refused).map(|(unit, _)| *unit).collect();
        if !refused.is_empty() {
            let found = format!("`{account}` may not {verb} {}", few(refused));
            let rule = "/etc/polkit-1/rules.d/50-runbook.rules";
            let remedy = format!("{} unit polkit --user {account} | {at}sudo tee {rule}", self.commands.runbook);
            return CheckResult::wrong(Topic::Rights, verb, found, remedy);
        }
        let unknown = rights.iter().find_map(|(unit, right)| match right {
            Right::Unknown(reason) => Some((unit, reason)),
            Right::Granted | Right::Refused => None,
        });
        match unknown {
            Some((unit, reason)) => CheckResult::doubtful(Topic::Rights, verb, format!("unknown for {unit}: {reason}")),
            None => {
                let units = few(rights.iter().map(|(unit, _)| *unit));
                CheckResult::fine(Topic::Rights, verb, format!("`{account}` may {verb} {units}"))
            }
        }
    }
}
