//! Which runbook is for a row: one that takes a service as a parameter.
//!
//! Deliberately absent: starting it.

use super::StatusRow;
use crate::domain::core::severity::Severity;
use crate::domain::runbook::{Param, ParamKind, Runbook};

/// A runbook to start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remedy {
    /// The runbook's id.
    pub runbook: String,
    /// The parameter that takes the row's name.
    pub param: Option<String>,
}

/// The runbook for a row, if there is one that needs to be told nothing else. For a service it is one that takes a
/// service: for a critical one the gravest, for another the one that cannot do without. What services lean on is no
/// parameter of anything: for that, the gravest runbook that needs none.
pub fn remedy<'r>(row: &StatusRow, runbooks: impl Iterator<Item = &'r Runbook>, environment: &str) -> Option<Remedy> {
    let fits = |runbook: &Runbook| {
        runbook.environments.is_empty() || runbook.environments.iter().any(|name| name == environment)
    };
    let offered = runbooks.filter(|runbook| fits(runbook)).filter_map(|runbook| {
        let param = runbook.params.iter().find(|param| param.kind == ParamKind::Service && row.is_service());
        let is_enough = runbook.params.iter().all(|other| other.default.is_some() || Some(other) == param);
        (is_enough && param.is_some() == row.is_service()).then_some((runbook, param))
    });
    let best = offered.min_by_key(|(runbook, param)| rank(row, runbook, *param));
    best.map(|(runbook, param)| Remedy { runbook: runbook.id.clone(), param: param.map(|param| param.name.clone()) })
}

/// The smaller, the better. A runbook that an alert starts is for that alert, and only then for others.
fn rank<'r>(row: &StatusRow, runbook: &'r Runbook, param: Option<&Param>) -> (bool, bool, Severity, &'r str) {
    let is_vague = row.is_service() && !row.critical && param.is_some_and(|param| param.default.is_some());
    (!runbook.on.is_empty(), is_vague, runbook.severity, &runbook.id)
}
