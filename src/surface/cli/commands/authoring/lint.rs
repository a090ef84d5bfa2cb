//! `runbook lint`.

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

/// Checks runbooks and the estate, and shows every problem at once
///
/// Without a path, everything in the shop's `runbooks/`, and its template
/// of post-mortems if it has one. A path is a runbook, or a shop's
/// directory. Ends with 7 when there are problems.
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

/// One problem, for programs.
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
    shop: Project,
    files: Vec<String>,
}

impl LintTargets {
    fn problems(&self) -> Vec<(&Source, &[Problem])> {
        let named = |source: &Source| self.files.is_empty() || self.files.iter().any(|file| ends_with(source, file));
        self.shop.catalog.problems().into_iter().filter(|(source, _)| named(source)).collect()
    }

    fn count(&self) -> usize {
        let catalog = &self.shop.catalog;
        let all = || catalog.sheets().count() + 1 + usize::from(catalog.template().is_some());
        if self.files.is_empty() { all() } else { self.files.len() }
    }
}

fn ends_with(source: &Source, file: &str) -> bool {
    Path::new(&source.name).file_name().is_some_and(|name| name == file)
}

impl Lint {
    /// Verifies the logs and prints the result.
    pub fn run(self, session: &Session) -> Result {
        let wanted = self.wanted(session)?;
        let problems: Vec<_> = wanted.iter().flat_map(LintTargets::problems).collect();
        if session.output.is_table() {
            for (source, problems) in &problems {
                session.output.text(&diagnostic::render(source, problems, Style::Styled))?;
            }
        } else {
            session.output.list(&rows(&problems))?;
        }
        let files: usize = wanted.iter().map(LintTargets::count).sum();
        let total: usize = problems.iter().map(|(_, problems)| problems.len()).sum();
        let word = if files == 1 { "file" } else { "files" };
        session.output.print_message(&format!("{files} {word}: {}", diagnostic::count(total)));
        if total > 0 {
            session.output.next(&[session.command("lint")]);
            return Ok(Exit::PROBLEMS);
        }
        session.output.next(&[session.command("list")]);
        Ok(Exit::DONE)
    }

    /// The projects of the paths, in the order typed.
    fn wanted(&self, session: &Session) -> Result<Vec<LintTargets>> {
        if self.paths.is_empty() {
            return Ok(vec![LintTargets { shop: Project::open(&session.settings)?, files: Vec::new() }]);
        }
        let mut wanted: Vec<LintTargets> = Vec::new();
        for path in &self.paths {
            let (directory, file) = place(&session.settings.working_directory, path)?;
            let known = wanted.iter_mut().find(|one| one.shop.directory == directory);
            match (known, file) {
                (Some(one), Some(file)) if !one.files.is_empty() => one.files.push(file),
                (Some(one), None) => one.files.clear(),
                (Some(_), Some(_)) => {}
                (None, file) => {
                    let settings = crate::surface::cli::context::settings::Settings {
                        shop: ProjectSource::Named(directory),
                        ..session.settings.clone()
                    };
                    wanted.push(LintTargets { shop: Project::open(&settings)?, files: file.into_iter().collect() });
                }
            }
        }
        Ok(wanted)
    }
}

/// The project's directory of a path, and the file in its `runbooks/`; no file when the path is a directory.
fn place(base: &Path, typed: &Path) -> Result<(PathBuf, Option<String>)> {
    let path = base.join(typed);
    let path = path.as_path();
    if path.is_dir() {
        let directory = if path.ends_with(RUNBOOKS) { path.parent().unwrap_or(path) } else { path };
        return Ok((directory.to_owned(), None));
    }
    let missing = || Failure::usage(format!("there is no file `{}`", typed.display()));
    let name = path.file_name().filter(|_| path.exists()).ok_or_else(missing)?.to_string_lossy().into_owned();
    let folder = path.parent().filter(|folder| folder.ends_with(RUNBOOKS));
    let shop = folder.and_then(Path::parent).ok_or_else(|| {
        Failure::usage(format!("`{}` is not in a shop's `{RUNBOOKS}/`", typed.display()))
            .hint("A runbook is checked against the `estate.yaml` beside it.")
    })?;
    Ok((shop.to_owned(), Some(name)))
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
