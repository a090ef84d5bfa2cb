//! The estate's budget: how often a change may happen automatically, across incidents.
//!
//! Each automatic change gets a unique name made of the action, the place and a number. The name is written in the same
//! transaction as the intent, so two workers at once cannot both take the last slot.
//!
//! **Invariant:** an attempt that no person approved starts only with a name within the budget.

use std::sync::Arc;

use super::Worker;
use crate::domain::config::alert_policy::Budget;
use crate::domain::core::id::{RunId, StepPart};
use crate::domain::core::time::Span;
use crate::domain::incident::Incident;
use crate::domain::incident::due::{Confirmation, approval_digest};
use crate::domain::incident::event::Mode;
use crate::domain::incident::plan::Attempt;
use crate::engine::EngineError;

/// Digits of a name's number, so that names sort as their numbers do.
const DIGITS: usize = 12;

impl Worker {
    /// Whether an attempt changes something without any approval.
    pub(super) fn is_by_itself(&self, run: RunId, attempt: &Attempt) -> bool {
        let Some(run) = self.incident.run(run) else { return false };
        let now = self.engine.parts().clock.now();
        let approved = run.state(&attempt.step).and_then(|state| state.approved.as_ref());
        let agreed = approved.is_some_and(|agreed| agreed.covers(&attempt.digest, now));
        run.mode == Mode::Unattended
            && attempt.step.part == StepPart::Main
            && attempt.action.effect.changes()
            && attempt.action.kind != "notify"
            && !agreed
    }

    /// The name that the attempt takes, or why the budget forbids it.
    pub(super) async fn allowance(&self, attempt: &Attempt, run: RunId) -> Result<Result<String, String>, EngineError> {
        let Some(run) = self.incident.run(run) else { return Ok(Err("its run is gone".to_owned())) };
        let Budget { at_most, within } = run.estate.alerts.budget;
        let prefix = format!("change/{}/", attempt.action.digest(&self.incident.environment));
        let parts = self.engine.parts();
        let taken = parts.store.keys(&prefix, at_most.get()).await?;
        let now = parts.clock.now();
        let ours = self.proposal.names().iter().filter(|key| key.starts_with(&prefix)).count();
        let recent = taken.iter().filter(|key| Span::between(key.at, now) < within).count() + ours;
        if recent >= at_most.get() as usize {
            return Ok(Err(format!(
                "it has happened by itself {recent} times within {within}, which is what the estate allows"
            )));
        }
        let last = taken.first().and_then(|key| key.key.strip_prefix(&prefix)?.parse::<u64>().ok()).unwrap_or(0);
        Ok(Ok(format!("{prefix}{:0DIGITS$}", last + 1 + ours as u64)))
    }
}

/// Asks a person instead.
pub(super) fn over_budget(incident: &Incident, run: RunId, attempt: Attempt, why: String) -> Confirmation {
    let Attempt { step, action, digest, .. } = attempt;
    // A new question gets its own digest, so that an approval permits only this request.
    let digest = incident.run(run).map_or(digest, |run| approval_digest(incident, run, &step, 1, &action));
    Confirmation {
        run,
        step,
        by: Vec::new(),
        action: Arc::unwrap_or_clone(action),
        digest,
        why: Some(why),
        undo: None,
        count: 1,
        not_requester: false,
        expires: None,
    }
}
