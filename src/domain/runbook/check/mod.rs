//! The checker of runbooks: a [`Runbook`], or every [`Problem`] of the file.
//!
//! The keys are those of the [table](super::runbook_schema) and of the forms of kinds.
//!
//! **Invariant:** a runbook is returned only when there is no problem.
//! **Invariant:** the checker knows no kind by name but `notify`, which needs no `verify`.
//!
//! Not here: reading files, and what is known only when a run starts.

mod action;
mod ask;
mod deadline;
mod document;
mod host;
mod modifier;
mod names;
mod schedule;
mod step;
mod sub_runbook;
mod trigger;
mod value_types;
mod worst_case;

use std::collections::{BTreeMap, BTreeSet};

use self::deadline::MetBy;
use super::runbook_schema::RunbookSection;
use super::{Param, Runbook};
use crate::domain::config::estate::Estate;
use crate::domain::config::kind_schema::KindForm;
use crate::domain::config::yaml::fields::{Fields, FileProblems};
use crate::domain::config::yaml::node::{Entry, Node};
use crate::domain::config::yaml::reader;
use crate::domain::core::diagnostic::{Problem, Source, SourceSpan};

pub(in crate::domain) use self::action::all_fields;

/// What a runbook can refer to.
#[derive(Debug, Clone, Copy)]
pub struct CheckContext<'a> {
    /// The estate. Without one, because its file has problems, names of the estate are not checked.
    pub estate: Option<&'a Estate>,
    /// Every kind.
    pub forms: &'a [&'static KindForm],
    /// The ids of all runbooks of the project, this one included.
    pub runbooks: &'a [String],
    /// The runbooks without problems, as far as they are known. The params that `start` gives to one of them are checked.
    pub peers: &'a [&'a Runbook],
}

/// Checks a runbook.
///
/// # Errors
/// Every problem of the file.
pub fn check(source: &Source, context: &CheckContext<'_>) -> Result<Runbook, Vec<Problem>> {
    let node = reader::read(source).map_err(|problem| vec![*problem])?;
    let mut checker = RunbookChecker::new(source, context);
    let runbook = checker.document(&node);
    let mut problems = checker.report.problems;
    problems.sort_by_key(|problem| problem.span.range.start);
    match runbook {
        Some(runbook) if problems.is_empty() => Ok(runbook),
        _ => Err(problems),
    }
}

/// The state of a check.
struct RunbookChecker<'a> {
    report: FileProblems<'a>,
    context: &'a CheckContext<'a>,
    params: Vec<Param>,
    /// The id of every step, with its place.
    ids: BTreeMap<String, SourceSpan>,
    /// The steps that have run before the current one.
    visible: BTreeSet<String>,
    /// The kind of every action so far, by step; not of steps with `for_each`.
    kinds: BTreeMap<String, &'static str>,
    /// The choices of every `ask` so far, by step.
    choices: BTreeMap<String, Vec<String>>,
    /// Whether `item` is defined.
    has_item: bool,
    /// The names of the scope, where it is not the usual one.
    only: Option<&'static [&'static str]>,
    /// The deadlines, each with its place and what meets it.
    deadlines: BTreeMap<String, (SourceSpan, MetBy)>,
    /// The deadlines that some step meets.
    met: BTreeSet<String>,
}

impl<'a> RunbookChecker<'a> {
    const fn new(source: &'a Source, context: &'a CheckContext<'a>) -> Self {
        Self {
            report: FileProblems::new(source),
            context,
            params: Vec::new(),
            ids: BTreeMap::new(),
            visible: BTreeSet::new(),
            kinds: BTreeMap::new(),
            choices: BTreeMap::new(),
            has_item: false,
            only: None,
            deadlines: BTreeMap::new(),
            met: BTreeSet::new(),
        }
    }

    /// Checks a part of a step whose scope has only these names.
    fn with_only<T>(&mut self, names: &'static [&'static str], check: impl FnOnce(&mut Self) -> T) -> T {
        let before = self.only.replace(names);
        let result = check(self);
        self.only = before;
        result
    }

    /// Opens a mapping with the keys of a section; unknown and doubled keys are reported.
    fn open<'n>(&mut self, node: &'n Node, section: &RunbookSection) -> Option<Fields<'n>> {
        Fields::open(&mut self.report, node, section.what, &section.keys())
    }

    /// The same for an entry of a mapping. A problem with an empty section is reported at the entry's key.
    fn open_entry<'n>(&mut self, entry: &'n Entry, section: &RunbookSection) -> Option<Fields<'n>> {
        let mut fields = self.open(&entry.value, section)?;
        if entry.value.as_map().is_some_and(<[Entry]>::is_empty) {
            fields.span = entry.key_span.clone();
        }
        Some(fields)
    }

    fn form(&self, name: &str) -> Option<&'static KindForm> {
        self.context.forms.iter().copied().find(|form| form.name == name)
    }
}

#[cfg(test)]
pub(in crate::domain) mod tests;
