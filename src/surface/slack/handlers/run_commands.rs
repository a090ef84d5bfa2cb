//! Typed commands about a step: retry, skip, undo.

use super::super::parse::command::{Typed, first};
use super::questions::{done, typed_step};
use super::{HandlerResult, Interaction, Permission, refusal_at, reply_text};
use crate::domain::incident::command::Request;
use crate::domain::incident::command::target::{StepReference, StepTarget};
use crate::domain::incident::decide::step_verb::StepVerb;
use crate::domain::incident::decide::target_lookup;

impl Interaction<'_> {
    /// Retries the named step, or the only one that has failed.
    pub(super) async fn retry(&self, typed: &Typed) -> HandlerResult {
        let step = typed_step(&typed.rest)?;
        self.step_request(typed, "tried again", StepVerb::Retry, step, |target| Request::Retry { target }).await
    }

    pub(super) async fn skip(&self, typed: &Typed) -> HandlerResult {
        let (step, reason) = first(&typed.rest);
        if step.is_empty() || reason.is_empty() {
            return Err(reply_text("Type `/runbook skip <step> <reason>`."));
        }
        let skip = |target| Request::Skip { target, reason: reason.to_owned() };
        self.step_request(typed, "skipped", StepVerb::Skip, typed_step(step)?, skip).await
    }

    pub(super) async fn undo(&self, typed: &Typed) -> HandlerResult {
        if typed.rest.is_empty() {
            return Err(reply_text("Type `/runbook undo <step>`; `/runbook timeline` lists the steps."));
        }
        let undo = |target| Request::Undo { target };
        self.step_request(typed, "being undone", StepVerb::Undo, typed_step(&typed.rest)?, undo).await
    }

    /// Submits a request about the typed step, or about the only one to which the verb applies, and confirms it.
    async fn step_request(
        &self,
        typed: &Typed,
        what: &str,
        verb: StepVerb,
        step: Option<StepReference>,
        request: impl FnOnce(StepTarget) -> Request,
    ) -> HandlerResult {
        self.may_typed(typed, Permission::Act).await?;
        let incident = self.target_incident(typed).await?;
        let target = target_lookup::target(&incident, verb, step.as_ref())
            .map_err(|refused| refusal_at(&incident.id, &refused.into()))?;
        let message = format!("`{}` is {what}", incident.reference(target.run, &target.step));
        Ok(done(&message, &self.act(&incident.id, request(target)).await?))
    }
}
