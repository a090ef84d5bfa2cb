//! Post-mortem drafts and maintenance reports on disk: written completely or not at all, and never over a person's edits.
//!
//! A file name is made of the incident's id and a slug of its title, so no text of an alert can choose a path. A file is
//! replaced by a rename within the open directory, which follows no symbolic link.
//!
//! **Invariant:** the same log and edits give the same file; an unchanged file is not written.
//!
//! Not here: the contents of a draft and the merging of edits; see [`crate::domain::report::postmortem`].

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, openat, renameat, unlinkat};
use sha2::{Digest, Sha256};

use crate::domain::config::estate::{Estate, PostmortemPolicy};
use crate::domain::incident::event::{Event, IncidentEvent, Recorded};
use crate::domain::incident::{Incident, fold};
use crate::domain::report::postmortem::{Postmortem, Template, file_name, merge, render};

/// A post-mortem draft, or the report of a maintenance incident.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ReportKind {
    Postmortem,
    Report,
}

impl ReportKind {
    fn of(incident: &Incident) -> Self {
        if incident.is_maintenance() { Self::Report } else { Self::Postmortem }
    }

    const fn policy(self, estate: &Estate) -> &PostmortemPolicy {
        match self {
            Self::Postmortem => &estate.postmortem,
            Self::Report => &estate.report,
        }
    }

    /// The directory, unless the estate names another.
    const fn directory(self) -> &'static str {
        match self {
            Self::Postmortem => "postmortems",
            Self::Report => "reports",
        }
    }

    fn shipped(self) -> Template {
        match self {
            Self::Postmortem => Template::shipped(),
            Self::Report => Template::shipped_report(),
        }
    }
}

/// The largest template, in bytes: the built-in one has 6 KiB.
const TEMPLATE_LIMIT: u64 = 256 * 1024;

/// The largest file that edits are merged from, in bytes: more than a log generates and a person adds.
const FILE_BYTES_LIMIT: u64 = 16 * 1024 * 1024;

/// How often merging is tried when the file changes during each attempt.
const RACE_LIMIT: u32 = 5;

/// How many events may follow an unrecorded draft (see [`is_earlier_draft`]) for it to be recognised as unedited.
const PREFIX_LIMIT: usize = 24;

/// A draft or report that is on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrittenReport {
    /// The path, relative to the project directory unless the estate names an absolute directory.
    pub path: String,
    /// SHA-256 of the generated text, without edits, in hex.
    pub digest: String,
}

/// Why a draft or report cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct ReportFileError {
    /// A sentence without capital and full stop.
    pub message: String,
    /// A sentence that says what to do.
    pub hint: Option<String>,
}

/// Writes the post-mortem draft or the report of an incident below the project directory. Blocks: it syncs file and directory.
///
/// `log` is the whole stream, and `incident` its fold. The directory, the template and the name come from the incident.
/// A person's edits of an earlier draft stay. A second call with the same log does not write.
pub fn write(project: &Path, incident: &Incident, log: &[Recorded]) -> Result<WrittenReport, ReportFileError> {
    let kind = ReportKind::of(incident);
    let policy = policy_of(incident, kind);
    let template = load_template(project, &policy, kind)?;
    let draft = render_draft(incident, log, &template)?;
    let digest = text_digest(&draft);
    let (directory, shown) = create_directory(project, &policy, kind)?;
    let name = file_name(incident);
    let path = format!("{}/{name}", shown.trim_end_matches('/'));
    let reports = ReportDirectory::open(&directory).map_err(|error| failed(&directory, &error))?;
    let previous = previous_draft(log, &template);
    for _ in 0..RACE_LIMIT {
        let on_disk = reports.read(&name).map_err(|error| unreadable(&path, &error))?;
        let text = match &on_disk {
            None => draft.clone(),
            Some(on_disk) => updated(generated(previous.as_ref(), on_disk), on_disk, &draft, log, &template),
        };
        if on_disk.as_ref() == Some(&text) {
            return Ok(WrittenReport { path, digest });
        }
        if reports.replace(&name, on_disk.as_deref(), &text).map_err(|error| failed(Path::new(&path), &error))? {
            return Ok(WrittenReport { path, digest });
        }
    }
    Err(ReportFileError {
        message: format!("`{path}` changed during each of {RACE_LIMIT} attempts to update it"),
        hint: Some("Close the programs that write it, then type `runbook postmortem`.".to_owned()),
    })
}

/// The draft or report of an incident as it is on disk, with a person's edits; none when it cannot be read.
pub fn read(project: &Path, incident: &Incident) -> Option<String> {
    let kind = ReportKind::of(incident);
    let policy = policy_of(incident, kind);
    let directory = Path::new(policy.directory.as_deref().unwrap_or_else(|| kind.directory()));
    let name = Path::new(&incident.draft.as_ref()?.path).file_name()?.to_str()?;
    if directory.components().any(|part| part == Component::ParentDir) {
        return None;
    }
    ReportDirectory::open(&project.join(directory)).ok()?.read(name).ok()?
}

/// The policy of the incident's last run.
fn policy_of(incident: &Incident, kind: ReportKind) -> PostmortemPolicy {
    incident.runs.last().map(|run| kind.policy(&run.estate).clone()).unwrap_or_default()
}

fn render_draft(incident: &Incident, log: &[Recorded], template: &Template) -> Result<String, ReportFileError> {
    render(&Postmortem::of(incident, log), template).map_err(|error| ReportFileError {
        message: error.to_string(),
        hint: Some(
            "Correct the template that `postmortem.template` of estate.yaml names, then type `runbook postmortem`."
                .to_owned(),
        ),
    })
}

/// The text that was generated when the draft was last written, and its recorded digest. The text is generated again from the
/// log up to then.
#[derive(Debug)]
struct Previous {
    /// None when the template or the program has changed since.
    text: Option<String>,
    digest: String,
}

fn previous_draft(log: &[Recorded], template: &Template) -> Option<Previous> {
    let digest_of = |recorded: &Recorded| {
        let Event::Incident(
            IncidentEvent::PostmortemWritten { digest, .. } | IncidentEvent::ReportWritten { digest, .. },
        ) = &recorded.event
        else {
            return None;
        };
        Some(digest.clone())
    };
    let (at, recorded) = log.iter().enumerate().rev().find_map(|(at, recorded)| Some((at, digest_of(recorded)?)))?;
    let before = &log[..at];
    let text = fold(before).ok().flatten().and_then(|incident| render_draft(&incident, before, template).ok());
    let text = text.filter(|text| text_digest(text) == recorded);
    Some(Previous { text, digest: recorded })
}

/// The file's text before a person's edits, if it is known.
fn generated<'a>(previous: Option<&'a Previous>, on_disk: &'a str) -> Option<&'a str> {
    let previous = previous?;
    if text_digest(on_disk) == previous.digest {
        return Some(on_disk);
    }
    previous.text.as_deref()
}

/// The file's text with the newer facts and a person's edits.
fn updated(generated: Option<&str>, on_disk: &str, draft: &str, log: &[Recorded], template: &Template) -> String {
    let merged = merge(generated, on_disk, draft);
    if merged.conflicts > 0 && is_earlier_draft(on_disk, log, template) {
        return draft.to_owned();
    }
    merged.text
}

/// Whether the file is unedited: it equals the draft of an earlier part of the log. A crash between writing and
/// recording a draft leaves such a file.
fn is_earlier_draft(on_disk: &str, log: &[Recorded], template: &Template) -> bool {
    (1..log.len()).rev().take(PREFIX_LIMIT).any(|length| {
        let prefix = &log[..length];
        let incident = fold(prefix).ok().flatten();
        incident.and_then(|incident| render_draft(&incident, prefix, template).ok()).is_some_and(|text| text == on_disk)
    })
}

fn text_digest(text: &str) -> String {
    hex::encode(Sha256::digest(text.as_bytes()))
}

/// Creates the directory if it is missing. Returns its path, and its name in the estate.
fn create_directory(
    project: &Path,
    policy: &PostmortemPolicy,
    kind: ReportKind,
) -> Result<(PathBuf, String), ReportFileError> {
    let shown = policy.directory.as_deref().unwrap_or_else(|| kind.directory());
    let outside = || ReportFileError {
        message: format!("the directory `{shown}` of drafts leads out of the project directory"),
        hint: Some(
            "Name one below it, or an absolute one, as `postmortem.directory` or `report.directory` in estate.yaml."
                .to_owned(),
        ),
    };
    let named = Path::new(shown);
    if named.components().any(|part| part == Component::ParentDir) {
        return Err(outside());
    }
    let directory = project.join(named);
    fs::create_dir_all(&directory).map_err(|error| failed(&directory, &error))?;
    if named.is_relative() {
        // A symbolic link may lead out where the text does not.
        let real = directory.canonicalize().map_err(|error| failed(&directory, &error))?;
        let root = project.canonicalize().map_err(|error| failed(project, &error))?;
        if !real.starts_with(root) {
            return Err(outside());
        }
        return Ok((real, shown.to_owned()));
    }
    Ok((directory, shown.to_owned()))
}

fn load_template(project: &Path, policy: &PostmortemPolicy, kind: ReportKind) -> Result<Template, ReportFileError> {
    policy.template.as_deref().map_or_else(|| Ok(kind.shipped()), |file| own_template(project, file))
}

/// Reads the project's template.
///
/// # Errors
/// When it cannot be read, or is too large.
pub fn own_template(project: &Path, file: &str) -> Result<Template, ReportFileError> {
    let read = || {
        // Opening a pipe without NONBLOCK waits for a writer.
        let opened =
            openat(CWD, project.join(file), OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty())?;
        text(File::from(opened), TEMPLATE_LIMIT)
    };
    let source = read().map_err(|error| ReportFileError {
        message: format!("the template `{file}` cannot be read: {error}"),
        hint: Some("Check `postmortem.template` in estate.yaml.".to_owned()),
    })?;
    Ok(Template { file: file.to_owned(), source })
}

/// An open directory, so that every access reaches the same directory even if its path changes.
#[derive(Debug)]
struct ReportDirectory {
    directory: File,
}

impl ReportDirectory {
    fn open(directory: &Path) -> io::Result<Self> {
        Ok(Self { directory: File::open(directory)? })
    }

    /// The text of a file; none when there is no such file. A symbolic link is an error.
    fn read(&self, name: &str) -> io::Result<Option<String>> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        match openat(&self.directory, name, flags, Mode::empty()) {
            Ok(file) => text(File::from(file), FILE_BYTES_LIMIT).map(Some),
            Err(rustix::io::Errno::NOENT) => Ok(None),
            Err(rustix::io::Errno::LOOP) => Err(io::Error::other("it is a symbolic link")),
            Err(error) => Err(error.into()),
        }
    }

    /// Replaces the text `before` by `text`. Returns false when the file's text is no longer `before`.
    fn replace(&self, name: &str, before: Option<&str>, text: &str) -> io::Result<bool> {
        let temporary = format!(".{name}.{}.new", std::process::id());
        let replaced = self.create(&temporary, text).and_then(|()| {
            self.copy_mode(name, &temporary)?;
            let unchanged = self.read(name)?.as_deref() == before;
            if unchanged {
                renameat(&self.directory, &temporary, &self.directory, name)?;
                self.directory.sync_all()?;
            }
            Ok(unchanged)
        });
        if !matches!(replaced, Ok(true)) {
            // A failure to remove the temporary file must not hide the first error.
            let _ = unlinkat(&self.directory, &temporary, AtFlags::empty());
        }
        replaced
    }

    fn create(&self, name: &str, text: &str) -> io::Result<()> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = Mode::from_raw_mode(0o644);
        let open = || openat(&self.directory, name, flags, mode);
        let opened = match open() {
            Err(rustix::io::Errno::EXIST) => {
                // A killed process with the same id has left it behind.
                unlinkat(&self.directory, name, AtFlags::empty())?;
                open()
            }
            opened => opened,
        };
        let mut file = File::from(opened?);
        file.write_all(text.as_bytes())?;
        file.sync_all()
    }

    /// Gives the new file the permissions of the old one, if there is one.
    fn copy_mode(&self, old: &str, new: &str) -> io::Result<()> {
        match rustix::fs::statat(&self.directory, old, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => {
                let mode = Mode::from_raw_mode(stat.st_mode);
                Ok(rustix::fs::chmodat(&self.directory, new, mode, AtFlags::empty())?)
            }
            Err(rustix::io::Errno::NOENT) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// The text of a regular file of at most `limit` bytes.
fn text(file: File, limit: u64) -> io::Result<String> {
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    if metadata.len() > limit {
        return Err(io::Error::other(format!("it is larger than {} KiB", limit / 1024)));
    }
    let mut bytes = Vec::new();
    file.take(limit).read_to_end(&mut bytes)?;
    String::from_utf8(bytes).map_err(|_| io::Error::other("it is not UTF-8 text"))
}

fn failed(path: &Path, error: &io::Error) -> ReportFileError {
    ReportFileError {
        message: format!("the draft cannot be written at `{}`: {error}", path.display()),
        hint: Some("Make the place writable, then type `runbook postmortem`.".to_owned()),
    }
}

fn unreadable(path: &str, error: &io::Error) -> ReportFileError {
    ReportFileError {
        message: format!("`{path}` cannot be updated: {error}"),
        hint: Some("Move it away or correct it, then type `runbook postmortem`.".to_owned()),
    }
}
