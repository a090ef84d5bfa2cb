//! The estate's budget: how often a change may happen automatically, in all incidents together.
//!
//! Each automatic change registers a unique name made of the action, the environment and a number. The name is written in the
//! same transaction as the intent, so two workers cannot both take the last number.
//!
//! **Invariant:** an automatic change starts only with a registered name within the budget.

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

/// The digits of a name's number: a fixed length, so that names sort in the order of their numbers.
const DIGITS: usize = 12;

impl Worker {
    /// Whether an attempt is a change that no person has approved.
    pub(super) fn is_automatic(&self, run: RunId, attempt: &Attempt) -> bool {
        let Some(run) = self.incident.run(run) else { return false };
        let now = self.engine.parts().clock.now();
        let approval = run.state(&attempt.step).and_then(|state| state.approved.as_ref());
        let is_approved = approval.is_some_and(|approval| approval.covers(&attempt.digest, now));
        run.mode == Mode::Unattended
            && attempt.step.part == StepPart::Main
            && attempt.action.effect.changes()
            && attempt.action.kind != "notify"
            && !is_approved
    }

    /// The unique name to register for the attempt, or why the budget forbids the attempt.
    pub(super) async fn budget_name(
        &self,
        attempt: &Attempt,
        run: RunId,
    ) -> Result<Result<String, String>, EngineError> {
        let Some(run) = self.incident.run(run) else { return Ok(Err("its run does not exist".to_owned())) };
        let Budget { at_most, within } = run.estate.alerts.budget;
        let prefix = format!("change/{}/", attempt.action.digest(&self.incident.environment));
        let parts = self.engine.parts();
        let registered = parts.store.keys(&prefix, at_most.get()).await?;
        let now = parts.clock.now();
        let proposed = self.proposal.names().iter().filter(|key| key.starts_with(&prefix)).count();
        let recent = registered.iter().filter(|key| Span::between(key.at, now) < within).count() + proposed;
        if recent >= at_most.get() as usize {
            return Ok(Err(format!(
                "it has happened automatically {recent} times within {within}, which is the limit in the estate"
            )));
        }
        let last = registered.first().and_then(|key| key.key.strip_prefix(&prefix)?.parse::<u64>().ok()).unwrap_or(0);
        Ok(Ok(format!("{prefix}{:0DIGITS$}", last + 1 + proposed as u64)))
    }
}

/// The question to a person when the budget forbids an automatic change.
pub(super) fn over_budget(incident: &Incident, run: RunId, attempt: Attempt, why: String) -> Confirmation {
    let Attempt { step, action, digest, .. } = attempt;
    // Each question gets a new digest, so that an approval covers only this question.
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
