//! `runbook unit`: prints units and policies for systemd and polkit.
//!
//! The submodules generate the texts; this file collects their inputs from the project.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use crate::domain::core::diagnostic;
use crate::domain::host::unit_permission;
use crate::domain::host::unit_permission::Grant;
use crate::domain::runbook::Runbook;
use crate::surface::cli::context::project::Project;
use crate::surface::cli::context::session::Session;
use crate::surface::cli::output::error::{Failure, Result};
use crate::surface::exit::Exit;

mod polkit;
mod service;

/// The default account of the service.
const ACCOUNT: &str = "runbook";

/// Print units and policies for systemd and polkit
///
/// Prints the service unit for `runbook serve`, its socket unit, or the polkit
/// rule that allows its account exactly the verbs and units that the runbooks
/// use. Print them again when the estate, a runbook or the program's path has
/// changed.
///
/// Examples:
///   runbook unit service --user oncall > /etc/systemd/system/runbook.service
///   runbook unit socket > /etc/systemd/system/runbook.socket
///   runbook unit polkit --user oncall > /etc/polkit-1/rules.d/50-runbook.rules
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct UnitCommand {
    /// The file to print
    #[arg(value_enum, value_name = "FILE")]
    file: UnitFile,
    /// The account that the service runs as
    #[arg(long, value_name = "ACCOUNT", default_value = ACCOUNT)]
    user: String,
    /// The address on which the socket listens
    #[arg(long, value_name = "ADDRESS:PORT", default_value = super::serve::ADDRESS)]
    listen: SocketAddr,
    /// The future path of the program [default: its present path]
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,
    /// The future path of the project's directory [default: its present path]
    #[arg(long = "shop", value_name = "DIR")]
    project: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum UnitFile {
    /// `runbook.service`, with a sandbox
    Service,
    /// `runbook.socket`: the port stays open while the service restarts
    Socket,
    /// The polkit rule
    Polkit,
}

impl UnitCommand {
    /// Prints one of the files.
    pub fn run(self, session: &Session) -> Result {
        let account = account(&self.user)?;
        let text = match self.file {
            UnitFile::Socket => socket_of(self.listen),
            UnitFile::Service => self.service(session, account)?,
            UnitFile::Polkit => self.polkit(session, account)?,
        };
        session.output.text(&text)?;
        let user = if self.user == ACCOUNT { String::new() } else { format!(" --user {account}") };
        session.output.next(&match self.file {
            UnitFile::Service => vec![session.command("unit socket"), session.command(&format!("unit polkit{user}"))],
            UnitFile::Socket => vec!["systemctl enable --now runbook.socket".to_owned()],
            UnitFile::Polkit => vec!["systemctl restart polkit".to_owned()],
        });
        Ok(Exit::DONE)
    }

    fn service(&self, session: &Session, account: &str) -> Result<String> {
        let paths = InstallPaths { program: self.program.as_deref(), project: self.project.as_deref() };
        service_of(&Project::open(&session.settings)?, session, account, paths)
    }

    fn polkit(&self, session: &Session, account: &str) -> Result<String> {
        polkit_of(&Project::open(&session.settings)?, session, account)
    }
}

/// The paths of the program and the project after the installation; none for the present ones.
#[derive(Debug, Clone, Copy, Default)]
pub struct InstallPaths<'a> {
    pub program: Option<&'a Path>,
    /// The project's directory.
    pub project: Option<&'a Path>,
}

/// The text of the service unit for a project.
pub fn service_of(project: &Project, session: &Session, account: &str, paths: InstallPaths<'_>) -> Result<String> {
    let estate = project.estate(&session.output)?;
    let program = paths.program.map_or_else(std::env::current_exe, |program| Ok(program.to_owned()));
    let program = program.map_err(|error| Failure::error(format!("this program cannot be found: {error}")))?;
    let directory = paths.project.map_or_else(|| absolute(&project.directory), |project| Ok(project.to_owned()))?;
    let sudo_runbooks: Vec<&str> = valid_runbooks(project, session)
        .filter(|runbook| calls_sudo(runbook))
        .map(|runbook| runbook.id.as_str())
        .collect();
    let text =
        service::service(&service::UnitInputs { estate, program, directory, account, sudo_runbooks: &sudo_runbooks });
    text.map_err(|word| {
        Failure::usage(format!("`{}` cannot be written into a unit file", word.escape_debug()))
            .hint("Move it to a path without control characters.")
    })
}

/// The text of the socket unit.
pub fn socket_of(listen: SocketAddr) -> String {
    service::socket(listen)
}

/// The text of the polkit rule for a project.
pub fn polkit_of(project: &Project, session: &Session, account: &str) -> Result<String> {
    let estate = project.estate(&session.output)?;
    Ok(polkit::rule(&Grant::of(valid_runbooks(project, session), estate), account))
}

/// The runbooks without problems; warns about the others.
fn valid_runbooks<'a>(project: &'a Project, session: &Session) -> impl Iterator<Item = &'a Runbook> {
    for (source, problems) in project.catalog.problems() {
        let count = diagnostic::count(problems.len());
        session.output.warn(&format!("`{}` has {count} and is left out", source.name));
    }
    project.catalog.valid_runbooks()
}

/// Whether a step calls `sudo`, which cannot gain privileges in the service.
fn calls_sudo(runbook: &Runbook) -> bool {
    /// Whether a text contains `sudo` as a word.
    fn has_sudo(spec: &serde_json::Value) -> bool {
        match spec {
            serde_json::Value::String(text) => text.split_whitespace().any(|word| word == "sudo"),
            serde_json::Value::Array(items) => items.iter().any(has_sudo),
            serde_json::Value::Object(fields) => fields.values().any(has_sudo),
            _ => false,
        }
    }
    let steps = runbook.all_steps();
    let actions = steps.into_iter().flat_map(unit_permission::actions);
    actions.filter(|action| matches!(action.kind.as_str(), "command" | "shell")).any(|action| has_sudo(&action.spec))
}

/// Checks an account name by systemd's strict rule (systemd.exec(5), `User=`).
pub fn account(name: &str) -> Result<&str> {
    /// The limit of that rule, in bytes.
    const MAX_ACCOUNT_LENGTH: usize = 31;
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let starts_with_letter = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    if starts_with_letter && name.len() <= MAX_ACCOUNT_LENGTH && name.chars().all(is_allowed) {
        return Ok(name);
    }
    Err(Failure::usage(format!("`{}` cannot be an account's name", name.escape_debug())))
}

/// The canonical path of a directory; for one that does not exist yet, the absolute path.
fn absolute(directory: &std::path::Path) -> Result<PathBuf> {
    std::fs::canonicalize(directory)
        .or_else(|_| std::path::absolute(directory))
        .map_err(|error| Failure::error(format!("`{}` cannot be found: {error}", directory.display())))
}
