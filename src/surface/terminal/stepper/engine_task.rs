//! The engine at work beside the face: started, started again when another process has let go, and ended.
//!
//! Deliberately absent: everything that is seen. The loop of a face asks what became of the work, and nothing else.

use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::clock;
use crate::domain::core::id::IncidentId;
use crate::engine::{Engine, EngineError, ReturnWhen, Stop};

/// How long to wait before trying to get the lease of another process again.
const AGAIN: Duration = Duration::from_secs(2);

/// The work on one incident.
#[derive(Debug)]
pub struct Driver {
    engine: Engine,
    incident: IncidentId,
    patience: ReturnWhen,
    detach: CancellationToken,
    work: Option<JoinHandle<Result<Stop, EngineError>>>,
}

impl Driver {
    /// A driver without work, for an incident that is only watched.
    pub fn idle(engine: &Engine, incident: &IncidentId) -> Self {
        let (engine, incident) = (engine.clone(), incident.clone());
        Self { engine, incident, patience: ReturnWhen::UntilOver, detach: CancellationToken::new(), work: None }
    }

    /// A driver that starts to work.
    pub fn working(engine: &Engine, incident: &IncidentId, patience: ReturnWhen) -> Self {
        let mut driver = Self::idle(engine, incident);
        driver.patience = patience;
        driver.work = Some(driver.start(Duration::ZERO));
        driver
    }

    fn start(&self, after: Duration) -> JoinHandle<Result<Stop, EngineError>> {
        let (engine, incident, patience) = (self.engine.clone(), self.incident.clone(), self.patience);
        let detach = self.detach.clone();
        tokio::spawn(async move {
            if !after.is_zero() {
                let clock = engine.parts().clock.clone();
                tokio::select! {
                    () = clock::sleep(&*clock, after) => {}
                    () = detach.cancelled() => return Ok(Stop::Detached),
                }
            }
            engine.drive(&incident, patience, &detach).await
        })
    }

    /// Waits for the end of the work; never returns if there is none. Cancel-safe.
    pub async fn stopped(&mut self) -> Result<Stop, EngineError> {
        let Some(work) = &mut self.work else {
            return std::future::pending().await;
        };
        let stop = work.await;
        self.work = None;
        stop.unwrap_or_else(|lost| {
            Err(EngineError::Io { what: "the work was lost".to_owned(), source: std::io::Error::other(lost) })
        })
    }

    /// Starts the work again after a pause.
    pub fn again(&mut self) {
        self.work = Some(self.start(AGAIN));
    }

    /// Asks the work to end; true when there is any.
    pub fn detach(&self) -> bool {
        self.detach.cancel();
        self.work.is_some()
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.detach.cancel();
        if let Some(work) = &self.work {
            work.abort();
        }
    }
}
