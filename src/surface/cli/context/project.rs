//! The project: its directory, its runbooks and its estate.
//!
//! **Invariant:** a `runbooks/` that any user may have created is used only if it is named explicitly.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::hostname::hostname;
use super::settings::{ProjectSource, Settings};
use crate::domain::config::estate::{Environment, Estate};
use crate::domain::core::diagnostic;
use crate::domain::core::diagnostic::{Problem, Source, Style};
use crate::domain::core::text::shell_word;
use crate::domain::runbook::Runbook;
use crate::engine::catalog::{Catalog, RUNBOOKS};
use crate::surface::cli::output::error::{Failure, Result};
use crate::surface::cli::output::writer::Output;

/// How many parent directories are searched for a project.
const CLIMB_LIMIT: usize = 64;

/// A project whose files have been read.
#[derive(Debug)]
pub struct Project {
    pub directory: PathBuf,
    pub catalog: Catalog,
}

impl Project {
    /// Finds the project's directory and reads its files.
    pub fn open(settings: &Settings) -> Result<Self> {
        Self::at(directory(settings)?, settings)
    }

    /// Finds the project's directory and reads only the estate; prints the estate's problems if it has any.
    pub fn estate_alone(settings: &Settings, output: &Output) -> Result<(PathBuf, Estate)> {
        let directory = directory(settings)?;
        let file = Catalog::estate_alone(&directory, &settings.shown(&directory));
        let estate = file.content.map_err(|problems| print_problems(output, &file.source, &problems))?;
        Ok((directory, estate))
    }

    /// Reads the project in this directory.
    pub fn at(directory: PathBuf, settings: &Settings) -> Result<Self> {
        let catalog = Catalog::load_as(&directory, &settings.shown(&directory))
            .map_err(|error| Failure::error(error.to_string()))?;
        Ok(Self { directory, catalog })
    }

    /// The estate; prints its problems if it has any.
    pub fn estate(&self, output: &Output) -> Result<&Estate> {
        let file = self.catalog.estate();
        file.content.as_ref().map_err(|problems| print_problems(output, &file.source, problems))
    }

    /// The runbook with this id, and its digest; prints its problems if it has any.
    pub fn runbook(&self, id: &str, output: &Output) -> Result<(&Runbook, &str)> {
        let file = self.catalog.file(id).ok_or_else(|| {
            Failure::usage(format!("there is no runbook `{}`", id.escape_debug()))
                .did_you_mean(id, self.catalog.files().map(|(id, _)| id))
                .hint("`runbook list` shows every one.")
        })?;
        let runbook = file.content.as_ref().map_err(|problems| print_problems(output, &file.source, problems))?;
        Ok((runbook, &file.digest))
    }

    /// The arguments that start a runbook: the environment if the estate has no default, and every required parameter.
    pub fn start_arguments(&self, runbook: &Runbook) -> String {
        let mut arguments = format!("start {}", runbook.id);
        if let Ok(estate) = &self.catalog.estate().content
            && chosen_environment(None, estate).is_err()
            && let Some(name) = runbook.environments.first().or_else(|| estate.environments.keys().next())
        {
            arguments.push_str(&format!(" --env {}", shell_word(name)));
        }
        for param in runbook.params.iter().filter(|param| param.default.is_none()) {
            arguments.push_str(&format!(" --param {}", shell_word(&format!("{}=…", param.name))));
        }
        arguments
    }
}

/// The name of the environment: `named`, otherwise the estate's default, otherwise its only environment.
pub fn chosen_environment(named: Option<&str>, estate: &Estate) -> Result<String> {
    let only = || estate.environments.keys().next().filter(|_| estate.environments.len() == 1);
    let chosen = named.or(estate.default_environment.as_deref()).or_else(|| only().map(String::as_str));
    chosen.map(str::to_owned).ok_or_else(|| {
        Failure::usage("the environment is not given")
            .hint(format!("Type `--env` and one of: {}.", known_names(estate)))
    })
}

fn known_names(estate: &Estate) -> String {
    estate.environments.keys().map(String::as_str).collect::<Vec<_>>().join(", ")
}

/// The environment that [`chosen_environment`] selects; the estate must have it.
pub fn known_environment(named: Option<&str>, estate: &Estate) -> Result<(String, Environment)> {
    let name = chosen_environment(named, estate)?;
    match estate.environments.get(&name) {
        Some(environment) => Ok((name, environment.clone())),
        None => Err(Failure::usage(format!("there is no environment `{}`", name.escape_debug()))
            .did_you_mean(&name, estate.environments.keys().map(String::as_str))
            .hint(format!("Type `--env` and one of: {}.", known_names(estate)))),
    }
}

/// Refuses if this host does not belong to the environment. `or` is the end of the hint, for an alternative.
pub fn guard_host(name: &str, environment: &Environment, or: &str) -> Result<()> {
    let host = hostname();
    match environment.refuses(&host) {
        Some(pattern) => Err(Failure::not_allowed(format!("`{host}` is not a host of `{name}`"))
            .hint(format!("Its hosts are `{pattern}`: type the command there{or}."))),
        None => Ok(()),
    }
}

/// Prints the problems of a file on standard error; returns the error for the command.
fn print_problems(output: &Output, source: &Source, problems: &[Problem]) -> Failure {
    output.print_styled(&diagnostic::render(source, problems, Style::Styled));
    Failure::problems(format!("`{}` has {}", source.name, diagnostic::count(problems.len())))
        .hint(format!("`runbook lint {}` shows them again.", shell_word(&source.name)))
}

fn directory(settings: &Settings) -> Result<PathBuf> {
    match &settings.project {
        ProjectSource::Named(path) if path.join(RUNBOOKS).is_dir() => Ok(path.clone()),
        // Users often name the folder itself instead of its parent.
        ProjectSource::Named(path) if path.ends_with(RUNBOOKS) && path.is_dir() => {
            Ok(path.parent().unwrap_or(path).to_owned())
        }
        ProjectSource::Named(path) => Err(Failure::usage(format!("`{}` has no `{RUNBOOKS}/`", path.display()))),
        ProjectSource::Found(fallback) => found(settings, fallback),
    }
}

fn found(settings: &Settings, fallback: &Path) -> Result<PathBuf> {
    for directory in settings.working_directory.ancestors().take(CLIMB_LIMIT) {
        if directory.join(RUNBOOKS).is_dir() {
            return trusted(directory, settings);
        }
    }
    if fallback.join(RUNBOOKS).is_dir() {
        return Ok(fallback.to_owned());
    }
    Err(Failure::usage(format!("there is no `{RUNBOOKS}/` here, above, or in `{}`", fallback.display()))
        .hint("Go to the project's directory, or name it: `--dir DIR` or `RUNBOOK_DIR`."))
}

/// Checks that no other user can have created the `runbooks/` in this directory.
fn trusted(directory: &Path, settings: &Settings) -> Result<PathBuf> {
    let owner_and_mode = |path: &Path| std::fs::metadata(path).map(|metadata| (metadata.uid(), metadata.mode()));
    let unreadable = |error| Failure::error(format!("`{}` cannot be read: {error}", directory.display()));
    let folder = directory.join(RUNBOOKS);
    let (_, mode) = owner_and_mode(directory).map_err(unreadable)?;
    let (owner, _) = owner_and_mode(&folder).map_err(unreadable)?;
    if !is_suspect(mode, owner, rustix::process::getuid().as_raw()) {
        return Ok(directory.to_owned());
    }
    let typed = settings.shown(directory);
    Err(Failure::not_allowed(format!(
        "`{}` belongs to another user, in a directory where everybody may write",
        folder.display()
    ))
    .hint(format!("If you trust it, name it: `--dir {}`.", shell_word(&typed.to_string_lossy()))))
}

/// Whether a folder lies in a world-writable directory, such as `/tmp`, and belongs to neither this user nor root.
fn is_suspect(parent_mode: u32, owner: u32, own: u32) -> bool {
    /// The permission bit for world-writable.
    const OTHERS_WRITE: u32 = 0o002;
    parent_mode & OTHERS_WRITE != 0 && owner != 0 && owner != own
}

#[cfg(test)]
mod tests {
    use super::is_suspect;

    #[test]
    fn a_folder_of_another_user_in_a_world_writable_directory_is_suspect() {
        assert!(is_suspect(0o1777, 1000, 1001));
        assert!(is_suspect(0o1777, 1000, 0), "root has the most to lose");
        assert!(!is_suspect(0o1777, 1000, 1000), "this user's folder");
        assert!(!is_suspect(0o1777, 0, 1000), "root's folder");
        assert!(!is_suspect(0o755, 1000, 1001), "only the directory's owner could create it");
    }
}
