//! Delivers messages.

use async_trait::async_trait;

use super::Parts;
use crate::actions::{Courier, Delivery};
use crate::domain::event::Event;
use crate::domain::id::{RunId, StepKey};
use crate::domain::incident::Incident;
use crate::domain::run::Run;

/// Delivers the messages of one attempt.
#[derive(Debug)]
pub struct EngineCourier {}

impl EngineCourier {
    /// A courier that knows what the incident has delivered.
    pub fn new(_parts: &Parts, _incident: &Incident, _run: &Run) -> Self {
        Self {}
    }

    /// What was delivered or not, as events that have not been taken yet.
    pub fn told(&self) -> Vec<Event> {
        Vec::new()
    }
}

#[async_trait]
impl Courier for EngineCourier {
    async fn deliver(&self, _place: &(RunId, StepKey), _channel: &str, _message: &str) -> Delivery {
        Delivery::Failed { error: "not built yet".to_owned(), retry_after: None }
    }
}
