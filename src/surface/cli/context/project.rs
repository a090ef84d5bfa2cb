//! The shop: its directory, its runbooks and its estate, as the command line finds them.
//!
//! **Invariant:** a `runbooks/` that anybody may have put there is never used unasked.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::session::hostname;
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
    /// Finds the project's directory and reads it.
    pub fn open(settings: &Settings) -> Result<Self> {
        Self::at(directory(settings)?, settings)
    }

    /// Finds the project's directory and reads only its estate; prints the estate's problems if it has any.
    pub fn estate_alone(settings: &Settings, output: &Output) -> Result<(PathBuf, Estate)> {
        let directory = directory(settings)?;
        let sheet = Catalog::estate_alone(&directory, &settings.shown(&directory));
        let estate = sheet.content.map_err(|problems| shown(output, &sheet.source, &problems))?;
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
        let sheet = self.catalog.estate();
        sheet.content.as_ref().map_err(|problems| shown(output, &sheet.source, problems))
    }

    /// The runbook with this id, and its digest; prints its problems if it has any.
    pub fn runbook(&self, id: &str, output: &Output) -> Result<(&Runbook, &str)> {
        let sheet = self.catalog.sheet(id).ok_or_else(|| {
            Failure::usage(format!("there is no runbook `{}`", id.escape_debug()))
                .did_you_mean(id, self.catalog.sheets().map(|(id, _)| id))
                .hint("`runbook list` shows every one.")
        })?;
        let runbook = sheet.content.as_ref().map_err(|problems| shown(output, &sheet.source, problems))?;
        Ok((runbook, &sheet.digest))
    }

    /// The environment: the one named, the estate's default, or the only one.
    pub fn environment(&self, named: Option<&str>, estate: &Estate) -> Result<String> {
        chosen_environment(named, estate)
    }

    /// The arguments that start a runbook: with an environment if there is no default, and every required parameter.
    pub fn start(&self, runbook: &Runbook) -> String {
        let mut words = format!("start {}", runbook.id);
        if let Ok(estate) = &self.catalog.estate().content
            && self.environment(None, estate).is_err()
            && let Some(name) = runbook.environments.first().or_else(|| estate.environments.keys().next())
        {
            words.push_str(&format!(" --env {}", shell_word(name)));
        }
        for param in runbook.params.iter().filter(|param| param.default.is_none()) {
            words.push_str(&format!(" --param {}", shell_word(&format!("{}=…", param.name))));
        }
        words
    }
}

/// The environment: the one named, the estate's default, or the only one.
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

/// The environment as in [`chosen_environment`]; it must be one of the estate's.
pub fn known_environment(named: Option<&str>, estate: &Estate) -> Result<(String, Environment)> {
    let name = chosen_environment(named, estate)?;
    match estate.environments.get(&name) {
        Some(environment) => Ok((name, environment.clone())),
        None => Err(Failure::usage(format!("there is no environment `{}`", name.escape_debug()))
            .did_you_mean(&name, estate.environments.keys().map(String::as_str))
            .hint(format!("Type `--env` and one of: {}.", known_names(estate)))),
    }
}

/// Refuses if this host does not belong to the environment; `or` names an alternative to type.
pub fn guard_host(name: &str, environment: &Environment, or: &str) -> Result<()> {
    let host = hostname();
    match environment.refuses(&host) {
        Some(pattern) => Err(Failure::not_allowed(format!("`{host}` is not a host of `{name}`"))
            .hint(format!("Its hosts are `{pattern}`: type it there{or}."))),
        None => Ok(()),
    }
}

/// Prints the problems of a file on standard error.
fn shown(output: &Output, source: &Source, problems: &[Problem]) -> Failure {
    output.print_styled(&diagnostic::render(source, problems, Style::Styled));
    Failure::problems(format!("`{}` has {}", source.name, diagnostic::count(problems.len())))
        .hint(format!("`runbook lint {}` shows them again.", shell_word(&source.name)))
}

fn directory(settings: &Settings) -> Result<PathBuf> {
    match &settings.shop {
        ProjectSource::Named(path) if path.join(RUNBOOKS).is_dir() => Ok(path.clone()),
        // Users often name the folder itself instead of its parent.
        ProjectSource::Named(path) if path.ends_with(RUNBOOKS) && path.is_dir() => {
            Ok(path.parent().unwrap_or(path).to_owned())
        }
        ProjectSource::Named(path) => Err(Failure::usage(format!("`{}` holds no `{RUNBOOKS}/`", path.display()))),
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
        .hint("Go to the shop's directory, or name it: `--dir DIR` or `RUNBOOK_DIR`."))
}

/// Refuses a folder that any user may have put there.
fn trusted(directory: &Path, settings: &Settings) -> Result<PathBuf> {
    let facts = |path: &Path| std::fs::metadata(path).map(|metadata| (metadata.uid(), metadata.mode()));
    let cannot = |error| Failure::error(format!("`{}` cannot be read: {error}", directory.display()));
    let folder = directory.join(RUNBOOKS);
    let (_, mode) = facts(directory).map_err(cannot)?;
    let (owner, _) = facts(&folder).map_err(cannot)?;
    if !is_suspect(mode, owner, rustix::process::getuid().as_raw()) {
        return Ok(directory.to_owned());
    }
    let shown = settings.shown(directory);
    Err(Failure::not_allowed(format!(
        "`{}` is somebody else's, in a place where everybody may write",
        folder.display()
    ))
    .hint(format!("If you trust it, name it: `--dir {}`.", shell_word(&shown.to_string_lossy()))))
}

/// Whether a folder is in a world-writable directory such as `/tmp` and belongs neither to this user nor to root.
fn is_suspect(parent_mode: u32, owner: u32, own: u32) -> bool {
    /// The permission bit for world-writable.
    const OTHERS_WRITE: u32 = 0o002;
    parent_mode & OTHERS_WRITE != 0 && owner != 0 && owner != own
}

#[cfg(test)]
mod tests {
    use super::is_suspect;

    #[test]
    fn what_anybody_may_have_put_there_is_suspect() {
        assert!(is_suspect(0o1777, 1000, 1001));
        assert!(is_suspect(0o1777, 1000, 0), "root has the most to lose");
        assert!(!is_suspect(0o1777, 1000, 1000), "our own");
        assert!(!is_suspect(0o1777, 0, 1000), "root's");
        assert!(!is_suspect(0o755, 1000, 1001), "only its owner could put it there");
    }
}
