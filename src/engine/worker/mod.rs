//! The worker: takes up what is due, records intents before it acts and results after, until nothing is owed.
//!
//! One turn gathers every fact that follows from the state and every intent, appends them together, and
//! lets the attempts begin: in a plain sequence of steps that is one append a step. A reading begins while its
//! intent is on the way to the disk, since it makes no difference to the world whether it has been made.
//!
//! **Invariant:** a change begins only after its `StepStarted` is durable. What was begun under an earlier
//! claim and has not ended is settled by looking at the world, never simply done again.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use serde_json::Value;
use tokio::sync::broadcast;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use self::messages::RouteKey;
use super::lease::HeldLease;
use super::subscription::Hint;
use super::{Engine, EngineError, ReturnWhen, Stop};
use crate::domain::config::host::Host;
use crate::domain::core::effect::EffectClass;
use crate::domain::core::id::{IncidentId, RunId, StepKey};
use crate::domain::core::time::{Span, Timestamp};
use crate::domain::incident::Incident;
use crate::domain::incident::due::{Confirmation, Effect, PendingDelivery, due, is_live};
use crate::domain::incident::event::{Actor, Event, Gate, Reconciliation, Recorded};
use crate::domain::incident::outcome::Outcome;
use crate::domain::incident::plan::{Attempt, PlannedChange, RenderedAction};
use crate::domain::incident::step::StepStatus;
use crate::store::{InitialLease, NewEvent, StoreError, Write};

mod attempt;
mod budget;
pub(crate) mod execute;
mod first_write;
mod messages;
mod recovery;
mod wait;

/// How long a reconciling look may take.
const LOOK_LIMIT: Span = Span::seconds(60);
/// How many rounds of facts one turn may follow from one another: more is a fault of ours, not of a runbook.
const ROUND_LIMIT: usize = 100_000;

type RunStep = (RunId, StepKey);

/// What came of a task.
enum TaskResult {
    Observed { place: RunStep, digest: String, before: Value },
    Ended { place: RunStep, attempt: u32, outcome: Arc<Outcome> },
    Settled { place: RunStep, attempt: u32, finding: Reconciliation },
    Told { event: Event },
}

impl TaskResult {
    fn place(&self) -> Option<&RunStep> {
        match self {
            Self::Observed { place, .. } | Self::Ended { place, .. } | Self::Settled { place, .. } => Some(place),
            Self::Told { .. } => None,
        }
    }
}

/// A task that is under way.
struct RunningTask {
    cancel: CancellationToken,
    effect: EffectClass,
    acting: bool,
}

/// An attempt whose intent is about to become durable.
struct PendingStart {
    place: RunStep,
    attempt: Box<Attempt>,
    deadline: Timestamp,
}

pub(super) struct Worker {
    engine: Engine,
    id: IncidentId,
    incident: Incident,
    /// The last event that is in the store; `incident` may be ahead by `drafts`.
    stored: u64,
    held: HeldLease,
    /// The claim that the first write of a new incident takes.
    hold: Option<InitialLease>,
    drafts: Vec<NewEvent>,
    /// Names that are given with the drafts.
    keys: Vec<String>,
    launches: Vec<PendingStart>,
    /// Messages that are about to be sent, and those that are under way.
    parcels: Vec<PendingDelivery>,
    sending: BTreeSet<RouteKey>,
    observed: HashMap<RunStep, (String, Value)>,
    /// Attempts that broke off with a connection.
    lost: recovery::Losses,
    flights: HashMap<RunStep, RunningTask>,
    tasks: JoinSet<TaskResult>,
    landed: Vec<TaskResult>,
    hints: broadcast::Receiver<(IncidentId, Hint)>,
    /// Why the draft is not on disk, and the event at which it was tried: the rest of the work goes on, and the
    /// face hears of it at the end.
    undrafted: Option<(u64, EngineError)>,
}

impl Engine {
    /// Works on an incident: claims it, does what is due, sleeps until something is, and comes back as `patience` says.
    pub async fn drive(
        &self,
        incident: &IncidentId,
        patience: ReturnWhen,
        detach: &CancellationToken,
    ) -> Result<Stop, EngineError> {
        let parts = self.parts();
        let taken = HeldLease::take(&*parts.store, incident, &parts.holder, &parts.hostname, parts.clock.now()).await?;
        let held = match taken {
            Ok(held) => held,
            Err(claim) => return Ok(Stop::Taken(claim)),
        };
        let hints = self.hub.listen();
        let folded = match self.incident(incident).await {
            Ok(folded) => folded,
            Err(error) => {
                held.release(&*parts.store).await?;
                return Err(error);
            }
        };
        let worker = Worker { hints, stored: folded.seq, ..Worker::new(self, held, folded) };
        worker.drive(patience, detach).await
    }
}

impl Worker {
    fn new(engine: &Engine, held: HeldLease, incident: Incident) -> Self {
        Self {
            hints: engine.hub.listen(),
            engine: engine.clone(),
            id: incident.id.clone(),
            stored: 0,
            incident,
            held,
            hold: None,
            drafts: Vec::new(),
            keys: Vec::new(),
            launches: Vec::new(),
            parcels: Vec::new(),
            sending: BTreeSet::new(),
            observed: HashMap::new(),
            lost: recovery::Losses::default(),
            flights: HashMap::new(),
            tasks: JoinSet::new(),
            landed: Vec::new(),
            undrafted: None,
        }
    }

    /// Works, and gives the claim back.
    pub(super) async fn drive(mut self, patience: ReturnWhen, detach: &CancellationToken) -> Result<Stop, EngineError> {
        let stop = self.work(patience, detach).await;
        if self.incident.seq == self.stored {
            self.engine.known.keep(&self.incident);
        }
        self.tasks.shutdown().await;
        self.held.release(&*self.engine.parts().store).await?;
        stop
    }

    async fn work(&mut self, patience: ReturnWhen, detach: &CancellationToken) -> Result<Stop, EngineError> {
        loop {
            if let Some(claim) = self.turn().await? {
                return Ok(Stop::Taken(claim));
            }
            if let Some(stop) = self.rest(patience) {
                return self.undrafted.take().map_or(Ok(stop), |(_, error)| Err(error));
            }
            if detach.is_cancelled() {
                return self.leave().await;
            }
            self.wait(detach).await?;
        }
    }

    /// One turn: everything that follows from the state is recorded, then what is owed begins. The other's
    /// claim when ours was lost.
    async fn turn(&mut self) -> Result<Option<crate::store::Lease>, EngineError> {
        self.engine.refresh();
        loop {
            let parts = self.engine.parts();
            if let Err(claim) = self.held.renew(&*parts.store, parts.clock.now()).await? {
                return Ok(Some(claim));
            }
            self.gather().await?;
            if self.drafts.is_empty() {
                self.post();
                return Ok(None);
            }
            // Whoever was stopped in between, for longer than the claim is good, does not act on what others have settled.
            if !self.commit().await? || !self.held.is_good(self.engine.parts().clock.now()) {
                self.launches.clear();
                self.parcels.clear();
            }
            self.start_pending();
        }
    }

    /// Applies what has landed and what follows, until nothing more does.
    async fn gather(&mut self) -> Result<(), EngineError> {
        for landed in std::mem::take(&mut self.landed) {
            self.land(landed)?;
        }
        for _ in 0..ROUND_LIMIT {
            let before = self.incident.seq;
            let now = self.engine.parts().clock.now();
            for effect in due(&self.incident, now) {
                self.perform_effect(effect, now).await?;
            }
            if self.incident.seq == before {
                return Ok(());
            }
        }
        Err(StoreError::TooLarge(format!("one turn led to more than {ROUND_LIMIT} rounds of facts")).into())
    }

    async fn perform_effect(&mut self, effect: Effect, now: Timestamp) -> Result<(), EngineError> {
        match effect {
            Effect::Record(event) => self.draft(event, now),
            Effect::Ask(confirmation) => self.confirm(*confirmation, now),
            Effect::Perform { run, attempt } => self.begin(run, attempt, now).await,
            Effect::Settle { run, step, halt } => self.settle((run, step), halt, now),
            Effect::StartRun { run, step, runbook, params } => {
                let events = self.engine.further_run(&self.incident, run, &step, &runbook, params, now);
                match events {
                    Ok(events) => events.into_iter().try_for_each(|event| self.draft(event, now)),
                    Err(reason) => self.draft(recovery::failure_of_start(&self.incident, run, step, reason), now),
                }
            }
            Effect::Deliver(parcel) => {
                self.enqueue(*parcel);
                Ok(())
            }
            Effect::WritePostmortem => self.write_postmortem(now).await,
        }
    }

    /// Adds a fact to what will be appended, and to the state that is decided on next.
    fn draft(&mut self, event: Event, now: Timestamp) -> Result<(), EngineError> {
        let draft = self.engine.drafted(now, Actor::Engine, event);
        self.incident.apply(&super::recorded(self.incident.seq + 1, &draft))?;
        self.drafts.push(draft);
        Ok(())
    }

    fn confirm(&mut self, asked: Confirmation, now: Timestamp) -> Result<(), EngineError> {
        let describe = |action: &RenderedAction| {
            crate::actions::kind(&action.kind).map(|kind| kind.describe(&action.spec)).unwrap_or_default()
        };
        let mut change = PlannedChange { why: asked.why, ..describe(&asked.action) };
        if let Some(undo) = &asked.undo {
            change.undo = Some(describe(undo).what);
        }
        let environment = self.incident.run(asked.run).and_then(|run| run.environment(&self.incident.environment));
        let host = environment.filter(|_| !asked.action.is_message());
        let host = host.and_then(|environment| environment.host_called(asked.action.host.as_deref()).ok());
        let change = change.within(&self.incident.environment, host.unwrap_or(&Host::Local));
        let gate = Gate::Approve {
            by: asked.by,
            change,
            digest: asked.digest,
            count: asked.count,
            not_requester: asked.not_requester,
            expires_at: asked.expires.map(|length| length.after(now)),
            given: Vec::new(),
        };
        self.draft(Event::Asked { run: asked.run, step: asked.step, gate }, now)
    }

    async fn write_postmortem(&mut self, now: Timestamp) -> Result<(), EngineError> {
        // The draft is written from what is durable: what is only drafted here comes first.
        let tried = self.undrafted.as_ref().map(|(seq, _)| *seq);
        if !self.drafts.is_empty() || tried == Some(self.incident.seq) {
            return Ok(());
        }
        match self.engine.write_postmortem_draft(&self.id, &self.incident).await {
            Ok(written) => {
                self.undrafted = None;
                self.draft(written, now)
            }
            Err(error) => {
                tracing::warn!(incident = %self.id, %error, "the post-mortem or report is not on disk");
                self.undrafted = Some((self.incident.seq, error));
                Ok(())
            }
        }
    }

    fn land(&mut self, landed: TaskResult) -> Result<(), EngineError> {
        let now = self.engine.parts().clock.now();
        if let Some(place) = landed.place() {
            self.flights.remove(place);
        }
        match landed {
            TaskResult::Told { event } => self.delivery_ended(event, now),
            TaskResult::Observed { place, digest, before } => {
                self.observed.insert(place, (digest, before));
                Ok(())
            }
            TaskResult::Ended { place, attempt, .. } | TaskResult::Settled { place, attempt, .. }
                if !self.awaits(&place, attempt) =>
            {
                // Another worker has settled it meanwhile.
                Ok(())
            }
            // It is settled like one that was cut off with its worker.
            TaskResult::Ended { place, outcome, .. } if self.lost.take(&place, &outcome) => Ok(()),
            TaskResult::Ended { place: (run, step), attempt, outcome } => {
                self.draft(Event::StepEnded { run, step, attempt, outcome }, now)
            }
            TaskResult::Settled { place, attempt, finding } => {
                let (finding, (run, step)) = (self.lost.with_cause(&place, finding), place);
                self.draft(Event::Reconciled { run, step, attempt, finding }, now)
            }
        }
    }

    fn awaits(&self, place: &RunStep, attempt: u32) -> bool {
        let state = self.incident.run(place.0).and_then(|run| run.state(&place.1));
        state.is_some_and(|state| state.standing == StepStatus::Running && state.attempts == attempt)
    }

    /// Appends what was drafted; when somebody else was first, forgets it and decides again on what is true.
    async fn commit(&mut self) -> Result<bool, EngineError> {
        let write = self.write();
        let drafts = write.drafts.clone();
        let store = Arc::clone(&self.engine.parts().store);
        let mut writing = store.write(write);
        let early = futures_util::poll!(writing.as_mut());
        let readings = self.start_read_only();
        let written = match early {
            std::task::Poll::Ready(written) => written,
            std::task::Poll::Pending => writing.await,
        };
        match written {
            Ok(recorded) => {
                self.stand(recorded);
                Ok(true)
            }
            Err(StoreError::Conflict { .. } | StoreError::Taken { .. }) => {
                tracing::debug!(incident = %self.id, after = self.stored, "somebody else was first");
                self.keep_only_results(drafts);
                self.launches.clear();
                self.call_off(&readings);
                self.parcels.clear();
                self.incident = self.engine.incident(&self.id).await?;
                self.stored = self.incident.seq;
                Ok(false)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// What has been drafted, as it is written.
    fn write(&mut self) -> Write {
        Write {
            keys: std::mem::take(&mut self.keys),
            claim: self.hold.take(),
            live: is_live(&self.incident),
            ..Write::of(&self.id, self.stored, std::mem::take(&mut self.drafts))
        }
    }

    /// What was written is durable.
    fn stand(&mut self, recorded: Vec<Recorded>) {
        tracing::debug!(incident = %self.id, after = self.stored, events = recorded.len(), "appended");
        self.stored = recorded.last().map_or(self.stored, |last| last.seq);
        self.engine.hub.publish(&self.id, Hint::Appended(recorded.into()));
    }

    /// What the world has answered stays true, whoever else has written meanwhile.
    fn keep_only_results(&mut self, drafts: Vec<NewEvent>) {
        for draft in drafts {
            match draft.into_event() {
                event @ (Event::Notified { .. } | Event::NotifyFailed { .. }) => {
                    self.landed.push(TaskResult::Told { event })
                }
                // That of a message follows from the state.
                Event::StepEnded { run, step, attempt, outcome } if !self.is_message(run, &step) => {
                    self.landed.push(TaskResult::Ended { place: (run, step), attempt, outcome });
                }
                Event::Reconciled { run, step, attempt, finding } => {
                    self.landed.push(TaskResult::Settled { place: (run, step), attempt, finding });
                }
                _ => {}
            }
        }
    }
}
