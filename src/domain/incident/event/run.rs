//! Runs of runbooks: started, stopping, ended. The table is [`crate::domain::incident::run`].

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::run_lifecycle::{Mode, Parent, RunOutcome, StopCause};
use crate::domain::alert::AlertKey;
use crate::domain::config::estate::Estate;
use crate::domain::core::id::RunId;
use crate::domain::runbook::Runbook;
use crate::domain::runbook::schedule::Occurrence;

/// An event of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum RunEvent {
    /// A run started.
    #[serde(rename = "run_started")]
    Started {
        run: RunId,
        /// The runbook as it is when the run starts.
        runbook: Box<Runbook>,
        /// SHA-256 of the runbook's file, in hex.
        digest: String,
        /// The estate as it is when the run starts.
        estate: Box<Estate>,
        /// Every parameter with its value.
        params: Map<String, Value>,
        mode: Mode,
        /// The run and step that started it, if a `start` step did.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        parent: Option<Parent>,
        /// The alert that started it, if one did.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        alert: Option<AlertKey>,
        /// The occurrence of a schedule that started it, if one did.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        schedule: Option<Box<Occurrence>>,
    },
    /// No further step begins, except those of `finally`.
    #[serde(rename = "run_stopping")]
    Stopping { run: RunId, cause: StopCause },
    /// The run ended.
    #[serde(rename = "run_ended")]
    Ended { run: RunId, outcome: RunOutcome },
}
