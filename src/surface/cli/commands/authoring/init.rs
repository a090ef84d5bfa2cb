//! `runbook init`.
//!
//! **Invariant:** a file that is there is never written: each is made anew or not at all.

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
use crate::domain::runbook::schema;
use crate::engine::catalog::{Catalog, ESTATE, RUNBOOKS};
use crate::surface::cli::commands::operate::unit;
use crate::surface::cli::context::action_context;
use crate::surface::cli::context::action_context::ActionTarget;
use crate::surface::cli::context::project::Project;
use crate::surface::cli::context::session;
use crate::surface::cli::context::session::Session;
use crate::surface::cli::context::settings::ProjectSource;
use crate::surface::cli::output::error::{Failure, Result};
use crate::surface::cli::output::writer;
use crate::surface::exit::Exit;

/// The largest existing file that is read, in bytes.
const FILE_LIMIT: u64 = 1024 * 1024;

/// The directory for systemd and polkit files, which a person installs.
const SYSTEM: &str = "systemd";

/// Writes a shop's first files, from what is found on this machine
///
/// An estate with the services that systemd knows, the ports they listen on
/// and the health addresses that answer, the datastores and the work tree;
/// runbooks P1 to P4 to begin with; schemas for your editor; and the files
/// for systemd and polkit. What a person has to look at says `FILL IN`.
/// A file that is there already is kept as it is.
///
/// Examples:
///   runbook init --dry-run
///   runbook init /etc/runbook --units "shop-*"
///   runbook init --env staging --env production
///   runbook init --systemd user
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Init {
    /// The shop's directory [default: here]
    #[arg(value_name = "DIRECTORY")]
    place: Option<PathBuf>,
    /// Prints what would be written, and writes nothing
    #[arg(long)]
    dry_run: bool,
    /// What the stack on this machine is called; further ones are those on other machines [default: production]
    #[arg(long = "env", value_name = "NAME", value_parser = environment)]
    environments: Vec<String>,
    /// Which units are the shop's [default: what most units begin with that are not the distribution's]
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
    /// It already existed.
    Kept,
    /// It was written.
    Written,
    /// It would be written without `--dry-run`.
    Missing,
}

/// One file, for people and programs.
#[derive(Debug, Serialize)]
struct InitFile {
    path: PathBuf,
    fate: FileOutcome,
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<String>,
}

impl Init {
    /// Discovers the machine and writes the missing files.
    pub fn run(self, session: &Session) -> Result {
        let directory = self.directory(session);
        let account = unit::account(&self.user)?;
        let found = DiscoveredProject { environments: self.environments.clone(), ..self.found(session, &directory)? };
        let mut files = project_files(&found);
        let texts = files.iter().filter(|(path, _)| path.extension().is_some_and(|ending| ending == "yaml"));
        let texts: BTreeMap<String, String> =
            texts.map(|(path, text)| as_they_will_be(&directory, path, text)).collect();
        let shop = Project { catalog: Catalog::of_texts(&directory, texts), directory: directory.clone() };
        files.extend(system_files(&shop, session, account));
        let sheets = files
            .into_iter()
            .map(|(path, text)| self.settle(&directory, path, text))
            .collect::<Result<Vec<InitFile>>>()?;
        self.report(&sheets, &found, session)?;
        self.conclude(&sheets, &directory, session);
        Ok(Exit::DONE)
    }

    fn directory(&self, session: &Session) -> PathBuf {
        match (&self.place, &session.settings.shop) {
            (Some(place), _) => session.settings.working_directory.join(place),
            (None, ProjectSource::Named(place)) => place.clone(),
            (None, ProjectSource::Found(_)) => session.settings.working_directory.clone(),
        }
    }

    fn found(&self, session: &Session, directory: &Path) -> Result<DiscoveredProject> {
        let environment = Environment { systemd: ManagerBus(self.systemd.clone()), ..Environment::default() };
        let (directory, name) = (directory.to_owned(), "production".to_owned());
        let scene = ActionTarget { directory, name, environment, estate: Estate::default() };
        let context = action_context::context(session, scene, Secrets::default())?;
        let find = crate::engine::inspect::discovery::find(&context, self.units.as_deref(), session::hostname());
        session.runtime()?.block_on(find).map_err(|reason| {
            Failure::error(reason).hint("Name another manager: `--systemd user`, or its D-Bus address.")
        })
    }

    /// Writes a file that does not exist, unless `--dry-run` is set.
    fn settle(&self, directory: &Path, path: PathBuf, text: String) -> Result<InitFile> {
        let file = directory.join(&path);
        // A broken link counts as an existing file.
        if file.symlink_metadata().is_ok() {
            return Ok(InitFile { path, fate: FileOutcome::Kept, content: None });
        }
        if self.dry_run {
            return Ok(InitFile { path, fate: FileOutcome::Missing, content: Some(text) });
        }
        let fate = written(&file, &text)
            .map_err(|error| Failure::error(format!("`{}` cannot be written: {error}", file.display())))?;
        Ok(InitFile { path, fate, content: None })
    }

    fn report(&self, sheets: &[InitFile], found: &DiscoveredProject, session: &Session) -> Result<()> {
        let output = &session.output;
        let answering = found.services.iter().filter(|service| service.health.is_some()).count();
        output.print_message(&format!(
            "found {} services, of which {answering} answer, {} datastores and {}",
            found.services.len(),
            found.stores.len(),
            found
                .tree
                .as_ref()
                .map_or_else(|| "no work tree".to_owned(), |tree| format!("the work tree `{}`", tree.directory)),
        ));
        if !output.is_table() {
            return output.list(sheets);
        }
        for sheet in sheets {
            let path = crate::domain::core::text::one_line(&sheet.path.to_string_lossy(), 400);
            output.text(&match (&sheet.content, sheet.fate) {
                (Some(content), _) => {
                    format!("--- {path}\n{}\n", crate::domain::core::text::printable(content).trim_end())
                }
                (None, FileOutcome::Kept) => format!("kept     {path}\n"),
                (None, _) => format!("written  {path}\n"),
            })?;
        }
        Ok(())
    }

    fn conclude(&self, sheets: &[InitFile], directory: &Path, session: &Session) {
        let kept = sheets.iter().filter(|sheet| sheet.fate == FileOutcome::Kept).count();
        session.output.print_message(&match (sheets.len() - kept, self.dry_run) {
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
fn project_files(found: &DiscoveredProject) -> Vec<(PathBuf, String)> {
    let place = |name: &str| Path::new(RUNBOOKS).join(name);
    let mut files = vec![(place(ESTATE), scaffold::estate(found))];
    files.extend(scaffold::runbooks(found).into_iter().map(|(id, text)| (place(&format!("{id}.yaml")), text)));
    files.push((place("estate.schema.json"), writer::json(&schema::estate(), true)));
    files.push((place("runbook.schema.json"), writer::json(&schema::runbook(&actions::forms()), true)));
    files
}

/// The files for systemd and polkit, derived from the estate as it is or will be. An estate with problems yields only
/// the socket.
fn system_files(shop: &Project, session: &Session, account: &str) -> Vec<(PathBuf, String)> {
    let place = |name: &str| Path::new(SYSTEM).join(name);
    let listen = crate::surface::cli::commands::operate::serve::ADDRESS.parse().expect("a constant address is one");
    let mut files = vec![(place("runbook.socket"), unit::socket_of(listen))];
    if shop.catalog.estate().content.is_err() {
        session
            .output
            .warn("the estate that is there has problems, so nothing is made of it; `runbook lint` shows them");
        return files;
    }
    files.extend(
        unit::service_of(shop, session, account, unit::InstallPaths::default())
            .ok()
            .map(|text| (place("runbook.service"), text)),
    );
    files.extend(unit::polkit_of(shop, session, account).ok().map(|text| (place("50-runbook.rules"), text)));
    files
}

/// The name of a file, with its existing text, otherwise the text to be written.
fn as_they_will_be(directory: &Path, path: &Path, text: &str) -> (String, String) {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let file = directory.join(path);
    let small = file.metadata().is_ok_and(|about| about.is_file() && about.len() <= FILE_LIMIT);
    let there = if small { fs::read_to_string(file).ok() } else { None };
    (name, there.unwrap_or_else(|| text.to_owned()))
}

/// Writes a file that must not exist; one created in the meantime is kept.
fn written(file: &Path, text: &str) -> std::io::Result<FileOutcome> {
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    match File::create_new(file) {
        Ok(mut made) => made.write_all(text.as_bytes()).map(|()| FileOutcome::Written),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(FileOutcome::Kept),
        Err(error) => Err(error),
    }
}
