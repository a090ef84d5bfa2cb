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
use crate::engine::inspect::doctor::{Account, Checkup, CommandHints};
use crate::surface::cli::context::action_context;
use crate::surface::cli::context::action_context::ActionTarget;
use crate::surface::cli::context::hostname::hostname;
use crate::surface::cli::context::local_user;
use crate::surface::cli::context::project::{Project, known_environment};
use crate::surface::cli::context::session::Session;
use crate::surface::cli::output::error::{Failure, Result};
use crate::surface::exit::Exit;
use crate::surface::slack::connect::manifest;

/// Maximum characters of a finding in the table.
const LINE: usize = 400;

/// Looks at everything that the runbooks need of this host
///
/// The clock, room on the disk, the log and how fast it is written, every
/// unit, health address, secret, path and program that a runbook or the
/// estate names, the remotes of work trees, what Slack's tokens may do, and
/// whether the account may do exactly what the runbooks do to units. Nothing
/// is changed. What is wrong comes with the command that mends it.
///
/// Ends with 0 when all is well, and with 7 when something is wrong.
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
    /// The account that the runbooks run as, when it is another; polkit tells root alone [default: yours]
    #[arg(long, value_name = "ACCOUNT")]
    user: Option<String>,
}

impl Doctor {
    /// Runs the checks and prints the findings.
    pub fn run(self, session: &Session) -> Result {
        let account = self.account()?;
        let shop = Project::open(&session.settings)?;
        let mut findings = files(&shop, session);
        let none = Estate::default();
        let estate = shop.catalog.estate().content.as_ref().unwrap_or(&none);
        let checkup = self.checkup(session, &shop, estate, account)?;
        let looked = session.runtime()?.block_on(checkup.run());
        // Without an estate, only requirements of the host itself are known.
        let known = |finding: &CheckResult| !std::ptr::eq(estate, &none) || of_host(finding.topic);
        findings.extend(looked.into_iter().filter(known));
        findings.sort_by_key(|finding| (finding.topic, finding.state));
        match session.output.is_table() {
            true => session.output.text(&drawn(&findings))?,
            false => session.output.list(&findings)?,
        }
        Ok(concluded(&findings, &self.again(), session))
    }

    /// The arguments that repeat this check.
    fn again(&self) -> String {
        let flag = |name: &str, value: &Option<String>| {
            value.as_ref().map(|value| format!(" --{name} {}", shell_word(value))).unwrap_or_default()
        };
        format!("doctor{}{}", flag("env", &self.environment), flag("user", &self.user))
    }

    fn checkup(&self, session: &Session, shop: &Project, estate: &Estate, account: Account) -> Result<Checkup> {
        let (name, environment) = match estate.environments.is_empty() {
            true => Default::default(),
            false => known_environment(self.environment.as_deref(), estate)?,
        };
        let runbooks: Vec<&Runbook> = shop.catalog.valid_runbooks().collect();
        let needs = Needs::of(estate, &name, &runbooks, &actions::forms());
        let scene = ActionTarget { directory: shop.directory.clone(), estate: estate.clone(), name, environment };
        Ok(Checkup {
            context: action_context::context(session, scene, session.secrets(estate, shop))?,
            needs,
            log: session.log()?,
            hostname: hostname(),
            account,
            scopes: manifest::scopes(estate.slack.as_ref()).into_iter().map(str::to_owned).collect(),
            commands: CommandHints {
                runbook: session.settings.command(),
                folder: shell_word(&session.settings.shown(&shop.directory.join(RUNBOOKS)).to_string_lossy()),
            },
        })
    }

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

/// Whether a topic concerns the host itself and so can be checked without an estate.
fn of_host(topic: Topic) -> bool {
    matches!(topic, Topic::Runbooks | Topic::Host | Topic::Disk | Topic::Log)
}

/// The problems of the project's own files.
fn files(shop: &Project, session: &Session) -> Vec<CheckResult> {
    let lint = |name: &str| session.command(&format!("lint {}", shell_word(name)));
    let problems = shop.catalog.problems();
    let wrong = problems.iter().map(|(source, problems)| {
        CheckResult::wrong(Topic::Runbooks, &source.name, diagnostic::count(problems.len()), lint(&source.name))
    });
    let sound = shop.catalog.sheets().filter(|(_, sheet)| sheet.content.is_ok()).count();
    let word = if sound == 1 { "runbook is" } else { "runbooks are" };
    wrong.chain([CheckResult::fine(Topic::Runbooks, "files", format!("{sound} {word} sound"))]).collect()
}

/// The findings by topic, the worst first.
fn drawn(findings: &[CheckResult]) -> String {
    let mut groups: BTreeMap<Topic, Vec<&CheckResult>> = BTreeMap::new();
    findings.iter().for_each(|finding| groups.entry(finding.topic).or_default().push(finding));
    let bold = Style::new().bold();
    let mut text = String::new();
    for (topic, findings) in groups {
        let _ = writeln!(text, "{bold}{}{bold:#}", topic.code());
        let wide = findings.iter().map(|finding| finding.subject.chars().count()).max().unwrap_or(0).min(WIDEST);
        for finding in findings {
            let (sign, word, style) = seal(finding.state);
            let (subject, found) = (one_line(&finding.subject, LINE), one_line(&finding.found, LINE));
            let _ = writeln!(text, "  {style}{sign} {word:<5}{style:#}  {subject:<wide$}  {found}");
            if let Some(mend) = &finding.mend {
                let _ = writeln!(text, "           mend: {}", one_line(mend, LINE));
            }
        }
    }
    text
}

/// The widest subject that is aligned with the others.
const WIDEST: usize = 32;

/// A sign, a word and a colour, each understandable alone.
fn seal(state: CheckState) -> (char, &'static str, Style) {
    match state {
        CheckState::Fine => ('✓', "ok", AnsiColor::Green.on_default()),
        CheckState::Doubtful => ('!', "look", AnsiColor::Yellow.on_default().bold()),
        CheckState::Wrong => ('✗', "wrong", AnsiColor::Red.on_default().bold()),
    }
}

/// Prints the counts and what to type next.
fn concluded(findings: &[CheckResult], again: &str, session: &Session) -> Exit {
    let count = |state| findings.iter().filter(|finding| finding.state == state).count();
    let (wrong, doubtful, fine) = (count(CheckState::Wrong), count(CheckState::Doubtful), count(CheckState::Fine));
    session.output.print_message(&format!("{fine} ok, {doubtful} to look at, {wrong} wrong"));
    if wrong > 0 {
        session.output.next(&[session.command(again)]);
        return Exit::PROBLEMS;
    }
    session.output.next(&[session.command("list"), session.command("serve")]);
    Exit::DONE
}
