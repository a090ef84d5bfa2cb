//! The task that drives the incident beside the interface. It is started again after a pause if another process holds the
//! lease.
//!
//! Not here: output. The loop of the interface waits for the result.

use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::clock;
use crate::domain::core::id::IncidentId;
use crate::engine::{Engine, EngineError, ReturnWhen, Stop};

/// The pause before the task is started again.
const RETRY_DELAY: Duration = Duration::from_secs(2);

/// Drives one incident in a task.
#[derive(Debug)]
pub struct Driver {
    engine: Engine,
    incident: IncidentId,
    return_when: ReturnWhen,
    detach: CancellationToken,
    task: Option<JoinHandle<Result<Stop, EngineError>>>,
}

impl Driver {
    /// A driver without a task, for an incident that is only shown.
    pub fn idle(engine: &Engine, incident: &IncidentId) -> Self {
        let (engine, incident) = (engine.clone(), incident.clone());
        Self { engine, incident, return_when: ReturnWhen::UntilOver, detach: CancellationToken::new(), task: None }
    }

    /// A driver whose task runs.
    pub fn working(engine: &Engine, incident: &IncidentId, return_when: ReturnWhen) -> Self {
        let mut driver = Self::idle(engine, incident);
        driver.return_when = return_when;
        driver.task = Some(driver.start(Duration::ZERO));
        driver
    }

    fn start(&self, after: Duration) -> JoinHandle<Result<Stop, EngineError>> {
        let (engine, incident, return_when) = (self.engine.clone(), self.incident.clone(), self.return_when);
        let detach = self.detach.clone();
        tokio::spawn(async move {
            if !after.is_zero() {
                let clock = engine.parts().clock.clone();
                tokio::select! {
                    () = clock::sleep(&*clock, after) => {}
                    () = detach.cancelled() => return Ok(Stop::Detached),
                }
            }
            engine.drive(&incident, return_when, &detach).await
        })
    }

    /// Waits for the end of the task; never returns if there is none. Cancel-safe.
    pub async fn stopped(&mut self) -> Result<Stop, EngineError> {
        let Some(task) = &mut self.task else {
            return std::future::pending().await;
        };
        let stop = task.await;
        self.task = None;
        stop.unwrap_or_else(|error| {
            Err(EngineError::Io {
                what: "the task that drives the incident failed".to_owned(),
                source: std::io::Error::other(error),
            })
        })
    }

    /// Starts the task again after a pause.
    pub fn restart(&mut self) {
        self.task = Some(self.start(RETRY_DELAY));
    }

    /// Asks the task to end; true if there is one.
    pub fn detach(&self) -> bool {
        self.detach.cancel();
        self.task.is_some()
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.detach.cancel();
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}
