//! `runbook lint`: checks runbooks and the estate.

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::domain::core::diagnostic;
use crate::domain::core::diagnostic::{Problem, Source, Style};
use crate::engine::catalog::RUNBOOKS;
use crate::surface::cli::context::project::Project;
use crate::surface::cli::context::session::Session;
use crate::surface::cli::context::settings::ProjectSource;
use crate::surface::cli::output::error::{Failure, Result};
use crate::surface::exit::Exit;

/// Check runbooks and the estate, and show all problems at once
///
/// A path is a runbook or a project's directory. Without a path, checks
/// everything in the project's `runbooks/`, and its template for post-mortems
/// if it has one. Exits with 7 if there are problems.
///
/// Examples:
///   runbook lint
///   runbook lint runbooks/p1.yaml
///   runbook lint -o jsonl
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Lint {
    /// What to check
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
}

/// One problem, as JSON.
#[derive(Serialize)]
struct ProblemRow<'a> {
    file: &'a str,
    line: usize,
    column: usize,
    message: &'a str,
    help: Option<&'a str>,
}

/// A project and the files in it to check; no files means all.
struct LintTargets {
    project: Project,
    files: Vec<String>,
}

impl LintTargets {
    /// The problems of these files.
    fn problems(&self) -> Vec<(&Source, &[Problem])> {
        let is_target = |source: &Source| self.files.is_empty() || self.files.iter().any(|file| has_name(source, file));
        self.project.catalog.problems().into_iter().filter(|(source, _)| is_target(source)).collect()
    }

    /// The number of files.
    fn count(&self) -> usize {
        let catalog = &self.project.catalog;
        let all = || {
            let estate = 1;
            catalog.files().count() + estate + usize::from(catalog.template().is_some())
        };
        if self.files.is_empty() { all() } else { self.files.len() }
    }
}

fn has_name(source: &Source, file: &str) -> bool {
    Path::new(&source.name).file_name().is_some_and(|name| name == file)
}

impl Lint {
    /// Checks the files and prints their problems.
    pub fn run(self, session: &Session) -> Result {
        let targets = self.targets(session)?;
        let problems: Vec<_> = targets.iter().flat_map(LintTargets::problems).collect();
        if session.output.is_table() {
            for (source, problems) in &problems {
                session.output.text(&diagnostic::render(source, problems, Style::Styled))?;
            }
        } else {
            session.output.list(&rows(&problems))?;
        }
        let files: usize = targets.iter().map(LintTargets::count).sum();
        let total: usize = problems.iter().map(|(_, problems)| problems.len()).sum();
        let noun = if files == 1 { "file" } else { "files" };
        session.output.print_message(&format!("{files} {noun}: {}", diagnostic::count(total)));
        if total > 0 {
            session.output.next(&[session.command("lint")]);
            return Ok(Exit::PROBLEMS);
        }
        session.output.next(&[session.command("list")]);
        Ok(Exit::DONE)
    }

    /// The projects of the paths, in the order in which they were typed.
    fn targets(&self, session: &Session) -> Result<Vec<LintTargets>> {
        if self.paths.is_empty() {
            return Ok(vec![LintTargets { project: Project::open(&session.settings)?, files: Vec::new() }]);
        }
        let mut targets: Vec<LintTargets> = Vec::new();
        for path in &self.paths {
            let (directory, file) = resolve(&session.settings.working_directory, path)?;
            let known = targets.iter_mut().find(|target| target.project.directory == directory);
            match (known, file) {
                (Some(target), Some(file)) if !target.files.is_empty() => target.files.push(file),
                (Some(target), None) => target.files.clear(),
                (Some(_), Some(_)) => {}
                (None, file) => {
                    let settings = crate::surface::cli::context::settings::Settings {
                        project: ProjectSource::Named(directory),
                        ..session.settings.clone()
                    };
                    targets.push(LintTargets { project: Project::open(&settings)?, files: file.into_iter().collect() });
                }
            }
        }
        Ok(targets)
    }
}

/// The project's directory that a path names, and the file in its `runbooks/`; no file if the path is a directory.
fn resolve(base: &Path, typed: &Path) -> Result<(PathBuf, Option<String>)> {
    let path = base.join(typed);
    let path = path.as_path();
    if path.is_dir() {
        let directory = if path.ends_with(RUNBOOKS) { path.parent().unwrap_or(path) } else { path };
        return Ok((directory.to_owned(), None));
    }
    let missing = || Failure::usage(format!("there is no file `{}`", typed.display()));
    let name = path.file_name().filter(|_| path.exists()).ok_or_else(missing)?.to_string_lossy().into_owned();
    let folder = path.parent().filter(|folder| folder.ends_with(RUNBOOKS));
    let project = folder.and_then(Path::parent).ok_or_else(|| {
        Failure::usage(format!("`{}` is not in a project's `{RUNBOOKS}/`", typed.display()))
            .hint("A runbook is checked against the `estate.yaml` beside it.")
    })?;
    Ok((project.to_owned(), Some(name)))
}

fn rows<'a>(problems: &[(&'a Source, &'a [Problem])]) -> Vec<ProblemRow<'a>> {
    let row = |source: &'a Source, problem: &'a Problem| ProblemRow {
        file: &source.name,
        line: problem.span.line,
        column: problem.span.column,
        message: &problem.message,
        help: problem.help.as_deref(),
    };
    problems.iter().flat_map(|(source, problems)| problems.iter().map(move |problem| row(source, problem))).collect()
}
