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
    /// A runbook began.
    #[serde(rename = "run_started")]
    Started {
        /// Its number.
        run: RunId,
        /// The copy that this run keeps.
        runbook: Box<Runbook>,
        /// SHA-256 of the file's text, in hex.
        digest: String,
        /// The copy of the estate that this run keeps.
        estate: Box<Estate>,
        /// Every parameter with its value.
        params: Map<String, Value>,
        /// How much it asks.
        mode: Mode,
        /// The run and step that started it, for a runbook started by another.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        parent: Option<Parent>,
        /// The firing that started it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        alert: Option<AlertKey>,
        /// The occurrence of its schedule that started it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        schedule: Option<Box<Occurrence>>,
    },
    /// The run goes no further; what `finally` holds still runs.
    #[serde(rename = "run_stopping")]
    Stopping {
        /// The run.
        run: RunId,
        /// Why.
        cause: StopCause,
    },
    /// The run is over.
    #[serde(rename = "run_ended")]
    Ended {
        /// The run.
        run: RunId,
        /// How.
        outcome: RunOutcome,
    },
}
