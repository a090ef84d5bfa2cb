//! Plain lines on standard error as events happen: for a pipe, a dumb terminal, or no terminal.
//!
//! Not here: questions. The session ends when a person is needed, and the command line prints what to type.

use std::io::{self, Write as _};
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::engine_task::Driver;
use super::model::Model;
use super::{detached, holder};
use super::{step_name, summary};
use crate::clock;
use crate::domain::core::id::IncidentId;
use crate::domain::core::time::Timestamp;
use crate::engine::{Engine, EngineError, IncidentUpdate, Stop};
use crate::surface::terminal::widgets::palette::styled;
use crate::surface::terminal::widgets::styled_text::{StyledLine, Tone};
use crate::surface::terminal::widgets::wrap;
use crate::surface::terminal::widgets::wrap::ENDLESS;
use crate::surface::terminal::{Left, StepperOptions, WorkMode};

/// How often a watched incident is checked for its end.
const TICK: Duration = Duration::from_millis(500);

/// Prints what happens until the incident is over or a person is needed.
pub async fn plain(engine: &Engine, incident: &IncidentId, options: StepperOptions) -> Result<Left, EngineError> {
    let mut driver = match options.work {
        WorkMode::Drive => Driver::working(engine, incident, options.patience),
        WorkMode::Watch => Driver::idle(engine, incident),
    };
    let clock = engine.parts().clock.clone();
    let mut said = PrintedLines {
        options: &options,
        model: Model::new(options.letters.signs(), options.actor.name().to_owned(), options.after),
    };
    let mut feed = engine.subscribe(incident, 0);
    let mut interrupt = signal(SignalKind::interrupt()).map_err(lost)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(lost)?;
    // Set once the work has stopped: why, and the event to wait for before returning.
    let mut ending: Option<(Left, u64)> = None;
    let mut leaving = false;
    loop {
        tokio::select! {
            news = feed.next() => said.hear(&news?, clock.now())?,
            _ = asked_to_leave(&mut interrupt, &mut terminate) => {
                // The work then ends by itself; a second signal does not wait for that.
                if !driver.detach() || std::mem::replace(&mut leaving, true) {
                    ending = Some((Left::Detached, 0));
                }
            }
            stop = driver.stopped() => match stop? {
                Stop::Taken(claim) => {
                    said.taken(&claim.holder)?;
                    // The holder may hang or be cut off; the work continues here once its lease has lapsed.
                    driver.again();
                }
                Stop::Over => ending = Some((Left::Over, engine.incident(incident).await?.seq)),
                Stop::NeedsPerson | Stop::Quiet => ending = Some((Left::NeedsPerson, engine.incident(incident).await?.seq)),
                Stop::Detached => ending = Some((Left::Detached, 0)),
            },
            () = clock::sleep(&*clock, TICK) => {
                // The other process may have released the lease, which this process then holds.
                if said.model.holder.is_some() && engine.holds(incident).await? {
                    said.model.holder = None;
                }
                if let Some(left) = said.ended_elsewhere() {
                    ending = Some((left, said.model.seq()));
                }
            }
        }
        if let Some((left, _)) = ending.take_if(|(_, last)| said.model.seq() >= *last) {
            said.leave(&left, incident, clock.now())?;
            return Ok(left);
        }
    }
}

async fn asked_to_leave(interrupt: &mut Signal, terminate: &mut Signal) {
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}

fn lost(source: io::Error) -> EngineError {
    EngineError::Io { what: "standard error cannot be written".to_owned(), source }
}

struct PrintedLines<'a> {
    options: &'a StepperOptions,
    model: Model,
}

impl PrintedLines<'_> {
    fn hear(&mut self, news: &IncidentUpdate, now: Timestamp) -> Result<(), EngineError> {
        let before = self.model.gates();
        let lines = self.model.hear(news, now)?;
        self.print(&lines)?;
        // A session that drives the run prints at its end what it waits for.
        if self.options.work == WorkMode::Watch || self.model.holder.is_some() {
            let fresh: Vec<StyledLine> =
                self.waiting().into_iter().filter(|(place, _)| !before.contains(place)).map(|(_, line)| line).collect();
            self.print(&fresh)?;
        }
        Ok(())
    }

    fn waiting(&self) -> Vec<((crate::domain::core::id::RunId, crate::domain::core::id::StepKey), StyledLine)> {
        let Some(incident) = self.model.incident() else { return Vec::new() };
        let gates = incident.waiting_for_person().into_iter();
        gates
            .map(|(run, key, gate)| {
                let text = summary::asked(gate, &step_name::name(incident, run, key));
                let line =
                    StyledLine::new().with(Tone::Warn, self.model.signs.question).plain(&format!(" {key}: {text}"));
                ((run, key.clone()), line)
            })
            .collect()
    }

    fn taken(&mut self, by: &str) -> Result<(), EngineError> {
        let by = holder(by);
        if self.model.holder.as_ref() == Some(&by) {
            return Ok(());
        }
        let line =
            StyledLine::new().with(Tone::Accent, self.model.signs.person).plain(&format!(" {by} drives it; watching"));
        self.model.holder = Some(by);
        self.print(&[line])
    }

    /// Whether an incident that another process drives is over, or waits for the person there.
    fn ended_elsewhere(&self) -> Option<Left> {
        let elsewhere = self.options.work == WorkMode::Watch || self.model.holder.is_some();
        if elsewhere && self.model.is_over() {
            return Some(Left::Over);
        }
        let asked = self.options.work == WorkMode::Drive && self.model.holder.is_some() && self.waits_only();
        asked.then_some(Left::Taken)
    }

    fn waits_only(&self) -> bool {
        use crate::domain::incident::step::StepStatus;
        let Some(incident) = self.model.incident() else { return false };
        let busy = incident.live_runs().any(|run| {
            run.steps.values().any(|state| matches!(state.standing, StepStatus::Running | StepStatus::Ready { .. }))
        });
        !busy && !incident.waiting_for_person().is_empty()
    }

    fn leave(&self, left: &Left, incident: &IncidentId, now: Timestamp) -> Result<(), EngineError> {
        match (left, self.model.incident()) {
            (Left::Detached, _) => self.print(&[detached(incident, self.model.signs.person)]),
            (Left::Over, Some(incident)) => self.print(&summary::summary(incident, now, self.model.signs)),
            // The command line prints what is pending, with the commands that answer it.
            _ => Ok(()),
        }
    }

    fn print(&self, lines: &[StyledLine]) -> Result<(), EngineError> {
        let mut text = String::new();
        for row in wrap::all(lines, ENDLESS) {
            text.push_str(&styled(&row, self.options.colour, self.options.letters));
            text.push('\n');
        }
        io::stderr().write_all(text.as_bytes()).map_err(lost)
    }
}
