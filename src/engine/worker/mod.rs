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

use self::messages::Way;
use super::commit::{Committed, Decision, Proposal};
use super::lease::Held;
use super::subscription::Hint;
use super::{Engine, EngineError, Patience, Stop};
use crate::domain::config::host::Host;
use crate::domain::core::effect::EffectClass;
use crate::domain::core::id::{IncidentId, RunId, StepKey};
use crate::domain::core::time::{Span, Timestamp};
use crate::domain::incident::Incident;
use crate::domain::incident::due::{Confirmation, Effect, Parcel, due};
use crate::domain::incident::event::{Actor, Event, Finding, Gate};
use crate::domain::incident::outcome::Outcome;
use crate::domain::incident::plan::{Attempt, Change, RenderedAction};
use crate::domain::incident::step::Standing;
use crate::store::StoreError;

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

type Place = (RunId, StepKey);

/// What came of a task.
enum Landed {
    Observed { place: Place, digest: String, before: Value },
    Ended { place: Place, attempt: u32, outcome: Arc<Outcome> },
    Settled { place: Place, attempt: u32, finding: Finding },
    Told { event: Event },
}

impl Landed {
    fn place(&self) -> Option<&Place> {
        match self {
            Self::Observed { place, .. } | Self::Ended { place, .. } | Self::Settled { place, .. } => Some(place),
            Self::Told { .. } => None,
        }
    }
}

/// A task that is under way.
struct Flight {
    cancel: CancellationToken,
    effect: EffectClass,
    acting: bool,
}

/// An attempt whose intent is about to become durable.
struct Launch {
    place: Place,
    attempt: Box<Attempt>,
    deadline: Timestamp,
}

pub(super) struct Worker {
    engine: Engine,
    id: IncidentId,
    incident: Incident,
    /// What has been decided since the last commit; `incident` is ahead of the store by it.
    proposal: Proposal,
    held: Held,
    launches: Vec<Launch>,
    /// Messages that are about to be sent, and those that are under way.
    parcels: Vec<Parcel>,
    sending: BTreeSet<Way>,
    observed: HashMap<Place, (String, Value)>,
    /// Attempts that broke off with a connection.
    lost: recovery::Losses,
    flights: HashMap<Place, Flight>,
    tasks: JoinSet<Landed>,
    landed: Vec<Landed>,
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
        patience: Patience,
        detach: &CancellationToken,
    ) -> Result<Stop, EngineError> {
        let parts = self.parts();
        let taken = Held::take(&*parts.store, incident, &parts.holder, &parts.hostname, parts.clock.now()).await?;
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
        let proposal = Proposal::on(incident, Some(&folded));
        let worker = Worker { hints, ..Worker::new(self, held, folded, proposal) };
        worker.drive(patience, detach).await
    }
}

impl Worker {
    fn new(engine: &Engine, held: Held, incident: Incident, proposal: Proposal) -> Self {
        Self {
            hints: engine.hub.listen(),
            engine: engine.clone(),
            id: incident.id.clone(),
            incident,
            proposal,
            held,
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
    pub(super) async fn drive(mut self, patience: Patience, detach: &CancellationToken) -> Result<Stop, EngineError> {
        let stop = self.work(patience, detach).await;
        if self.incident.seq == self.proposal.expected() {
            self.engine.known.keep(&self.incident);
        }
        self.tasks.shutdown().await;
        self.held.release(&*self.engine.parts().store).await?;
        stop
    }

    async fn work(&mut self, patience: Patience, detach: &CancellationToken) -> Result<Stop, EngineError> {
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
    async fn turn(&mut self) -> Result<Option<crate::store::Claim>, EngineError> {
        self.engine.refresh();
        loop {
            let parts = self.engine.parts();
            if let Err(claim) = self.held.renew(&*parts.store, parts.clock.now()).await? {
                return Ok(Some(claim));
            }
            self.gather().await?;
            if self.proposal.is_empty() {
                self.post();
                return Ok(None);
            }
            // Whoever was stopped in between, for longer than the claim is good, does not act on what others have settled.
            if !self.commit().await? || !self.held.is_good(self.engine.parts().clock.now()) {
                self.launches.clear();
                self.parcels.clear();
            }
            self.launch();
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
                self.take_up(effect, now).await?;
            }
            if self.incident.seq == before {
                return Ok(());
            }
        }
        Err(StoreError::TooLarge(format!("one turn led to more than {ROUND_LIMIT} rounds of facts")).into())
    }

    async fn take_up(&mut self, effect: Effect, now: Timestamp) -> Result<(), EngineError> {
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
                self.hand_in(*parcel);
                Ok(())
            }
            Effect::WritePostmortem => self.write_postmortem(now).await,
        }
    }

    /// Adds a fact to what will be appended, and to the state that is decided on next.
    fn draft(&mut self, event: Event, now: Timestamp) -> Result<(), EngineError> {
        let decision = Decision { by: Actor::Engine, at: now, events: [event] };
        self.proposal.add(&self.engine.parts().redactor, decision, &mut self.incident)?;
        Ok(())
    }

    fn confirm(&mut self, asked: Confirmation, now: Timestamp) -> Result<(), EngineError> {
        let describe = |action: &RenderedAction| {
            crate::actions::kind(&action.kind).map(|kind| kind.describe(&action.spec)).unwrap_or_default()
        };
        let mut change = Change { why: asked.why, ..describe(&asked.action) };
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
        if !self.proposal.is_empty() || tried == Some(self.incident.seq) {
            return Ok(());
        }
        match self.engine.write_draft(&self.id, &self.incident).await {
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

    fn land(&mut self, landed: Landed) -> Result<(), EngineError> {
        let now = self.engine.parts().clock.now();
        if let Some(place) = landed.place() {
            self.flights.remove(place);
        }
        match landed {
            Landed::Told { event } => self.told(event, now),
            Landed::Observed { place, digest, before } => {
                self.observed.insert(place, (digest, before));
                Ok(())
            }
            Landed::Ended { place, attempt, .. } | Landed::Settled { place, attempt, .. }
                if !self.awaits(&place, attempt) =>
            {
                // Another worker has settled it meanwhile.
                Ok(())
            }
            // It is settled like one that was cut off with its worker.
            Landed::Ended { place, outcome, .. } if self.lost.take(&place, &outcome) => Ok(()),
            Landed::Ended { place: (run, step), attempt, outcome } => {
                self.draft(Event::StepEnded { run, step, attempt, outcome }, now)
            }
            Landed::Settled { place, attempt, finding } => {
                let (finding, (run, step)) = (self.lost.told(&place, finding), place);
                self.draft(Event::Reconciled { run, step, attempt, finding }, now)
            }
        }
    }

    fn awaits(&self, place: &Place, attempt: u32) -> bool {
        let state = self.incident.run(place.0).and_then(|run| run.state(&place.1));
        state.is_some_and(|state| state.standing == Standing::Running && state.attempts == attempt)
    }

    /// Commits what was proposed; when another writer was first, forgets it and decides again on what is true.
    async fn commit(&mut self) -> Result<bool, EngineError> {
        let results = self.results();
        let prepared = self.take_proposal().prepare(Some(&self.incident));
        let engine = self.engine.clone();
        let mut committing = std::pin::pin!(engine.commit(prepared));
        let early = futures_util::poll!(committing.as_mut());
        let readings = self.launch_readings();
        let committed = match early {
            std::task::Poll::Ready(committed) => committed,
            std::task::Poll::Pending => committing.await,
        };
        match committed {
            Ok(committed) => {
                self.stand(&committed);
                Ok(true)
            }
            Err(StoreError::Conflict { .. } | StoreError::Taken { .. }) => {
                self.landed.extend(results);
                self.begin_again(&readings).await?;
                Ok(false)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Another writer was first: what was about to begin does not, and the incident is read again.
    async fn begin_again(&mut self, readings: &[Place]) -> Result<(), EngineError> {
        tracing::debug!(incident = %self.id, after = self.proposal.expected(), "somebody else was first");
        self.launches.clear();
        self.call_off(readings);
        self.parcels.clear();
        self.incident = self.engine.incident(&self.id).await?;
        self.proposal = Proposal::on(&self.id, Some(&self.incident));
        Ok(())
    }

    /// What has been proposed; nothing is left of it.
    fn take_proposal(&mut self) -> Proposal {
        let next = Proposal::after(&self.id, self.proposal.expected());
        std::mem::replace(&mut self.proposal, next)
    }

    /// What was written is durable.
    fn stand(&mut self, committed: &Committed) {
        let (before, events) = (self.proposal.expected(), committed.events().len());
        tracing::debug!(incident = %self.id, after = before, events, "appended");
        self.proposal = Proposal::after(&self.id, committed.last_seq().unwrap_or(before));
    }

    /// What the world has answered, of what is proposed: it stays true, whoever else writes first.
    fn results(&self) -> Vec<Landed> {
        let result = |event: &Event| match event {
            Event::Notified { .. } | Event::NotifyFailed { .. } => Some(Landed::Told { event: event.clone() }),
            // That of a message follows from the state.
            Event::StepEnded { run, step, attempt, outcome } if !self.is_message(*run, step) => {
                let (place, outcome) = ((*run, step.clone()), Arc::clone(outcome));
                Some(Landed::Ended { place, attempt: *attempt, outcome })
            }
            Event::Reconciled { run, step, attempt, finding } => {
                let (place, finding) = ((*run, step.clone()), finding.clone());
                Some(Landed::Settled { place, attempt: *attempt, finding })
            }
            _ => None,
        };
        self.proposal.events().filter_map(result).collect()
    }
}
