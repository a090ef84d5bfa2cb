//! Steering a run by typed words: trying again, going on without, taking back. What stops it stands with the other words.

use super::super::parse::command::{Typed, first};
use super::super::render::question;
use super::super::render::question::PendingQuestion;
use super::{HandlerResult, Interaction, reply_text};
use crate::domain::core::id::StepKey;
use crate::domain::incident::command::Request;
use crate::domain::incident::event::Gate;

impl Interaction<'_> {
    /// Retries the named step, or the only one that has failed.
    pub(super) async fn retry(&self, typed: &Typed) -> HandlerResult {
        let step = match typed.rest.as_str() {
            "" => self.failed(typed).await?,
            word => key(word)?,
        };
        self.request(typed, &format!("`{step}` is tried again"), Request::Retry { step }).await
    }

    pub(super) async fn skip(&self, typed: &Typed) -> HandlerResult {
        let (step, reason) = first(&typed.rest);
        if step.is_empty() || reason.is_empty() {
            return Err(reply_text("Type `/runbook skip <step> <reason>`."));
        }
        let request = Request::Skip { step: key(step)?, reason: reason.to_owned() };
        self.request(typed, &format!("`{step}` is skipped"), request).await
    }

    pub(super) async fn undo(&self, typed: &Typed) -> HandlerResult {
        if typed.rest.is_empty() {
            return Err(reply_text("Type `/runbook undo <step>`; `/runbook timeline` shows what was done."));
        }
        let step = key(&typed.rest)?;
        self.request(typed, &format!("`{step}` is being taken back"), Request::Undo { step }).await
    }

    async fn failed(&self, typed: &Typed) -> Result<StepKey, super::Card> {
        self.may_typed(typed, super::RequestedIdentity::Act).await?;
        let incident = self.meant(typed).await?;
        let failed = |one: &PendingQuestion<'_>| matches!(one.gate, Gate::Failure { .. } | Gate::Unclear { .. });
        let mut failed = question::all(&incident).into_iter().filter(failed);
        match (failed.next(), failed.next()) {
            (Some(one), None) => Ok(one.step.clone()),
            (None, _) => {
                let id = &incident.id;
                Err(reply_text(&format!(
                    "No step of {id} has failed and waits. See how it stands: `/runbook status {id}`."
                )))
            }
            (Some(one), Some(two)) => Err(reply_text(&format!(
                "More than one step has failed. Type `/runbook retry {} {}`, or another step such as `{}`.",
                incident.id, one.step, two.step
            ))),
        }
    }
}

fn key(word: &str) -> Result<StepKey, super::Card> {
    word.parse().map_err(|why: String| reply_text(&super::super::render::question::capital(&why)))
}
