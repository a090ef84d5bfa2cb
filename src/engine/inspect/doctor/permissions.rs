//! What the account may do to units: exactly the verbs that the runbooks use, on exactly the units.
//!
//! Of ourselves, systemd is asked; of another account, polkit is, which answers root alone. See
//! [`crate::actions::kinds::systemd::permissions`]: nothing is done to any unit.

use std::path::Path;

use futures_util::future::join_all;
use tokio::sync::mpsc;

use super::{Checkup, few};
use crate::actions::kinds::systemd::permissions;
use crate::actions::kinds::systemd::permissions::{Polkit, Right};
use crate::actions::transport::host::manual_command;
use crate::actions::transport::process;
use crate::actions::transport::process::Job;
use crate::actions::transport::process::capture::{ChildStream, Sink};
use crate::domain::config::host::Host;
use crate::domain::host::requirement::{CheckResult, Topic};

/// A process of the account for polkit to check: prints its id and lives as long as a check may take.
const STAND_IN: &str = "echo $$; exec sleep 15";

/// Receives the first line that a program prints.
struct FirstLine {
    seen: String,
    whole: mpsc::Sender<String>,
}

impl Sink for FirstLine {
    fn take(&mut self, source: ChildStream, bytes: &[u8]) {
        if matches!(source, ChildStream::Stdout) {
            self.seen.push_str(&String::from_utf8_lossy(bytes));
            if let Some((line, _)) = self.seen.split_once('\n') {
                // Further lines are ignored.
                let _ = self.whole.try_send(line.to_owned());
            }
        }
    }
}

impl Checkup {
    pub(super) async fn rights(&self) -> Vec<CheckResult> {
        let grant = &self.needs.grant;
        if grant.units.values().all(|units| units.is_empty()) && !grant.unit_files && !grant.daemon_reload {
            return vec![CheckResult::fine(Topic::Rights, "units", "no runbook changes a unit")];
        }
        if self.context.environment.host != Host::Local {
            // ssh's account performs the changes there.
            return self.own().await;
        }
        match (self.account.is_own, self.context.environment.systemd.0.as_str()) {
            (true, "system") if self.account.asks_as_root => {
                let found = "this is root, whom systemd lets do everything; `--user ACCOUNT` asks for another account";
                vec![CheckResult::fine(Topic::Rights, "units", found)]
            }
            (true, _) => self.own().await,
            (false, "system") => self.of_another().await,
            (false, _) => {
                let found = "a manager of a user obeys that user alone";
                vec![CheckResult::doubtful(Topic::Rights, &*self.account.name, found)]
            }
        }
    }

    /// Asks systemd about our own account.
    async fn own(&self) -> Vec<CheckResult> {
        let manager = &self.context.environment.systemd;
        let mut findings = Vec::new();
        for (verb, units) in &self.needs.grant.units {
            let asked = join_all(units.iter().map(|unit| permissions::own(&self.context, verb, unit))).await;
            let answers = asked.into_iter().map(|answer| answer.unwrap_or_else(Right::Unknown));
            findings.push(self.judged(verb, units.iter().map(String::as_str).zip(answers).collect()));
        }
        let whole =
            [(self.needs.grant.unit_files, "enable or disable"), (self.needs.grant.daemon_reload, "daemon_reload")];
        // A user's manager does not ask polkit.
        let is_asked = manager.0 == "system";
        for (_, what) in whole.into_iter().filter(|(used, _)| *used && is_asked) {
            let found = format!("root can ask: `sudo {} doctor --user {}`", self.words.runbook, self.account.name);
            findings.push(CheckResult::doubtful(Topic::Rights, what, found));
        }
        findings
    }

    /// Asks polkit, as root, about a process that runs as the account during the check.
    async fn of_another(&self) -> Vec<CheckResult> {
        let context = self.context();
        let job = Job::new(["runuser", "-u", &self.account.name, "--", "sh", "-c", STAND_IN], &context);
        let (whole, mut line) = mpsc::channel(1);
        let mut sink = FirstLine { seen: String::new(), whole };
        let asked = async {
            let process = line.recv().await.and_then(|line| line.trim().parse().ok());
            match process {
                Some(process) => self.polkit(process).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            findings = asked => findings,
            ended = process::run_into(&job, &context, &mut sink) => {
                let reason = ended.err().map_or_else(|| "there is no such account".to_owned(), |error| error.to_string());
                let found = format!("no process can be run as `{}`: {reason}", self.account.name);
                let mend = format!("useradd --system --groups systemd-journal {}", self.account.name);
                vec![CheckResult::wrong(Topic::Rights, &*self.account.name, found, mend)]
            }
        }
    }

    async fn polkit(&self, process: u32) -> Vec<CheckResult> {
        use std::os::unix::fs::MetadataExt as _;
        let owner = std::fs::metadata(Path::new("/proc").join(process.to_string())).map(|about| about.uid());
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
            let answers = join_all(units.iter().map(|unit| polkit.unit(verb, unit))).await;
            findings.push(self.judged(verb, units.iter().map(String::as_str).zip(answers).collect()));
        }
        let whole = [
            (self.needs.grant.unit_files, "enable or disable", "manage-unit-files"),
            (self.needs.grant.daemon_reload, "daemon_reload", "reload-daemon"),
        ];
        for (_, what, action) in whole.into_iter().filter(|(used, _, _)| *used) {
            findings.push(self.judged(what, vec![("any unit", polkit.whole(action).await)]));
        }
        findings
    }

    fn judged(&self, verb: &str, answers: Vec<(&str, Right)>) -> CheckResult {
        let (account, at) = match &self.context.environment.host {
            Host::Local => (self.account.name.as_str(), String::new()),
            // ssh's account performs the changes there.
            Host::Ssh(there) => {
                (there.to.split_once('@').map_or("ACCOUNT", |(account, _)| account), manual_command(there) + " ")
            }
        };
        let refused: Vec<&str> =
            answers.iter().filter(|(_, right)| *right == Right::Refused).map(|(unit, _)| *unit).collect();
        if !refused.is_empty() {
            let found = format!("`{account}` may not {verb} {}", few(refused));
            let rule = "/etc/polkit-1/rules.d/50-runbook.rules";
            let mend = format!("{} unit polkit --user {account} | {at}sudo tee {rule}", self.words.runbook);
            return CheckResult::wrong(Topic::Rights, verb, found, mend);
        }
        let unknown = answers.iter().find_map(|(unit, right)| match right {
            Right::Unknown(reason) => Some((unit, reason)),
            Right::Granted | Right::Refused => None,
        });
        match unknown {
            Some((unit, reason)) => {
                CheckResult::doubtful(Topic::Rights, verb, format!("there is no telling for {unit}: {reason}"))
            }
            None => {
                let units = few(answers.iter().map(|(unit, _)| *unit));
                CheckResult::fine(Topic::Rights, verb, format!("`{account}` may {verb} {units}"))
            }
        }
    }
}
