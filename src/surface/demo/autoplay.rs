//! Answers every question of a demo that plays by itself, after a pause for reading.
//!
//! It submits requests like any other interface and knows nothing of the runbook: it takes the suggested choice.

use std::time::Duration;

use serde_json::Value;

use crate::clock::sleep;
use crate::domain::core::id::{IncidentId, StepKey};
use crate::domain::incident::Incident;
use crate::domain::incident::command::{Command, Request};
use crate::domain::incident::event::{Actor, Gate};
use crate::engine::{Engine, EngineError};

/// How long a question is shown before it is answered.
const READING: Duration = Duration::from_millis(4_000);

/// How much longer a change is shown, since it has more to read.
const WEIGHING: Duration = Duration::from_millis(2_000);

/// The name of the actor.
const NAME: &str = "demo";

/// The number of attempts after which a failed step is skipped, so that the demo always ends.
const PATIENCE: u32 = 2;

/// The actor of the script.
pub fn actor() -> Actor {
    Actor::person(NAME, "script")
}

/// Answers every question until every run is over.
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
        let Some((step, request, time)) = next(&incident) else {
            // No question is open; the next event may bring one.
            engine.subscribe(id, incident.seq).next().await?;
            continue;
        };
        sleep(&*engine.parts().clock, time).await;
        // The question may have been answered or withdrawn in the meantime.
        if let Err(EngineError::Refused(refused)) = submit(engine, id, request).await {
            tracing::debug!(%step, %refused, "the script came too late");
        }
    }
}

async fn submit(engine: &Engine, id: &IncidentId, request: Request) -> Result<(), EngineError> {
    engine.submit(id, Command { by: actor(), request }).await.map(|_| ())
}

/// The first open question, the request that answers it, and the time to wait before that.
fn next(incident: &Incident) -> Option<(StepKey, Request, Duration)> {
    let (run, step, gate) = incident.waiting_for_person().into_iter().next()?;
    let target = incident.target(run, step);
    let (request, time) = match gate {
        Gate::Approve { digest, .. } => (Request::Approve { target, digest: digest.clone() }, READING + WEIGHING),
        Gate::Failure { .. } if target.attempt < PATIENCE => (Request::Retry { target }, READING),
        Gate::Failure { .. } => (Request::Skip { target, reason: "the demo goes on without it".to_owned() }, READING),
        Gate::Ask { .. } | Gate::Manual { .. } | Gate::Unclear { .. } | Gate::Timer { .. } => {
            (Request::Answer { target, value: answer(gate) }, READING)
        }
    };
    Some((step.clone(), request, time))
}

/// The suggestion, otherwise the first choice.
fn answer(gate: &Gate) -> Value {
    match gate {
        Gate::Ask { choices, suggest, many, .. } => {
            let said = suggest.clone().or_else(|| choices.first().cloned()).unwrap_or_default();
            if *many { Value::from(vec![said]) } else { Value::from(said) }
        }
        Gate::Unclear { .. } => Value::Bool(true),
        Gate::Manual { .. } | Gate::Approve { .. } | Gate::Timer { .. } | Gate::Failure { .. } => Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_suggestion_is_taken_and_a_list_is_given_where_many_are_asked() {
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
