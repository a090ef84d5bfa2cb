//! The runbooks and the estate of a project directory, read and checked.
//!
//! A file with problems does not affect another. Nothing is watched or cached: a run keeps a copy of its files, a command reads
//! the directory when it starts, and the service reads it again on reload.
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

/// Where a shop keeps its runbooks.
pub const RUNBOOKS: &str = "runbooks";
/// The file that describes the shop.
pub const ESTATE: &str = "estate.yaml";
/// The most files read from one directory: ten times what a large shop has.
pub const FILE_LIMIT: usize = 500;

/// The runbooks and the estate of a shop's directory.
#[derive(Debug, Default)]
pub struct Catalog {
    directory: PathBuf,
    estate: CheckedFile<Estate>,
    template: Option<CheckedFile<()>>,
    sheets: BTreeMap<String, CheckedFile<Runbook>>,
}

/// One file, read and checked.
#[derive(Debug, Clone)]
pub struct CheckedFile<T> {
    /// Its name as the reader would type it, and its text.
    pub source: Source,
    /// SHA-256 of the text, in hex.
    pub digest: String,
    /// What it says, or everything that is wrong with it.
    pub content: Result<T, Vec<Problem>>,
}

/// What a runbook's file says, or everything that is wrong with it.
type Checked = Result<Runbook, Vec<Problem>>;

/// Why a directory is no shop.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// It cannot be listed.
    #[error("`{}` cannot be read: {source}", .path.display())]
    Unreadable {
        /// The directory.
        path: PathBuf,
        /// The system's word.
        source: std::io::Error,
    },
    /// It holds more than we take.
    #[error("`{}` holds more than {FILE_LIMIT} runbooks", .0.display())]
    TooMany(PathBuf),
}

impl<T> Default for CheckedFile<T> {
    fn default() -> Self {
        Self { source: Source::new("", ""), digest: String::new(), content: Err(Vec::new()) }
    }
}

impl<T> CheckedFile<T> {
    /// What is wrong with it.
    pub fn problems(&self) -> &[Problem] {
        self.content.as_ref().err().map_or(&[], Vec::as_slice)
    }
}

impl Catalog {
    /// Reads and checks `directory/runbooks`.
    ///
    /// # Errors
    /// When the directory cannot be listed or holds too much; what is wrong with a file stays with the file.
    pub fn load(directory: &Path) -> Result<Self, CatalogError> {
        Self::load_as(directory, directory)
    }

    /// The same, with files named as if the directory were `shown`: the way the reader would type it.
    ///
    /// # Errors
    /// As [`Catalog::load`].
    pub fn load_as(directory: &Path, shown: &Path) -> Result<Self, CatalogError> {
        let folder = directory.join(RUNBOOKS);
        let shown = shown_folder(shown);
        let mut names = listed(&folder)?;
        names.sort();
        let texts: Vec<Text> = names.iter().map(|name| Text::read(&folder, &shown, name)).collect();
        Ok(Self::of(directory, &shown, texts))
    }

    /// Reads only the estate, for callers that need no runbook. The file is named as by [`Catalog::load_as`].
    pub fn estate_alone(directory: &Path, shown: &Path) -> CheckedFile<Estate> {
        let folder = directory.join(RUNBOOKS);
        let shown = shown_folder(shown);
        match folder.join(ESTATE).exists() {
            true => Text::read(&folder, &shown, ESTATE).sheet(estate_check::check),
            false => missing_estate(&shown),
        }
    }

    /// The catalog of a directory as if its `runbooks/` held these files. Only the post-mortem template is read from
    /// disk.
    pub fn of_texts(directory: &Path, files: impl IntoIterator<Item = (String, String)>) -> Self {
        let folder = directory.join(RUNBOOKS);
        let text = |(name, text): (String, String)| {
            let source = Source::new(folder.join(&name).to_string_lossy(), text);
            Text { problem: misnamed(&source, &name), source, name }
        };
        Self::of(directory, &folder, files.into_iter().map(text).collect())
    }

    fn of(directory: &Path, shown: &Path, texts: Vec<Text>) -> Self {
        let (estates, runbooks): (Vec<Text>, Vec<Text>) = texts.into_iter().partition(|text| text.name == ESTATE);
        let estate = match estates.into_iter().next() {
            Some(text) => text.sheet(estate_check::check),
            None => missing_estate(shown),
        };
        let ids: Vec<String> = runbooks.iter().map(|text| text.source.stem().to_owned()).collect();
        let known = estate.content.as_ref().ok();
        let world = CheckContext { estate: known, forms: &actions::forms(), runbooks: &ids, peers: &[] };
        let sheet = |text: Text| (text.source.stem().to_owned(), text.sheet(|source| check::check(source, &world)));
        let mut sheets: BTreeMap<String, CheckedFile<Runbook>> = runbooks.into_iter().map(sheet).collect();
        for (id, content) in starting(&sheets, &world) {
            sheets.entry(id).and_modify(|sheet| sheet.content = content);
        }
        let template = known.and_then(|estate| estate.postmortem.template.as_deref());
        let template = template.map(|file| template_sheet(directory, shown, file));
        Self { directory: directory.to_owned(), estate, template, sheets }
    }

    /// The shop's directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The estate; what is wrong with it, when something is.
    pub fn estate(&self) -> &CheckedFile<Estate> {
        &self.estate
    }

    /// The runbook by this id, with the digest of its text; none when there is no such file or it has problems.
    pub fn runbook(&self, id: &str) -> Option<(&Runbook, &str)> {
        let sheet = self.sheets.get(id)?;
        Some((sheet.content.as_ref().ok()?, &sheet.digest))
    }

    /// A runbook that may be started, with the digest of its file's text; why not, in words.
    ///
    /// # Errors
    /// When there is no such runbook, or it has problems.
    pub fn get(&self, id: &str) -> Result<(Runbook, String), String> {
        let sheet = self.sheets.get(id).ok_or_else(|| format!("there is no runbook `{id}`"))?;
        match &sheet.content {
            Ok(runbook) => Ok((runbook.clone(), sheet.digest.clone())),
            Err(problems) => Err(format!("runbook `{id}` has {}", diagnostic::count(problems.len()))),
        }
    }

    /// The file by this id, with or without problems.
    pub fn sheet(&self, id: &str) -> Option<&CheckedFile<Runbook>> {
        self.sheets.get(id)
    }

    /// Every runbook file by its id, in order.
    pub fn sheets(&self) -> impl Iterator<Item = (&str, &CheckedFile<Runbook>)> {
        self.sheets.iter().map(|(id, sheet)| (id.as_str(), sheet))
    }

    /// The template that the shop has put in the place of ours.
    pub fn template(&self) -> Option<&CheckedFile<()>> {
        self.template.as_ref()
    }

    /// Every file that has problems, the estate first.
    pub fn problems(&self) -> Vec<(&Source, &[Problem])> {
        let estate = (&self.estate.source, self.estate.problems());
        let runbooks = self.sheets.values().map(|sheet| (&sheet.source, sheet.problems()));
        let template = self.template.iter().map(|sheet| (&sheet.source, sheet.problems()));
        std::iter::once(estate).chain(template).chain(runbooks).filter(|(_, problems)| !problems.is_empty()).collect()
    }
}

fn shown_folder(shown: &Path) -> PathBuf {
    if shown == Path::new(".") { PathBuf::from(RUNBOOKS) } else { shown.join(RUNBOOKS) }
}

/// The runbooks that start others, checked once more beside those others.
fn starting(sheets: &BTreeMap<String, CheckedFile<Runbook>>, world: &CheckContext<'_>) -> Vec<(String, Checked)> {
    let peers: Vec<&Runbook> = sheets.values().filter_map(|sheet| sheet.content.as_ref().ok()).collect();
    let world = CheckContext { peers: &peers, ..*world };
    let starts = |runbook: &&&Runbook| runbook.all_steps().iter().any(|step| matches!(step.body, StepBody::Start(_)));
    let again = |runbook: &&Runbook| Some((runbook.id.clone(), check::check(&sheets.get(&runbook.id)?.source, &world)));
    peers.iter().filter(starts).filter_map(again).collect()
}

/// The names of the files that are, or were meant to be, YAML. Hidden files are editors' and version control's.
fn listed(folder: &Path) -> Result<Vec<String>, CatalogError> {
    let unreadable = |source| CatalogError::Unreadable { path: folder.to_owned(), source };
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let name = entry.map_err(unreadable)?.file_name().to_string_lossy().into_owned();
        let yaml = [".yaml", ".yml"].iter().any(|ending| name.ends_with(ending));
        if yaml && !name.starts_with('.') {
            names.push(name);
        }
        if names.len() > FILE_LIMIT {
            return Err(CatalogError::TooMany(folder.to_owned()));
        }
    }
    Ok(names)
}

/// A file's text, or why it has none.
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
                Err(both) => (both.0, Some(both.1)),
            },
            Err(reason) => {
                let source = Source::new(shown, "");
                let problem = Problem::new(source.span(0..0), reason);
                (source, Some(problem))
            }
        };
        let problem = problem.or_else(|| misnamed(&source, name));
        Self { name: name.to_owned(), source, problem }
    }

    fn sheet<T>(self, check: impl FnOnce(&Source) -> Result<T, Vec<Problem>>) -> CheckedFile<T> {
        let content = match self.problem {
            Some(problem) => Err(vec![problem]),
            None => check(&self.source),
        };
        CheckedFile { digest: hex::encode(Sha256::digest(self.source.text.as_bytes())), content, source: self.source }
    }
}

fn misnamed(source: &Source, name: &str) -> Option<Problem> {
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

/// The bytes of a regular file within the shop's directory, one more than the limit at most.
fn bytes(folder: &Path, name: &str) -> Result<Vec<u8>, String> {
    let path = folder.join(name);
    let cannot = |error: std::io::Error| format!("the file cannot be read: {error}");
    let within = folder.parent().unwrap_or(folder).canonicalize().map_err(cannot)?;
    if !path.canonicalize().map_err(cannot)?.starts_with(within) {
        return Err("the file is a link that leads out of the shop's directory".to_owned());
    }
    let not_regular = || "it is not a regular file".to_owned();
    if !path.metadata().map_err(cannot)?.is_file() {
        return Err(not_regular());
    }
    // It may have become another file since: a pipe or device opened without this flag would wait for its other end.
    let nonblocking = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).expect("the flag is one low bit");
    let file = File::options().read(true).custom_flags(nonblocking).open(&path).map_err(cannot)?;
    if !file.metadata().map_err(cannot)?.is_file() {
        return Err(not_regular());
    }
    let mut bytes = Vec::new();
    file.take(MAX_FILE as u64 + 1).read_to_end(&mut bytes).map_err(cannot)?;
    Ok(bytes)
}

/// The template of post-mortems, tried; `shown` is how the reader would type the folder of runbooks.
fn template_sheet(directory: &Path, shown: &Path, file: &str) -> CheckedFile<()> {
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
