//! The value of a button: the incident, the action, and the question that it answers.
//!
//! **Invariant:** a button has the run, the step, the attempt and the question that were shown, and an approval also the digest
//! of the change. So a click cannot answer another question or approve another change.

use serde::{Deserialize, Serialize};

use crate::domain::core::id::{IncidentId, RunId, StepKey};
use crate::domain::incident::Incident;
use crate::domain::incident::command::Refused;
use crate::domain::incident::command::target::{StepReference, StepTarget};
use crate::domain::incident::decide::step_verb::StepVerb;
use crate::domain::incident::decide::target_lookup;

/// The value of a button, encoded as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ButtonValue {
    #[serde(rename = "i")]
    pub incident: IncidentId,
    #[serde(rename = "d")]
    pub action: ButtonAction,
}

/// The action of a button.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ButtonAction {
    Acknowledge,
    Resolve,
    Status,
    /// Starts the named runbook, which an alert has proposed.
    Start(String),
    /// Approves the change with this digest.
    Approve(StepQuestion, String),
    /// Opens a form for the reason of a denial.
    Deny(StepQuestion),
    Answer(StepQuestion, String),
    /// Opens a form for an answer.
    Ask(StepQuestion),
    Retry(StepQuestion),
    Skip(StepQuestion),
}

/// One question of a step. In messages of older versions some fields are absent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepQuestion {
    #[serde(rename = "r", default)]
    pub run: Option<RunId>,
    #[serde(rename = "s")]
    pub step: StepKey,
    /// The number of the question among those of the step.
    #[serde(rename = "n", default)]
    pub question: Option<u32>,
    /// The number of attempts that had started.
    #[serde(rename = "a", default)]
    pub attempt: Option<u32>,
}

impl StepQuestion {
    /// The question that a target names.
    pub fn of(target: &StepTarget) -> Self {
        let StepTarget { run, step, question, attempt, .. } = target;
        Self { run: Some(*run), step: step.clone(), question: Some(*question), attempt: Some(*attempt) }
    }

    /// The step as it would be typed.
    pub fn reference(&self) -> StepReference {
        StepReference { run: self.run, step: self.step.clone() }
    }

    /// The step that was shown. Fields that are absent in an older message are taken from the only step that matches.
    ///
    /// # Errors
    /// When no step or more than one matches.
    pub fn target(&self, incident: &Incident, verb: StepVerb) -> Result<StepTarget, Refused> {
        if let (Some(run), Some(question), Some(attempt)) = (self.run, self.question, self.attempt) {
            return Ok(StepTarget { incident: incident.id.clone(), run, step: self.step.clone(), attempt, question });
        }
        let found = target_lookup::target(incident, verb, Some(&self.reference()))?;
        Ok(StepTarget { question: self.question.unwrap_or(found.question), ..found })
    }
}

impl ButtonValue {
    /// The JSON text for the button.
    pub fn encoded(&self) -> String {
        serde_json::to_string(self).expect("names and numbers can be encoded as JSON")
    }

    /// Parses a button's value; none when it has another format.
    pub fn decoded(value: &str) -> Option<Self> {
        serde_json::from_str(value).ok()
    }
}
