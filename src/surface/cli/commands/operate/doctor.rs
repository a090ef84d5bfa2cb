//! `runbook doctor`: checks everything that the runbooks need on this host.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};

use crate::actions;
use crate::domain::config::estate::Estate;
use crate::domain::core::diagnostic;
use crate::domain::core::text::{one_line, shell_word};
use crate::domain::host::requirement::{CheckResult, CheckState, Needs, Topic};
use crate::domain::runbook::Runbook;
use crate::engine::catalog::RUNBOOKS;
use crate::engine::inspect::doctor::{self, Account, CommandHints};
use crate::surface::cli::context::action_context;
use crate::surface::cli::context::action_context::ActionTarget;
use crate::surface::cli::context::hostname::hostname;
use crate::surface::cli::context::local_user;
use crate::surface::cli::context::project::{Project, known_environment};
use crate::surface::cli::context::session::Session;
use crate::surface::cli::output::error::{Failure, Result};
use crate::surface::exit::Exit;
use crate::surface::slack::connect::manifest;

/// Maximum characters of a cell.
const CELL_LIMIT: usize = 400;

/// Check everything the runbooks need on this host
///
/// Checks the clock, free disk space, the log and its write speed; every unit,
/// health address, secret, path and program that a runbook or the estate
/// names; the remotes of work trees; the scopes of Slack's tokens; and whether
/// the account has exactly the permissions on units that the runbooks need.
/// Changes nothing. Each problem comes with a command that fixes it.
///
/// Exits with 0 if nothing is wrong, otherwise with 7.
///
/// Examples:
///   runbook doctor
///   runbook doctor --env production -o json
///   sudo runbook doctor --user runbook
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Doctor {
    /// The environment that this host belongs to
    #[arg(long = "env", value_name = "ENVIRONMENT")]
    environment: Option<String>,
    /// The account that the runbooks run as; only root may ask for another account [default: yours]
    #[arg(long, value_name = "ACCOUNT")]
    user: Option<String>,
}

impl Doctor {
    /// Runs the checks and prints the findings.
    pub fn run(self, session: &Session) -> Result {
        let account = self.account()?;
        let project = Project::open(&session.settings)?;
        let mut findings = files(&project, session);
        let no_estate = Estate::default();
        let estate = project.catalog.estate().content.as_ref().unwrap_or(&no_estate);
        let checks = self.checks(session, &project, estate, account)?;
        let results = session.runtime()?.block_on(checks.run());
        // Without a valid estate, only the checks of the host itself mean anything.
        let is_relevant = |result: &CheckResult| !std::ptr::eq(estate, &no_estate) || is_about_host(result.topic);
        findings.extend(results.into_iter().filter(is_relevant));
        findings.sort_by_key(|finding| (finding.topic, finding.state));
        match session.output.is_table() {
            true => session.output.text(&render(&findings))?,
            false => session.output.list(&findings)?,
        }
        Ok(conclude(&findings, &self.arguments(), session))
    }

    /// The arguments that repeat this check.
    fn arguments(&self) -> String {
        let flag = |name: &str, value: &Option<String>| {
            value.as_ref().map(|value| format!(" --{name} {}", shell_word(value))).unwrap_or_default()
        };
        format!("doctor{}{}", flag("env", &self.environment), flag("user", &self.user))
    }

    /// The checks to run, and what they need.
    fn checks(
        &self,
        session: &Session,
        project: &Project,
        estate: &Estate,
        account: Account,
    ) -> Result<doctor::Doctor> {
        let (name, environment) = match estate.environments.is_empty() {
            true => Default::default(),
            false => known_environment(self.environment.as_deref(), estate)?,
        };
        let runbooks: Vec<&Runbook> = project.catalog.valid_runbooks().collect();
        let needs = Needs::of(estate, &name, &runbooks, &actions::forms());
        let target = ActionTarget { directory: project.directory.clone(), estate: estate.clone(), name, environment };
        Ok(doctor::Doctor {
            context: action_context::context(session, target, session.secrets(estate, project))?,
            needs,
            log: session.log()?,
            hostname: hostname(),
            account,
            scopes: manifest::scopes(estate.slack.as_ref()).into_iter().map(str::to_owned).collect(),
            commands: CommandHints {
                runbook: session.settings.command(),
                folder: shell_word(&session.settings.shown(&project.directory.join(RUNBOOKS)).to_string_lossy()),
            },
        })
    }

    /// The account to check; only root may check another account than its own.
    fn account(&self) -> Result<Account> {
        let own = local_user::process_account();
        let asks_as_root = rustix::process::geteuid().is_root();
        let name = self.user.clone().unwrap_or_else(|| own.clone());
        let is_own = name == own;
        if !is_own && !asks_as_root {
            return Err(Failure::not_allowed(format!("only root can ask what `{}` may do", name.escape_debug()))
                .hint(format!("`sudo runbook doctor --user {}` asks.", shell_word(&name))));
        }
        super::unit::account(&name)?;
        Ok(Account { name, is_own, asks_as_root })
    }
}

/// Whether a topic can be checked without an estate.
fn is_about_host(topic: Topic) -> bool {
    matches!(topic, Topic::Runbooks | Topic::Host | Topic::Disk | Topic::Log)
}

/// The problems of the project's files.
fn files(project: &Project, session: &Session) -> Vec<CheckResult> {
    let lint = |name: &str| session.command(&format!("lint {}", shell_word(name)));
    let problems = project.catalog.problems();
    let wrong = problems.iter().map(|(source, problems)| {
        CheckResult::wrong(Topic::Runbooks, &source.name, diagnostic::count(problems.len()), lint(&source.name))
    });
    let sound = project.catalog.files().filter(|(_, file)| file.content.is_ok()).count();
    let noun = if sound == 1 { "runbook" } else { "runbooks" };
    wrong.chain([CheckResult::fine(Topic::Runbooks, "files", format!("{sound} {noun} without problems"))]).collect()
}

/// The findings as text, grouped by topic; the worst first.
fn render(findings: &[CheckResult]) -> String {
    let mut groups: BTreeMap<Topic, Vec<&CheckResult>> = BTreeMap::new();
    findings.iter().for_each(|finding| groups.entry(finding.topic).or_default().push(finding));
    let bold = Style::new().bold();
    let mut text = String::new();
    for (topic, findings) in groups {
        let _ = writeln!(text, "{bold}{}{bold:#}", topic.code());
        let wide = findings.iter().map(|finding| finding.subject.chars().count()).max().unwrap_or(0).min(SUBJECT_WIDTH);
        for finding in findings {
            let (sign, label, style) = state_style(finding.state);
            let (subject, found) = (one_line(&finding.subject, CELL_LIMIT), one_line(&finding.found, CELL_LIMIT));
            let _ = writeln!(text, "  {style}{sign} {label:<7}{style:#}  {subject:<wide$}  {found}");
            if let Some(mend) = &finding.mend {
                let _ = writeln!(text, "             fix: {}", one_line(mend, CELL_LIMIT));
            }
        }
    }
    text
}

/// Maximum width of the column of subjects; a longer subject is not aligned.
const SUBJECT_WIDTH: usize = 32;

/// The sign, the label and the style of a state. Each is understandable alone.
fn state_style(state: CheckState) -> (char, &'static str, Style) {
    match state {
        CheckState::Fine => ('✓', "ok", AnsiColor::Green.on_default()),
        CheckState::Doubtful => ('!', "warning", AnsiColor::Yellow.on_default().bold()),
        CheckState::Wrong => ('✗', "wrong", AnsiColor::Red.on_default().bold()),
    }
}

/// Prints the counts and what to type next.
fn conclude(findings: &[CheckResult], repeat: &str, session: &Session) -> Exit {
    let count = |state| findings.iter().filter(|finding| finding.state == state).count();
    let (wrong, doubtful, fine) = (count(CheckState::Wrong), count(CheckState::Doubtful), count(CheckState::Fine));
    let warnings = if doubtful == 1 { "warning" } else { "warnings" };
    session.output.print_message(&format!("{fine} ok, {doubtful} {warnings}, {wrong} wrong"));
    if wrong > 0 {
        session.output.next(&[session.command(repeat)]);
        return Exit::PROBLEMS;
    }
    session.output.next(&[session.command("list"), session.command("serve")]);
    Exit::DONE
}
