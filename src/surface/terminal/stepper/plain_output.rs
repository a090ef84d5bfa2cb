//! Prints events as plain lines on standard error: for a pipe, a terminal without control sequences, or no terminal.
//!
//! Not here: questions. The session ends when a person is needed, and the command line prints what to type.

use std::io::{self, Write as _};
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::engine_task::Driver;
use super::model::Model;
use super::{detached, process_name, step_name, summary};
use crate::clock;
use crate::domain::core::id::{IncidentId, RunId, StepKey};
use crate::domain::core::time::Timestamp;
use crate::engine::{Engine, EngineError, IncidentUpdate, Stop};
use crate::surface::terminal::widgets::palette::styled;
use crate::surface::terminal::widgets::styled_text::{StyledLine, Tone};
use crate::surface::terminal::widgets::wrap;
use crate::surface::terminal::widgets::wrap::UNLIMITED;
use crate::surface::terminal::{Left, StepperOptions, WorkMode};

/// How often an incident that another process drives is checked for its end.
const TICK: Duration = Duration::from_millis(500);

/// Prints the events of an incident until it is over or a person is needed.
pub async fn plain(engine: &Engine, incident: &IncidentId, options: StepperOptions) -> Result<Left, EngineError> {
    let mut driver = match options.work {
        WorkMode::Drive => Driver::working(engine, incident, options.return_when),
        WorkMode::Watch => Driver::idle(engine, incident),
    };
    let clock = engine.parts().clock.clone();
    let mut session = PlainSession {
        options: &options,
        model: Model::new(options.charset.signs(), options.actor.name().to_owned(), options.after),
    };
    let mut feed = engine.subscribe(incident, 0);
    let mut interrupt = signal(SignalKind::interrupt()).map_err(output_error)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(output_error)?;
    // Set once the engine has stopped: the reason, and the event to print before returning.
    let mut ending: Option<(Left, u64)> = None;
    let mut leaving = false;
    loop {
        tokio::select! {
            update = feed.next() => session.apply(&update?, clock.now())?,
            _ = detach_signal(&mut interrupt, &mut terminate) => {
                // The engine stops by itself then; a second signal does not wait for it.
                if !driver.detach() || std::mem::replace(&mut leaving, true) {
                    ending = Some((Left::Detached, 0));
                }
            }
            stop = driver.stopped() => match stop? {
                Stop::Taken(lease) => {
                    session.print_holder(&lease.holder)?;
                    // The holder may hang; this process takes over once its lease has expired.
                    driver.restart();
                }
                Stop::Over => ending = Some((Left::Over, engine.incident(incident).await?.seq)),
                Stop::NeedsPerson | Stop::Quiet => ending = Some((Left::NeedsPerson, engine.incident(incident).await?.seq)),
                Stop::Detached => ending = Some((Left::Detached, 0)),
            },
            () = clock::sleep(&*clock, TICK) => {
                // The other process may have released the lease, and this process may have acquired it.
                if session.model.holder.is_some() && engine.holds(incident).await? {
                    session.model.holder = None;
                }
                if let Some(left) = session.reason_to_leave() {
                    ending = Some((left, session.model.seq()));
                }
            }
        }
        if let Some((left, _)) = ending.take_if(|(_, last)| session.model.seq() >= *last) {
            session.leave(&left, incident, clock.now())?;
            return Ok(left);
        }
    }
}

async fn detach_signal(interrupt: &mut Signal, terminate: &mut Signal) {
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}

fn output_error(source: io::Error) -> EngineError {
    EngineError::Io { what: "standard error cannot be written".to_owned(), source }
}

/// The state of a plain session.
struct PlainSession<'a> {
    options: &'a StepperOptions,
    model: Model,
}

impl PlainSession<'_> {
    fn apply(&mut self, update: &IncidentUpdate, now: Timestamp) -> Result<(), EngineError> {
        let before = self.model.gates();
        let lines = self.model.apply(update, now)?;
        self.print(&lines)?;
        // If this process drives the incident, the command line prints the questions at the end.
        if self.options.work == WorkMode::Watch || self.model.holder.is_some() {
            let new_questions: Vec<StyledLine> =
                self.waiting().into_iter().filter(|(step, _)| !before.contains(step)).map(|(_, line)| line).collect();
            self.print(&new_questions)?;
        }
        Ok(())
    }

    /// The steps that wait for a person, each with the line for its question.
    fn waiting(&self) -> Vec<((RunId, StepKey), StyledLine)> {
        let Some(incident) = self.model.incident() else { return Vec::new() };
        let gates = incident.waiting_for_person().into_iter();
        gates
            .map(|(run, key, gate)| {
                let text = summary::question(gate, &step_name::name(incident, run, key));
                let line =
                    StyledLine::new().with(Tone::Warn, self.model.signs.question).plain(&format!(" {key}: {text}"));
                ((run, key.clone()), line)
            })
            .collect()
    }

    /// Prints which process drives the incident, once.
    fn print_holder(&mut self, holder: &str) -> Result<(), EngineError> {
        let process = process_name(holder);
        if self.model.holder.as_ref() == Some(&process) {
            return Ok(());
        }
        let line = StyledLine::new()
            .with(Tone::Accent, self.model.signs.person)
            .plain(&format!(" {process} runs it; watching"));
        self.model.holder = Some(process);
        self.print(&[line])
    }

    /// Why to stop watching an incident that another process drives: it is over, or that process waits for a person.
    fn reason_to_leave(&self) -> Option<Left> {
        let elsewhere = self.options.work == WorkMode::Watch || self.model.holder.is_some();
        if elsewhere && self.model.is_over() {
            return Some(Left::Over);
        }
        let needs_person = self.options.work == WorkMode::Drive && self.model.holder.is_some() && self.waits_only();
        needs_person.then_some(Left::Taken)
    }

    /// Whether steps wait for a person and no step can continue without one.
    fn waits_only(&self) -> bool {
        use crate::domain::incident::step::StepStatus;
        let Some(incident) = self.model.incident() else { return false };
        let is_busy = incident.live_runs().any(|run| {
            run.steps.values().any(|state| matches!(state.status, StepStatus::Running | StepStatus::Ready { .. }))
        });
        !is_busy && !incident.waiting_for_person().is_empty()
    }

    fn leave(&self, left: &Left, incident: &IncidentId, now: Timestamp) -> Result<(), EngineError> {
        match (left, self.model.incident()) {
            (Left::Detached, _) => self.print(&[detached(incident, self.model.signs.person)]),
            (Left::Over, Some(incident)) => self.print(&summary::summary(incident, now, self.model.signs)),
            // The command line prints the pending questions.
            _ => Ok(()),
        }
    }

    fn print(&self, lines: &[StyledLine]) -> Result<(), EngineError> {
        let mut text = String::new();
        for row in wrap::all(lines, UNLIMITED) {
            text.push_str(&styled(&row, self.options.colour, self.options.charset));
            text.push('\n');
        }
        io::stderr().write_all(text.as_bytes()).map_err(output_error)
    }
}
