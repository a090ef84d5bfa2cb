//! The step of a command: as an interface shows it ([`StepTarget`]), and as a person types it ([`StepReference`]).
//!
//! **Invariant:** a target names one question and one attempt of one step of one run. The command is refused if the step has
//! another question or attempt by then.
//!
//! Not here: how a reference becomes a target; see [`target_lookup`](crate::domain::incident::decide::target_lookup).

use std::fmt;
use std::str::FromStr;

use crate::domain::core::id::{IncidentId, RunId, StepKey, StepPart};
use crate::domain::core::text;
use crate::domain::incident::Incident;
use crate::domain::incident::run::Run;

/// A step of a run, as an interface showed it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct StepTarget {
    pub incident: IncidentId,
    pub run: RunId,
    /// The step with its item and part.
    pub step: StepKey,
    /// The number of attempts that had begun.
    pub attempt: u32,
    /// The number of gates that had closed. A step can ask again without another attempt.
    pub question: u32,
}

/// A step as a person types it: `cause`, `restart[2].verify`, or `2:cause` for run 2.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct StepReference {
    /// The run; none refers to every run that has such a step.
    pub run: Option<RunId>,
    /// The step with its item and part.
    pub step: StepKey,
}

impl StepReference {
    /// Whether it refers to this step of this run.
    pub fn matches(&self, run: RunId, step: &StepKey) -> bool {
        self.step == *step && self.run.is_none_or(|named| named == run)
    }

    /// The reference as one word of a shell command; an item such as `restart[2]` needs quotes.
    pub fn shell_word(&self) -> String {
        text::shell_word(&self.to_string())
    }
}

impl fmt::Display for StepReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.run {
            Some(run) => write!(f, "{run}:{}", self.step),
            None => self.step.fmt(f),
        }
    }
}

impl FromStr for StepReference {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || {
            let typed = text.escape_debug();
            format!("`{typed}` is not a step such as `rollback`, `restart[2]`, or `2:rollback` for the one of run 2")
        };
        let (run, step) = match text.split_once(':') {
            None => (None, text),
            Some((run, step)) if run.bytes().all(|byte| byte.is_ascii_digit()) => {
                (Some(RunId(run.parse().map_err(|_| wrong())?)), step)
            }
            Some(_) => return Err(wrong()),
        };
        Ok(Self { run, step: step.parse().map_err(|_| wrong())? })
    }
}

impl Incident {
    /// A step in its present state.
    pub fn target(&self, run: RunId, step: &StepKey) -> StepTarget {
        let state = self.run(run).and_then(|run| run.state(step));
        StepTarget {
            incident: self.id.clone(),
            run,
            step: step.clone(),
            attempt: state.map_or(0, |state| state.attempts),
            question: state.map_or(0, |state| state.questions),
        }
    }

    /// The shortest reference to a step: with its run only if another run has a step with the same id.
    pub fn reference(&self, run: RunId, step: &StepKey) -> StepReference {
        let is_shared = self.runs.iter().any(|other| other.id != run && other.ids.contains(&step.id));
        StepReference { run: is_shared.then_some(run), step: step.clone() }
    }
}

impl Run {
    /// Whether the run has this step, with this item of a `for_each`, and with this part.
    pub fn has(&self, key: &StepKey) -> bool {
        let Some(step) = self.runbook.step(&key.id) else { return false };
        let has_item = |index: u32| {
            let items = self.state(&StepKey::main(key.id.as_str())).and_then(|state| state.items.as_ref());
            step.for_each.is_some() && items.is_none_or(|items| (index as usize) < items.len())
        };
        let has_part = match key.part {
            StepPart::Main => true,
            StepPart::Verify => step.verify.is_some(),
            StepPart::Undo => step.undo.is_some(),
        };
        has_part && key.index.is_none_or(has_item)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parsed_reference_prints_as_it_was_typed() {
        for (text, run) in [
            ("cause", None),
            ("2:cause", Some(2)),
            ("2:restart[3]", Some(2)),
            ("restart[2].verify", None),
            ("12:a.undo", Some(12)),
        ] {
            let reference: StepReference = text.parse().unwrap();
            assert_eq!((reference.to_string().as_str(), reference.run.map(|run| run.0)), (text, run));
        }
    }

    #[test]
    fn only_the_reference_to_an_item_needs_quotes_in_a_shell() {
        let shell_word = |text: &str| text.parse::<StepReference>().unwrap().shell_word();
        assert_eq!(["2:cause", "2:restart[3]"].map(shell_word), ["2:cause", "'2:restart[3]'"]);
    }

    #[test]
    fn an_invalid_reference_is_refused_with_an_example() {
        for text in [
            "",
            ":",
            "2:",
            ":cause",
            "+2:cause",
            "-1:cause",
            "x:cause",
            "2:3:cause",
            "2: cause",
            "99999999999:a",
            "Cause",
            "2:a[x]",
        ] {
            let refused = text.parse::<StepReference>().unwrap_err();
            assert!(refused.contains("`2:rollback`"), "{text}: {refused}");
        }
    }
}
