//! Post-mortem drafts and maintenance reports on disk: written completely or not at all, and never over a person's edits.
//!
//! A file name is made of the incident's id and a slug of its title, so no text of an alert can choose a path. A file is
//! replaced by a rename within the open directory, which follows no symbolic link.
//!
//! **Invariant:** the same log gives the same file, and a file that would not change is not written.
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

/// What is written of an incident.
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

    /// Where it is written unless the estate names a place.
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

/// The largest template: ours has 6 KiB.
const TEMPLATE_LIMIT: u64 = 256 * 1024;

/// The largest post-mortem that is merged with: a person does not write more, and a log does not give more.
const FILE_LIMIT: u64 = 16 * 1024 * 1024;

/// How often it is tried again when the file changes while it is being merged.
const RACE_LIMIT: u32 = 5;

/// The most events after a crash for which an unedited file is still recognised.
const PREFIX_LIMIT: usize = 24;

/// A draft that is on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrittenReport {
    /// Where, relative to the shop's directory unless the estate names an absolute place.
    pub path: String,
    /// SHA-256 of the draft as generated, in hex.
    pub digest: String,
}

/// Why a draft is not on disk.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct ReportFileError {
    /// A fragment.
    pub message: String,
    /// A sentence that says what to do.
    pub hint: Option<String>,
}

/// Writes the post-mortem draft of an incident below the shop's directory. Blocks for one fsync.
///
/// `log` is the whole stream and `incident` what it folds to. The directory, the template and the name come from the
/// incident. What a person has written into an earlier draft is kept. Calling it again with the same log touches nothing.
pub fn write(shop: &Path, incident: &Incident, log: &[Recorded]) -> Result<WrittenReport, ReportFileError> {
    let sort = ReportKind::of(incident);
    let policy = incident.runs.last().map(|run| sort.policy(&run.estate).clone()).unwrap_or_default();
    let template = template(shop, &policy, sort)?;
    let draft = draft(incident, log, &template)?;
    let digest = digest(&draft);
    let (directory, shown) = directory(shop, &policy, sort)?;
    let name = file_name(incident);
    let path = format!("{}/{name}", shown.trim_end_matches('/'));
    let shelf = ReportDirectory::open(&directory).map_err(|error| failed(&directory, &error))?;
    let previous = previous(log, &template);
    for _ in 0..RACE_LIMIT {
        let on_disk = shelf.read(&name).map_err(|error| unreadable(&path, &error))?;
        let text = match &on_disk {
            None => draft.clone(),
            Some(on_disk) => brought_up(known(previous.as_ref(), on_disk), on_disk, &draft, log, &template),
        };
        if on_disk.as_ref() == Some(&text) {
            return Ok(WrittenReport { path, digest });
        }
        if shelf.replace(&name, on_disk.as_deref(), &text).map_err(|error| failed(Path::new(&path), &error))? {
            return Ok(WrittenReport { path, digest });
        }
    }
    Err(ReportFileError {
        message: format!("`{path}` changes again and again while it is being brought up to date"),
        hint: Some("Close the programs that write it, then type `runbook postmortem`.".to_owned()),
    })
}

/// The draft of an incident as it is on disk, a person's words included; none when it is not there.
pub fn read(shop: &Path, incident: &Incident) -> Option<String> {
    let sort = ReportKind::of(incident);
    let policy = incident.runs.last().map(|run| sort.policy(&run.estate).clone()).unwrap_or_default();
    let named = Path::new(policy.directory.as_deref().unwrap_or_else(|| sort.directory()));
    let name = Path::new(&incident.draft.as_ref()?.path).file_name()?.to_str()?;
    if named.components().any(|part| part == Component::ParentDir) {
        return None;
    }
    ReportDirectory::open(&shop.join(named)).ok()?.read(name).ok()?
}

fn draft(incident: &Incident, log: &[Recorded], template: &Template) -> Result<String, ReportFileError> {
    render(&Postmortem::of(incident, log), template).map_err(|error| ReportFileError {
        message: error.to_string(),
        hint: Some(
            "Correct the template that `postmortem.template` of estate.yaml names, then type `runbook postmortem`."
                .to_owned(),
        ),
    })
}

/// What was generated when the draft was last written, made again from the log up to then, and its recorded digest.
#[derive(Debug)]
struct Previous {
    text: Option<String>,
    digest: String,
}

fn previous(log: &[Recorded], template: &Template) -> Option<Previous> {
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
    let text = fold(before).ok().flatten().and_then(|incident| draft(&incident, before, template).ok());
    // A template or a program that has changed since gives another text, which must not be taken for the old one.
    let text = text.filter(|text| digest(text) == recorded);
    Some(Previous { text, digest: recorded })
}

/// The text that the file was generated as, as far as it is known.
fn known<'a>(previous: Option<&'a Previous>, on_disk: &'a str) -> Option<&'a str> {
    let previous = previous?;
    if digest(on_disk) == previous.digest {
        return Some(on_disk);
    }
    previous.text.as_deref()
}

/// The file with the newer facts.
fn brought_up(known: Option<&str>, on_disk: &str, draft: &str, log: &[Recorded], template: &Template) -> String {
    let merged = merge(known, on_disk, draft);
    if merged.conflicts > 0 && is_of_a_prefix(on_disk, log, template) {
        return draft.to_owned();
    }
    merged.text
}

/// Whether the file is unedited: it equals the draft of an earlier part of the log. A crash between writing and
/// recording a draft leaves such a file.
fn is_of_a_prefix(on_disk: &str, log: &[Recorded], template: &Template) -> bool {
    (1..log.len()).rev().take(PREFIX_LIMIT).any(|length| {
        let prefix = &log[..length];
        let incident = fold(prefix).ok().flatten();
        incident.and_then(|incident| draft(&incident, prefix, template).ok()).is_some_and(|text| text == on_disk)
    })
}

fn digest(text: &str) -> String {
    hex::encode(Sha256::digest(text.as_bytes()))
}

/// The directory for drafts, made when it is missing, and how the estate names it.
fn directory(shop: &Path, policy: &PostmortemPolicy, sort: ReportKind) -> Result<(PathBuf, String), ReportFileError> {
    let shown = policy.directory.as_deref().unwrap_or_else(|| sort.directory());
    let outside = || ReportFileError {
        message: format!("the directory `{shown}` of drafts leads out of the shop's directory"),
        hint: Some(
            "Name one below it, or an absolute one, as `postmortem.directory` or `report.directory` in estate.yaml."
                .to_owned(),
        ),
    };
    let named = Path::new(shown);
    if named.components().any(|part| part == Component::ParentDir) {
        return Err(outside());
    }
    let directory = shop.join(named);
    fs::create_dir_all(&directory).map_err(|error| failed(&directory, &error))?;
    if named.is_relative() {
        // A symbolic link may lead out where the text does not.
        let real = directory.canonicalize().map_err(|error| failed(&directory, &error))?;
        let root = shop.canonicalize().map_err(|error| failed(shop, &error))?;
        if !real.starts_with(root) {
            return Err(outside());
        }
        return Ok((real, shown.to_owned()));
    }
    Ok((directory, shown.to_owned()))
}

fn template(shop: &Path, policy: &PostmortemPolicy, sort: ReportKind) -> Result<Template, ReportFileError> {
    policy.template.as_deref().map_or_else(|| Ok(sort.shipped()), |file| own_template(shop, file))
}

/// The template that a shop has put in the place of ours.
///
/// # Errors
/// When it cannot be read, or is too large for one.
pub fn own_template(shop: &Path, file: &str) -> Result<Template, ReportFileError> {
    let read = || {
        // A pipe would wait for its other end.
        let opened = openat(CWD, shop.join(file), OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty())?;
        text(File::from(opened), TEMPLATE_LIMIT)
    };
    let source = read().map_err(|error| ReportFileError {
        message: format!("the template `{file}` cannot be read: {error}"),
        hint: Some("Check `postmortem.template` in estate.yaml.".to_owned()),
    })?;
    Ok(Template { file: file.to_owned(), source })
}

/// An open directory, so that what is checked and what is written are the same place.
#[derive(Debug)]
struct ReportDirectory {
    directory: File,
}

impl ReportDirectory {
    fn open(directory: &Path) -> io::Result<Self> {
        Ok(Self { directory: File::open(directory)? })
    }

    /// A file's text; none when there is no such file. A symbolic link is an error.
    fn read(&self, name: &str) -> io::Result<Option<String>> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        match openat(&self.directory, name, flags, Mode::empty()) {
            Ok(file) => text(File::from(file), FILE_LIMIT).map(Some),
            Err(rustix::io::Errno::NOENT) => Ok(None),
            Err(rustix::io::Errno::LOOP) => Err(io::Error::other("it is a symbolic link")),
            Err(error) => Err(error.into()),
        }
    }

    /// Puts `text` in the place of `before`; false when the file is no longer `before`.
    fn replace(&self, name: &str, before: Option<&str>, text: &str) -> io::Result<bool> {
        let fresh = format!(".{name}.{}.new", std::process::id());
        let replaced = self.put(&fresh, text).and_then(|()| {
            self.keep_mode(name, &fresh)?;
            let unchanged = self.read(name)?.as_deref() == before;
            if unchanged {
                renameat(&self.directory, &fresh, &self.directory, name)?;
                self.directory.sync_all()?;
            }
            Ok(unchanged)
        });
        if !matches!(replaced, Ok(true)) {
            // Nothing is left behind; that it cannot be removed is no worse than what has gone wrong already.
            let _ = unlinkat(&self.directory, &fresh, AtFlags::empty());
        }
        replaced
    }

    fn put(&self, name: &str, text: &str) -> io::Result<()> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = Mode::from_raw_mode(0o644);
        let open = || openat(&self.directory, name, flags, mode);
        let opened = match open() {
            Err(rustix::io::Errno::EXIST) => {
                // Left behind by a process of the same number that was killed.
                unlinkat(&self.directory, name, AtFlags::empty())?;
                open()
            }
            opened => opened,
        };
        let mut file = File::from(opened?);
        file.write_all(text.as_bytes())?;
        file.sync_all()
    }

    /// Who may read the old file may read the new one, and nobody else.
    fn keep_mode(&self, old: &str, fresh: &str) -> io::Result<()> {
        match rustix::fs::statat(&self.directory, old, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => {
                let mode = Mode::from_raw_mode(stat.st_mode);
                Ok(rustix::fs::chmodat(&self.directory, fresh, mode, AtFlags::empty())?)
            }
            Err(rustix::io::Errno::NOENT) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// The text of a regular file of at most `limit` bytes.
fn text(file: File, limit: u64) -> io::Result<String> {
    let about = file.metadata()?;
    if !about.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    if about.len() > limit {
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
        message: format!("`{path}` cannot be brought up to date: {error}"),
        hint: Some("Move it away or correct it, then type `runbook postmortem`.".to_owned()),
    }
}
