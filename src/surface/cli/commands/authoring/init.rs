//! `runbook init`: creates a project from this machine.
//!
//! **Invariant:** an existing file is never overwritten.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::actions::{self, Secrets};
use crate::domain::config::estate::{Environment, Estate, ManagerBus};
use crate::domain::core::id::is_name;
use crate::domain::core::text::shell_word;
use crate::domain::host::scaffold;
use crate::domain::host::scaffold::DiscoveredProject;
use crate::domain::runbook::json_schema;
use crate::engine::catalog::{Catalog, ESTATE, RUNBOOKS};
use crate::surface::cli::commands::operate::unit;
use crate::surface::cli::context::action_context;
use crate::surface::cli::context::action_context::ActionTarget;
use crate::surface::cli::context::hostname::hostname;
use crate::surface::cli::context::project::Project;
use crate::surface::cli::context::session::Session;
use crate::surface::cli::context::settings::ProjectSource;
use crate::surface::cli::output::error::{Failure, Result};
use crate::surface::cli::output::writer;
use crate::surface::exit::Exit;

/// Maximum size of an existing file that is read, in bytes.
const FILE_LIMIT: u64 = 1024 * 1024;

/// The directory for the files for systemd and polkit, which a person installs.
const SYSTEM_DIRECTORY: &str = "systemd";

/// Create a project from this machine
///
/// Writes an estate with the services that systemd knows, their ports, the
/// health addresses that answer, the datastores and the work tree; runbooks P1
/// to P4 to start with; schemas for your editor; and the files for systemd and
/// polkit. `FILL IN` marks what you have to complete. An existing file is not
/// changed.
///
/// Examples:
///   runbook init --dry-run
///   runbook init /etc/runbook --units "shop-*"
///   runbook init --env staging --env production
///   runbook init --systemd user
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Init {
    /// The project's directory [default: here]
    #[arg(value_name = "DIRECTORY")]
    directory: Option<PathBuf>,
    /// Print the files without writing them
    #[arg(long)]
    dry_run: bool,
    /// The environment of this machine; further ones are those of other machines [default: production]
    #[arg(long = "env", value_name = "NAME", value_parser = environment)]
    environments: Vec<String>,
    /// The units of the project [default: the most common prefix of units that do not come with the distribution]
    #[arg(long, value_name = "PATTERN")]
    units: Option<String>,
    /// The systemd manager: `system`, `user` or a D-Bus address
    #[arg(long, value_name = "BUS", default_value = "system")]
    systemd: String,
    /// The account that the service will run as
    #[arg(long, value_name = "ACCOUNT", default_value = "runbook")]
    user: String,
}

fn environment(typed: &str) -> std::result::Result<String, String> {
    match is_name(typed) {
        true => Ok(typed.to_owned()),
        false => Err("a name is a lower-case letter, then lower-case letters, digits, `-` and `_`".to_owned()),
    }
}

/// What happens to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum FileOutcome {
    /// It already existed and was not changed.
    Kept,
    /// It was written.
    Written,
    /// It would be written without `--dry-run`.
    Missing,
}

/// One file of the result.
#[derive(Debug, Serialize)]
struct InitFile {
    path: PathBuf,
    #[serde(rename = "fate")]
    outcome: FileOutcome,
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<String>,
}

impl Init {
    /// Discovers the machine and writes the missing files.
    pub fn run(self, session: &Session) -> Result {
        let directory = self.directory(session);
        let account = unit::account(&self.user)?;
        let discovered =
            DiscoveredProject { environments: self.environments.clone(), ..self.discover(session, &directory)? };
        let mut files = project_files(&discovered);
        let yaml = files.iter().filter(|(path, _)| path.extension().is_some_and(|extension| extension == "yaml"));
        let texts: BTreeMap<String, String> =
            yaml.map(|(path, text)| existing_or_new(&directory, path, text)).collect();
        let project = Project { catalog: Catalog::of_texts(&directory, texts), directory: directory.clone() };
        files.extend(system_files(&project, session, account));
        let results = files
            .into_iter()
            .map(|(path, text)| self.write_missing(&directory, path, text))
            .collect::<Result<Vec<InitFile>>>()?;
        self.report(&results, &discovered, session)?;
        self.conclude(&results, &directory, session);
        Ok(Exit::DONE)
    }

    fn directory(&self, session: &Session) -> PathBuf {
        match (&self.directory, &session.settings.project) {
            (Some(directory), _) => session.settings.working_directory.join(directory),
            (None, ProjectSource::Named(directory)) => directory.clone(),
            (None, ProjectSource::Found(_)) => session.settings.working_directory.clone(),
        }
    }

    fn discover(&self, session: &Session, directory: &Path) -> Result<DiscoveredProject> {
        let environment = Environment { systemd: ManagerBus(self.systemd.clone()), ..Environment::default() };
        let (directory, name) = (directory.to_owned(), "production".to_owned());
        let target = ActionTarget { directory, name, environment, estate: Estate::default() };
        let context = action_context::context(session, target, Secrets::default())?;
        let discovery = crate::engine::inspect::discovery::find(&context, self.units.as_deref(), hostname());
        session.runtime()?.block_on(discovery).map_err(|reason| {
            let other = if self.systemd == "user" { "system" } else { "user" };
            Failure::error(reason).hint(format!("Name another manager: `--systemd {other}`, or its D-Bus address."))
        })
    }

    /// Writes a file that does not exist, unless `--dry-run` is set.
    fn write_missing(&self, directory: &Path, path: PathBuf, text: String) -> Result<InitFile> {
        let file = directory.join(&path);
        // A broken link counts as an existing file.
        if file.symlink_metadata().is_ok() {
            return Ok(InitFile { path, outcome: FileOutcome::Kept, content: None });
        }
        if self.dry_run {
            return Ok(InitFile { path, outcome: FileOutcome::Missing, content: Some(text) });
        }
        let outcome = write_new(&file, &text)
            .map_err(|error| Failure::error(format!("`{}` cannot be written: {error}", file.display())))?;
        Ok(InitFile { path, outcome, content: None })
    }

    fn report(&self, files: &[InitFile], discovered: &DiscoveredProject, session: &Session) -> Result<()> {
        let output = &session.output;
        let answering = discovered.services.iter().filter(|service| service.health.is_some()).count();
        output.print_message(&format!(
            "found {} services, of which {answering} answer, {} datastores and {}",
            discovered.services.len(),
            discovered.stores.len(),
            discovered
                .tree
                .as_ref()
                .map_or_else(|| "no work tree".to_owned(), |tree| format!("the work tree `{}`", tree.directory)),
        ));
        if !output.is_table() {
            return output.list(files);
        }
        for file in files {
            let path = crate::domain::core::text::one_line(&file.path.to_string_lossy(), 400);
            output.text(&match (&file.content, file.outcome) {
                (Some(content), _) => {
                    format!("--- {path}\n{}\n", crate::domain::core::text::printable(content).trim_end())
                }
                (None, FileOutcome::Kept) => format!("kept     {path}\n"),
                (None, _) => format!("written  {path}\n"),
            })?;
        }
        Ok(())
    }

    fn conclude(&self, files: &[InitFile], directory: &Path, session: &Session) {
        let kept = files.iter().filter(|file| file.outcome == FileOutcome::Kept).count();
        session.output.print_message(&match (files.len() - kept, self.dry_run) {
            (0, _) => "nothing is changed: every file is there already".to_owned(),
            (new, true) => format!("nothing is changed: {new} files would be written, {kept} kept"),
            (new, false) => format!("{new} files written, {kept} kept"),
        });
        let here = directory == session.settings.working_directory;
        let place = shell_word(&session.settings.shown(directory).to_string_lossy());
        let command = if here { "runbook".to_owned() } else { format!("runbook --dir {place}") };
        session.output.next(&match self.dry_run {
            true => vec![format!("runbook init{}", if here { String::new() } else { format!(" {place}") })],
            false => vec![
                format!("grep -rn 'FILL IN' {place}/{RUNBOOKS}"),
                format!("{command} lint"),
                format!("{command} doctor"),
            ],
        });
    }
}

/// The files of the project: the estate, runbooks, and schemas for editors.
fn project_files(discovered: &DiscoveredProject) -> Vec<(PathBuf, String)> {
    let place = |name: &str| Path::new(RUNBOOKS).join(name);
    let mut files = vec![(place(ESTATE), scaffold::estate(discovered))];
    files.extend(scaffold::runbooks(discovered).into_iter().map(|(id, text)| (place(&format!("{id}.yaml")), text)));
    files.push((place("estate.schema.json"), writer::json(&json_schema::estate(), true)));
    files.push((place("runbook.schema.json"), writer::json(&json_schema::runbook(&actions::forms()), true)));
    files
}

/// The files for systemd and polkit, derived from the existing or the new estate. An estate with problems gives only the
/// socket unit.
fn system_files(project: &Project, session: &Session, account: &str) -> Vec<(PathBuf, String)> {
    let place = |name: &str| Path::new(SYSTEM_DIRECTORY).join(name);
    let listen = crate::surface::cli::commands::operate::serve::ADDRESS.parse().expect("the constant is an address");
    let mut files = vec![(place("runbook.socket"), unit::socket_of(listen))];
    if project.catalog.estate().content.is_err() {
        session
            .output
            .warn("the existing estate has problems, so only the socket unit is written; `runbook lint` shows them");
        return files;
    }
    files.extend(
        unit::service_of(project, session, account, unit::InstallPaths::default())
            .ok()
            .map(|text| (place("runbook.service"), text)),
    );
    files.extend(unit::polkit_of(project, session, account).ok().map(|text| (place("50-runbook.rules"), text)));
    files
}

/// The name of a file, with its existing text or, if there is none, the new text.
fn existing_or_new(directory: &Path, path: &Path, text: &str) -> (String, String) {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let file = directory.join(path);
    let is_readable = file.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.len() <= FILE_LIMIT);
    let existing = if is_readable { fs::read_to_string(file).ok() } else { None };
    (name, existing.unwrap_or_else(|| text.to_owned()))
}

/// Writes a new file. A file that another process has just created is not changed.
fn write_new(file: &Path, text: &str) -> std::io::Result<FileOutcome> {
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    match File::create_new(file) {
        Ok(mut file) => file.write_all(text.as_bytes()).map(|()| FileOutcome::Written),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(FileOutcome::Kept),
        Err(error) => Err(error),
    }
}
