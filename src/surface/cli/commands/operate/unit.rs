//! `runbook unit`: prints units and policies for systemd and polkit.
//!
//! The texts are generated in the submodules; here their inputs are collected from the project.

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

/// Prints what systemd and polkit need for `runbook serve`
///
/// The service, its socket, and the rule that allows its account exactly the
/// verbs and units of the estate that this shop's runbooks use. Print it
/// again when the estate, a runbook or the program's place has changed.
///
/// Examples:
///   runbook unit service --user oncall > /etc/systemd/system/runbook.service
///   runbook unit socket > /etc/systemd/system/runbook.socket
///   runbook unit polkit --user oncall > /etc/polkit-1/rules.d/50-runbook.rules
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct UnitCommand {
    /// Which file
    #[arg(value_enum, value_name = "FILE")]
    file: Which,
    /// The account that the service runs as
    #[arg(long, value_name = "ACCOUNT", default_value = "runbook")]
    user: String,
    /// Where the socket listens
    #[arg(long, value_name = "ADDRESS:PORT", default_value = super::serve::ADDRESS)]
    listen: SocketAddr,
    /// Where the program will be, when it is not yet there
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,
    /// Where the shop's directory will be, when it is not yet there
    #[arg(long, value_name = "DIR")]
    shop: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Which {
    /// `runbook.service`, hardened
    Service,
    /// `runbook.socket`: the port stays open while the service restarts
    Socket,
    /// The rule for polkit
    Polkit,
}

impl UnitCommand {
    /// Prints one of the files.
    pub fn run(self, session: &Session) -> Result {
        let account = account(&self.user)?;
        let text = match self.file {
            Which::Socket => socket_of(self.listen),
            Which::Service => self.service(session, account)?,
            Which::Polkit => self.polkit(session, account)?,
        };
        session.output.text(&text)?;
        session.output.next(&match self.file {
            Which::Service => vec![session.command("unit socket"), session.command("unit polkit")],
            Which::Socket => vec!["systemctl enable --now runbook.socket".to_owned()],
            Which::Polkit => vec!["systemctl restart polkit".to_owned()],
        });
        Ok(Exit::DONE)
    }

    fn service(&self, session: &Session, account: &str) -> Result<String> {
        let place = InstallPaths { program: self.program.as_deref(), shop: self.shop.as_deref() };
        service_of(&Project::open(&session.settings)?, session, account, place)
    }

    fn polkit(&self, session: &Session, account: &str) -> Result<String> {
        polkit_of(&Project::open(&session.settings)?, session, account)
    }
}

/// The future paths of the program and the project, if they differ from the present ones.
#[derive(Debug, Clone, Copy, Default)]
pub struct InstallPaths<'a> {
    pub program: Option<&'a Path>,
    /// The project's directory.
    pub shop: Option<&'a Path>,
}

/// The text of the service unit for a project.
pub fn service_of(shop: &Project, session: &Session, account: &str, place: InstallPaths<'_>) -> Result<String> {
    let estate = shop.estate(&session.output)?;
    let program = place.program.map_or_else(std::env::current_exe, |program| Ok(program.to_owned()));
    let program = program.map_err(|error| Failure::error(format!("this program cannot be found: {error}")))?;
    let directory = place.shop.map_or_else(|| absolute(&shop.directory), |shop| Ok(shop.to_owned()))?;
    let escalating: Vec<&str> = sound(shop, session).filter(|runbook| escalates(runbook)).map(id).collect();
    let made = service::service(&service::Facts { estate, program, directory, account, escalating: &escalating });
    made.map_err(|word| {
        Failure::usage(format!("`{}` cannot stand in a unit file", word.escape_debug()))
            .hint("Move it to a path without control characters.")
    })
}

/// The text of the socket unit.
pub fn socket_of(listen: SocketAddr) -> String {
    service::socket(listen)
}

/// The text of the polkit rule for a project.
pub fn polkit_of(shop: &Project, session: &Session, account: &str) -> Result<String> {
    let estate = shop.estate(&session.output)?;
    Ok(polkit::rule(&Grant::of(sound(shop, session), estate), account))
}

/// The runbooks without problems; warns about the others.
fn sound<'a>(shop: &'a Project, session: &Session) -> impl Iterator<Item = &'a Runbook> {
    for (source, problems) in shop.catalog.problems() {
        let count = diagnostic::count(problems.len());
        session.output.warn(&format!("`{}` has {count}, and is left out", source.name));
    }
    shop.catalog.valid_runbooks()
}

fn id(runbook: &Runbook) -> &str {
    &runbook.id
}

/// Whether a step calls `sudo`, which cannot gain privileges in the service.
fn escalates(runbook: &Runbook) -> bool {
    /// Whether a command or a script contains the word `sudo`.
    fn calls(spec: &serde_json::Value) -> bool {
        match spec {
            serde_json::Value::String(text) => text.split_whitespace().any(|word| word == "sudo"),
            serde_json::Value::Array(items) => items.iter().any(calls),
            serde_json::Value::Object(fields) => fields.values().any(calls),
            _ => false,
        }
    }
    let steps = runbook.all_steps();
    let actions = steps.into_iter().flat_map(unit_permission::actions);
    actions.filter(|action| matches!(action.kind.as_str(), "command" | "shell")).any(|action| calls(&action.spec))
}

/// Checks an account name by systemd's strict rule (systemd.exec(5), `User=`).
pub fn account(name: &str) -> Result<&str> {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let begins = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    if begins && name.len() <= 31 && name.chars().all(fits) {
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
