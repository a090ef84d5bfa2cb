//! The runbooks and the estate of a project directory, read and checked.
//!
//! Problems of one file do not affect another file. Nothing is watched or cached: a run keeps a copy of its files, a command
//! reads the directory when it starts, and the service reads it again on reload.
//!
//! **Invariant:** reading is bounded: a maximum number of files and bytes, regular files only, and no link out of the project
//! directory.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::actions;
use crate::domain::config::estate::Estate;
use crate::domain::config::estate_check;
use crate::domain::config::yaml::reader::MAX_FILE;
use crate::domain::core::diagnostic;
use crate::domain::core::diagnostic::{Problem, Source};
use crate::domain::core::id;
use crate::domain::report::postmortem;
use crate::domain::runbook::check::{self, CheckContext};
use crate::domain::runbook::{Runbook, StepBody};
use crate::engine::report_files;

/// The directory of the runbooks, below the project directory.
pub const RUNBOOKS: &str = "runbooks";
/// The file of the estate, beside the runbooks.
pub const ESTATE: &str = "estate.yaml";
/// The most files read from one directory: ten times as many as a large project has.
pub const FILE_COUNT_LIMIT: usize = 500;

/// The runbooks and the estate of a project directory.
#[derive(Debug, Default)]
pub struct Catalog {
    directory: PathBuf,
    estate: CheckedFile<Estate>,
    template: Option<CheckedFile<()>>,
    runbooks: BTreeMap<String, CheckedFile<Runbook>>,
}

/// One file, read and checked.
#[derive(Debug, Clone)]
pub struct CheckedFile<T> {
    /// The path as the reader would type it, and the text.
    pub source: Source,
    /// SHA-256 of the text, in hex.
    pub digest: String,
    /// The checked value, or every problem of the file.
    pub content: Result<T, Vec<Problem>>,
}

/// Why the runbooks of a directory cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// The directory cannot be listed.
    #[error("`{}` cannot be read: {source}", .path.display())]
    Unreadable {
        /// The directory.
        path: PathBuf,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// The directory holds more than [`FILE_COUNT_LIMIT`] YAML files.
    #[error("`{}` holds more than {FILE_COUNT_LIMIT} YAML files", .0.display())]
    TooMany(PathBuf),
}

impl<T> Default for CheckedFile<T> {
    fn default() -> Self {
        Self { source: Source::new("", ""), digest: String::new(), content: Err(Vec::new()) }
    }
}

impl<T> CheckedFile<T> {
    /// The problems of the file; empty when it has none.
    pub fn problems(&self) -> &[Problem] {
        self.content.as_ref().err().map_or(&[], Vec::as_slice)
    }
}

impl Catalog {
    /// Reads and checks `directory/runbooks`.
    ///
    /// # Errors
    /// When the directory cannot be listed or holds too many files. The problems of a file are in its [`CheckedFile`].
    pub fn load(directory: &Path) -> Result<Self, CatalogError> {
        Self::load_as(directory, directory)
    }

    /// As [`Catalog::load`], but names the files as if the directory were `shown`, which is how the reader would type it.
    ///
    /// # Errors
    /// As [`Catalog::load`].
    pub fn load_as(directory: &Path, shown: &Path) -> Result<Self, CatalogError> {
        let folder = directory.join(RUNBOOKS);
        let shown = shown_folder(shown);
        let mut names = listed(&folder)?;
        names.sort();
        let texts: Vec<Text> = names.iter().map(|name| Text::read(&folder, &shown, name)).collect();
        Ok(Self::check(directory, &shown, texts))
    }

    /// Reads and checks only the estate. The file is named as by [`Catalog::load_as`].
    pub fn estate_alone(directory: &Path, shown: &Path) -> CheckedFile<Estate> {
        let folder = directory.join(RUNBOOKS);
        let shown = shown_folder(shown);
        match folder.join(ESTATE).exists() {
            true => Text::read(&folder, &shown, ESTATE).check(estate_check::check),
            false => missing_estate(&shown),
        }
    }

    /// Checks these files as if they were in `runbooks/` of the directory. Only the post-mortem template is read from disk.
    pub fn of_texts(directory: &Path, files: impl IntoIterator<Item = (String, String)>) -> Self {
        let folder = directory.join(RUNBOOKS);
        let text = |(name, text): (String, String)| {
            let source = Source::new(folder.join(&name).to_string_lossy(), text);
            Text { problem: name_problem(&source, &name), source, name }
        };
        Self::check(directory, &folder, files.into_iter().map(text).collect())
    }

    fn check(directory: &Path, shown: &Path, texts: Vec<Text>) -> Self {
        let (estates, runbooks): (Vec<Text>, Vec<Text>) = texts.into_iter().partition(|text| text.name == ESTATE);
        let estate = match estates.into_iter().next() {
            Some(text) => text.check(estate_check::check),
            None => missing_estate(shown),
        };
        let ids: Vec<String> = runbooks.iter().map(|text| text.source.stem().to_owned()).collect();
        let valid_estate = estate.content.as_ref().ok();
        let context = CheckContext { estate: valid_estate, forms: &actions::forms(), runbooks: &ids, peers: &[] };
        let runbook = |text: Text| (text.source.stem().to_owned(), text.check(|source| check::check(source, &context)));
        let mut runbooks: BTreeMap<String, CheckedFile<Runbook>> = runbooks.into_iter().map(runbook).collect();
        for (id, content) in recheck_starting(&runbooks, &context) {
            runbooks.entry(id).and_modify(|file| file.content = content);
        }
        let template = valid_estate.and_then(|estate| estate.postmortem.template.as_deref());
        let template = template.map(|file| check_template(directory, shown, file));
        Self { directory: directory.to_owned(), estate, template, runbooks }
    }

    /// The project directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The estate, with or without problems.
    pub fn estate(&self) -> &CheckedFile<Estate> {
        &self.estate
    }

    /// The runbook with this id and the digest of its file; none when there is no such file or it has problems.
    pub fn runbook(&self, id: &str) -> Option<(&Runbook, &str)> {
        let file = self.runbooks.get(id)?;
        Some((file.content.as_ref().ok()?, &file.digest))
    }

    /// A copy of a runbook that can be started, and the digest of its file.
    ///
    /// # Errors
    /// A message when there is no such runbook, or it has problems.
    pub fn get(&self, id: &str) -> Result<(Runbook, String), String> {
        let file = self.runbooks.get(id).ok_or_else(|| format!("there is no runbook `{id}`"))?;
        match &file.content {
            Ok(runbook) => Ok((runbook.clone(), file.digest.clone())),
            Err(problems) => Err(format!("runbook `{id}` has {}", diagnostic::count(problems.len()))),
        }
    }

    /// The file of the runbook with this id, with or without problems.
    pub fn file(&self, id: &str) -> Option<&CheckedFile<Runbook>> {
        self.runbooks.get(id)
    }

    /// Every runbook's id and file, with or without problems, in the order of the ids.
    pub fn files(&self) -> impl Iterator<Item = (&str, &CheckedFile<Runbook>)> {
        self.runbooks.iter().map(|(id, file)| (id.as_str(), file))
    }

    /// Every runbook without problems, in the order of the ids.
    pub fn valid_runbooks(&self) -> impl Iterator<Item = &Runbook> {
        self.runbooks.values().filter_map(|file| file.content.as_ref().ok())
    }

    /// The project's post-mortem template, when the estate names one.
    pub fn template(&self) -> Option<&CheckedFile<()>> {
        self.template.as_ref()
    }

    /// Every file that has problems, the estate first.
    pub fn problems(&self) -> Vec<(&Source, &[Problem])> {
        let estate = (&self.estate.source, self.estate.problems());
        let runbooks = self.runbooks.values().map(|file| (&file.source, file.problems()));
        let template = self.template.iter().map(|file| (&file.source, file.problems()));
        std::iter::once(estate).chain(template).chain(runbooks).filter(|(_, problems)| !problems.is_empty()).collect()
    }
}

fn shown_folder(shown: &Path) -> PathBuf {
    if shown == Path::new(".") { PathBuf::from(RUNBOOKS) } else { shown.join(RUNBOOKS) }
}

/// Checks the runbooks that start others again, now together with those others.
fn recheck_starting(
    runbooks: &BTreeMap<String, CheckedFile<Runbook>>,
    context: &CheckContext<'_>,
) -> Vec<(String, Result<Runbook, Vec<Problem>>)> {
    let peers: Vec<&Runbook> = runbooks.values().filter_map(|file| file.content.as_ref().ok()).collect();
    let context = CheckContext { peers: &peers, ..*context };
    let starts = |runbook: &&&Runbook| runbook.all_steps().iter().any(|step| matches!(step.body, StepBody::Start(_)));
    let recheck =
        |runbook: &&Runbook| Some((runbook.id.clone(), check::check(&runbooks.get(&runbook.id)?.source, &context)));
    peers.iter().filter(starts).filter_map(recheck).collect()
}

/// The names of the YAML files. Files ending in `.yml` are included, so that the wrong ending is reported. Hidden files are
/// not: they belong to editors and to version control.
fn listed(folder: &Path) -> Result<Vec<String>, CatalogError> {
    let unreadable = |source| CatalogError::Unreadable { path: folder.to_owned(), source };
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let name = entry.map_err(unreadable)?.file_name().to_string_lossy().into_owned();
        let yaml = [".yaml", ".yml"].iter().any(|ending| name.ends_with(ending));
        if yaml && !name.starts_with('.') {
            names.push(name);
        }
        if names.len() > FILE_COUNT_LIMIT {
            return Err(CatalogError::TooMany(folder.to_owned()));
        }
    }
    Ok(names)
}

/// The text of a file, and the problem that forbids checking it.
struct Text {
    name: String,
    source: Source,
    problem: Option<Problem>,
}

impl Text {
    fn read(folder: &Path, shown: &Path, name: &str) -> Self {
        let shown = shown.join(name).to_string_lossy().into_owned();
        let (source, problem) = match bytes(folder, name) {
            Ok(bytes) => match crate::domain::config::yaml::reader::text(&shown, &bytes) {
                Ok(source) => (source, None),
                Err(rejected) => (rejected.0, Some(rejected.1)),
            },
            Err(reason) => {
                let source = Source::new(shown, "");
                let problem = Problem::new(source.span(0..0), reason);
                (source, Some(problem))
            }
        };
        let problem = problem.or_else(|| name_problem(&source, name));
        Self { name: name.to_owned(), source, problem }
    }

    fn check<T>(self, check: impl FnOnce(&Source) -> Result<T, Vec<Problem>>) -> CheckedFile<T> {
        let content = match self.problem {
            Some(problem) => Err(vec![problem]),
            None => check(&self.source),
        };
        CheckedFile { digest: hex::encode(Sha256::digest(self.source.text.as_bytes())), content, source: self.source }
    }
}

fn name_problem(source: &Source, name: &str) -> Option<Problem> {
    let stem = source.stem();
    let problem = |message: String| Problem::new(source.span(0..0), message);
    if name.ends_with(".yml") {
        return Some(
            problem("a runbook's file ends in `.yaml`".to_owned()).help(format!("Rename it to `{stem}.yaml`.")),
        );
    }
    if !id::is_name(stem) {
        return Some(
            problem(format!("`{}` cannot be a runbook's id", stem.escape_debug()))
                .help("Name the file with lower-case letters, digits, `-` and `_`, a letter first."),
        );
    }
    None
}

/// The bytes of a regular file within the project directory: at most one more than the limit, so that the caller notices.
fn bytes(folder: &Path, name: &str) -> Result<Vec<u8>, String> {
    let path = folder.join(name);
    let cannot = |error: std::io::Error| format!("the file cannot be read: {error}");
    let within = folder.parent().unwrap_or(folder).canonicalize().map_err(cannot)?;
    if !path.canonicalize().map_err(cannot)?.starts_with(within) {
        return Err("the file is a link that leads out of the project directory".to_owned());
    }
    let not_regular = || "it is not a regular file".to_owned();
    if !path.metadata().map_err(cannot)?.is_file() {
        return Err(not_regular());
    }
    // A pipe or a device may have replaced the file since. Without this flag, opening it could block.
    let nonblocking = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).expect("the flag is one low bit");
    let file = File::options().read(true).custom_flags(nonblocking).open(&path).map_err(cannot)?;
    if !file.metadata().map_err(cannot)?.is_file() {
        return Err(not_regular());
    }
    let mut bytes = Vec::new();
    file.take(MAX_FILE as u64 + 1).read_to_end(&mut bytes).map_err(cannot)?;
    Ok(bytes)
}

/// Reads the project's post-mortem template and renders an example with it. `shown` is the folder of the runbooks as the
/// reader would type it.
fn check_template(directory: &Path, shown: &Path, file: &str) -> CheckedFile<()> {
    let name = shown.parent().unwrap_or(shown).join(file).to_string_lossy().into_owned();
    let (source, problems) = match report_files::own_template(directory, file) {
        Ok(template) => {
            let source = Source::new(name, template.source);
            let problems = postmortem::check(&source);
            (source, problems)
        }
        Err(error) => {
            let source = Source::new(name, "");
            let problem = Problem { help: error.hint, ..Problem::new(source.span(0..0), error.message) };
            (source, vec![problem])
        }
    };
    let digest = hex::encode(Sha256::digest(source.text.as_bytes()));
    CheckedFile { source, digest, content: if problems.is_empty() { Ok(()) } else { Err(problems) } }
}

fn missing_estate(shown: &Path) -> CheckedFile<Estate> {
    let source = Source::new(shown.join(ESTATE).to_string_lossy(), "");
    let problem = Problem::new(source.span(0..0), "there is no estate")
        .help("Describe the environments and services in this file; `runbook schema estate` says how.");
    CheckedFile { content: Err(vec![problem]), source, ..CheckedFile::default() }
}
