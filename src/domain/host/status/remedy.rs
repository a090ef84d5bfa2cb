//! The runbook that the status board proposes for a row.

use super::StatusRow;
use crate::domain::core::severity::Severity;
use crate::domain::runbook::{Param, ParamKind, Runbook};

/// A proposed runbook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remedy {
    /// The runbook's id.
    pub runbook: String,
    /// The parameter whose value is the row's name.
    pub param: Option<String>,
}

/// The runbook for a row, if there is one of the environment that needs no other parameter.
///
/// For a service, it has a parameter for a service: the most severe runbook for a critical service, and for another one, a
/// runbook that requires the parameter, if there is one. For a datastore, it is the most severe runbook without such a parameter.
pub fn remedy<'r>(row: &StatusRow, runbooks: impl Iterator<Item = &'r Runbook>, environment: &str) -> Option<Remedy> {
    let fits = |runbook: &Runbook| {
        runbook.environments.is_empty() || runbook.environments.iter().any(|name| name == environment)
    };
    let candidates = runbooks.filter(|runbook| fits(runbook)).filter_map(|runbook| {
        let param = runbook.params.iter().find(|param| param.kind == ParamKind::Service && row.is_service());
        let is_complete = runbook.params.iter().all(|other| other.default.is_some() || Some(other) == param);
        (is_complete && param.is_some() == row.is_service()).then_some((runbook, param))
    });
    let best = candidates.min_by_key(|(runbook, param)| rank(row, runbook, *param));
    best.map(|(runbook, param)| Remedy { runbook: runbook.id.clone(), param: param.map(|param| param.name.clone()) })
}

/// The smallest rank is the best. Runbooks without a trigger are preferred, because one with a trigger is meant for its alert.
fn rank<'r>(row: &StatusRow, runbook: &'r Runbook, param: Option<&Param>) -> (bool, bool, Severity, &'r str) {
    let is_general = row.is_service() && !row.critical && param.is_some_and(|param| param.default.is_some());
    (!runbook.on.is_empty(), is_general, runbook.severity, &runbook.id)
}
