//! Answers the questions of the demo automatically, each after a pause for reading.
//!
//! It submits requests as any other interface does. It does not depend on the runbook: it takes the suggested choice.

use std::time::Duration;

use serde_json::Value;

use crate::clock::sleep;
use crate::domain::core::id::{IncidentId, StepKey};
use crate::domain::incident::Incident;
use crate::domain::incident::command::{Command, Request};
use crate::domain::incident::event::{Actor, Gate};
use crate::engine::{Engine, EngineError};

/// How long a question is shown before it is answered.
const READING_TIME: Duration = Duration::from_millis(4_000);

/// How much longer a change is shown, because it has more text.
const EXTRA_TIME_FOR_CHANGE: Duration = Duration::from_millis(2_000);

/// The name of the actor in the log.
const NAME: &str = "demo";

/// The attempt after which a failed step is skipped, so that the demo always ends.
const MAX_ATTEMPTS: u32 = 2;

/// The actor of the automatic answers.
pub fn actor() -> Actor {
    Actor::person(NAME, "script")
}

/// Acknowledges the incident and answers every question until every run has ended.
///
/// # Errors
/// When the log cannot be read or written.
pub async fn play(engine: &Engine, id: &IncidentId) -> Result<(), EngineError> {
    submit(engine, id, Request::Acknowledge).await?;
    loop {
        let incident = engine.incident(id).await?;
        if incident.live_runs().next().is_none() {
            return Ok(());
        }
        let Some((step, request, pause)) = next(&incident) else {
            // There is no open question; a later event may bring one.
            engine.subscribe(id, incident.seq).next().await?;
            continue;
        };
        sleep(&*engine.parts().clock, pause).await;
        // The question may have been answered or withdrawn in the meantime.
        if let Err(EngineError::Refused(refused)) = submit(engine, id, request).await {
            tracing::debug!(%step, %refused, "the automatic answer was refused");
        }
    }
}

async fn submit(engine: &Engine, id: &IncidentId, request: Request) -> Result<(), EngineError> {
    engine.submit(id, Command { by: actor(), request }).await.map(|_| ())
}

/// The step of the first open question, the request that answers it, and the pause before it.
fn next(incident: &Incident) -> Option<(StepKey, Request, Duration)> {
    let (run, step, gate) = incident.waiting_for_person().into_iter().next()?;
    let target = incident.target(run, step);
    let (request, pause) = match gate {
        Gate::Approve { digest, .. } => {
            (Request::Approve { target, digest: digest.clone() }, READING_TIME + EXTRA_TIME_FOR_CHANGE)
        }
        Gate::Failure { .. } if target.attempt < MAX_ATTEMPTS => (Request::Retry { target }, READING_TIME),
        Gate::Failure { .. } => {
            (Request::Skip { target, reason: "the demo goes on without it".to_owned() }, READING_TIME)
        }
        Gate::Ask { .. } | Gate::Manual { .. } | Gate::Unclear { .. } | Gate::Timer { .. } => {
            (Request::Answer { target, value: answer(gate) }, READING_TIME)
        }
    };
    Some((step.clone(), request, pause))
}

/// The suggestion, otherwise the first choice.
fn answer(gate: &Gate) -> Value {
    match gate {
        Gate::Ask { choices, suggest, many, .. } => {
            let choice = suggest.clone().or_else(|| choices.first().cloned()).unwrap_or_default();
            if *many { Value::from(vec![choice]) } else { Value::from(choice) }
        }
        Gate::Unclear { .. } => Value::Bool(true),
        Gate::Manual { .. } | Gate::Approve { .. } | Gate::Timer { .. } | Gate::Failure { .. } => Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_is_the_suggestion_as_a_list_if_several_may_be_taken() {
        let ask = |suggest: Option<&str>, many| Gate::Ask {
            prompt: String::new(),
            choices: vec!["a".to_owned(), "b".to_owned()],
            suggest: suggest.map(str::to_owned),
            many,
        };
        assert_eq!(answer(&ask(Some("b"), false)), "b");
        assert_eq!(answer(&ask(None, false)), "a");
        assert_eq!(answer(&ask(Some("b"), true)), serde_json::json!(["b"]));
    }
}
