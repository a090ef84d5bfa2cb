//! The checker of `estate.yaml`: an [`Estate`], or every [`Problem`] of the file.
//!
//! It works in three steps. `shape` checks each value against the [table](super::estate_schema), `rules` compares values
//! with each other, and `resolve` makes an [`Estate`] of a file without problems.
//!
//! **Invariant:** an estate is returned only when there is no problem: every name that one section uses is defined in another.
//!
//! Not here: whether units, files and addresses exist; see `runbook doctor`.

mod channel;
mod host;
mod resolve;
mod rules;
mod sender;
mod shape;

use std::collections::{BTreeMap, BTreeSet};

use super::estate::Estate;
use super::estate_schema::{ESTATE, Part};
use super::yaml::fields::FileProblems;
use super::yaml::node::{Entry, Node};
use super::yaml::reader;
use crate::domain::core::diagnostic::{Problem, Source};

/// Checks an estate.
///
/// # Errors
/// Every problem of the file.
pub fn check(source: &Source) -> Result<Estate, Vec<Problem>> {
    let node = reader::read(source).map_err(|problem| vec![*problem])?;
    let mut checker =
        EstateChecker { report: FileProblems::new(source), names: Names::of(&node), hidden: BTreeSet::new() };
    let value = checker.section(&node, &ESTATE, None);
    checker.rules(&node);
    let mut problems = checker.report.problems;
    if !problems.is_empty() {
        problems.sort_by_key(|problem| problem.span.range.start);
        return Err(problems);
    }
    resolve::estate(value).map_err(|error| vec![Problem::new(node.span, format!("the estate cannot be read: {error}"))])
}

/// The names that the file defines. They are collected first, so a section may use a name that a later one defines.
struct Names {
    /// By section.
    known: BTreeMap<Part, Vec<String>>,
    /// The channels with `slack`.
    slack_channels: BTreeSet<String>,
    /// The e-mail addresses by person.
    emails: BTreeMap<String, String>,
    /// The secrets whose `key` ends in `*`: each stands for several lines of a file, and has no value.
    families: BTreeSet<String>,
}

impl Names {
    fn of(node: &Node) -> Self {
        let names = |part: &Part| (*part, entries(node, part.key()).map(|entry| entry.key.clone()).collect());
        let is_family =
            |entry: &&Entry| entry.value.get("key").and_then(Node::as_text).is_some_and(|key| key.ends_with('*'));
        let email = |entry: &Entry| Some((entry.key.clone(), entry.value.get("email")?.as_text()?.to_owned()));
        let slack = entries(node, "channels").filter(|entry| entry.value.get("slack").is_some());
        Self {
            known: Part::ALL.iter().map(names).collect(),
            slack_channels: slack.map(|entry| entry.key.clone()).collect(),
            emails: entries(node, "people").filter_map(email).collect(),
            families: entries(node, "secrets").filter(is_family).map(|entry| entry.key.clone()).collect(),
        }
    }

    fn of_part(&self, part: Part) -> &[String] {
        self.known.get(&part).map(Vec::as_slice).unwrap_or_default()
    }
}

/// The entries of the mapping under a key; none if there is no mapping.
fn entries<'n>(node: &'n Node, key: &str) -> impl Iterator<Item = &'n Entry> {
    node.get(key).and_then(Node::as_map).unwrap_or_default().iter()
}

/// The entry with this key.
fn entry<'n>(node: &'n Node, key: &str) -> Option<&'n Entry> {
    node.as_map()?.iter().find(|entry| entry.key == key)
}

struct EstateChecker<'a> {
    report: FileProblems<'a>,
    names: Names,
    /// The names that expressions cannot use in the current section, because the key that defines them is missing.
    hidden: BTreeSet<&'static str>,
}

#[cfg(test)]
mod tests;
