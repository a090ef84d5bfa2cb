//! The stepper: the interactive loop. It waits for keys, events, the engine and the clock at the same time.
//!
//! **Invariant:** the loop never waits for a person alone, so the run continues while a question is on the screen.

pub mod engine_task;
pub mod model;
pub mod plain_output;
pub mod prompt;
pub(crate) mod question;
pub mod scrollback;
pub(crate) mod step_name;
pub mod summary;
pub mod view;

use std::io;
use std::time::Duration;

use crossterm::event::{Event as Input, EventStream};
use futures_util::{FutureExt, StreamExt};
use tokio::sync::mpsc;

use self::engine_task::Driver;
use self::model::{Intent, Model};
use self::view::view;
use super::widgets::inline_screen::Screen;
use super::widgets::styled_text::{StyledLine, Tone};
use super::widgets::wrap;
use super::widgets::wrap::WrappedRow;
use super::{Left, StepperOptions, WorkMode, end_signals};
use crate::domain::core::id::IncidentId;
use crate::domain::core::time::{Span, Timestamp};
use crate::domain::incident::command::{Command, Request};
use crate::domain::incident::event::Actor;
use crate::engine::{Engine, EngineError, IncidentUpdate, ReturnWhen, Stop, Subscription};

/// How often elapsed times and countdowns are redrawn. They change once a second.
const TICK: Duration = Duration::from_millis(500);
/// Maximum number of updates between two redraws. A step with much output must not cause a redraw per line.
const UPDATES_PER_DRAW: usize = 512;
/// Maximum number of queued responses to requests.
const RESPONSE_QUEUE: usize = 8;

/// One interactive session.
struct Stepper<'a> {
    engine: &'a Engine,
    incident: &'a IncidentId,
    options: &'a StepperOptions,
    model: Model,
    screen: Screen,
    driver: Driver,
    /// The responses to submitted requests: none, or the text of a refusal.
    responses: mpsc::Sender<Option<String>>,
    /// Lines for the scroll-back that are not printed yet.
    finished: Vec<StyledLine>,
    /// The event to show before returning, once every run has ended.
    last_event: Option<u64>,
}

/// Whether the loop continues.
enum LoopControl {
    Continue,
    Leave(Left),
    /// The terminal is gone.
    Gone,
}

/// Steps through an incident on this terminal until it is over or the person leaves.
pub async fn step(engine: &Engine, incident: &IncidentId, options: StepperOptions) -> Result<Left, EngineError> {
    let driver = match options.work {
        WorkMode::Drive => Driver::working(engine, incident, ReturnWhen::UntilOver),
        WorkMode::Watch => Driver::idle(engine, incident),
    };
    let screen = Screen::open(options.colour, options.charset).map_err(terminal_error)?;
    let model = Model::new(options.charset.signs(), options.actor.name().to_owned(), options.after);
    let (responses, received) = mpsc::channel(RESPONSE_QUEUE);
    let stepper = Stepper {
        engine,
        incident,
        options: &options,
        model,
        screen,
        driver,
        responses,
        finished: Vec::new(),
        last_event: None,
    };
    stepper.run(received).await
}

fn terminal_error(source: io::Error) -> EngineError {
    EngineError::Io { what: "the terminal cannot be used".to_owned(), source }
}

impl Stepper<'_> {
    async fn run(mut self, responses: mpsc::Receiver<Option<String>>) -> Result<Left, EngineError> {
        let clock = self.engine.parts().clock.clone();
        match self.run_loop(responses).await {
            Ok(Some(left)) => self.leave(left, clock.now()),
            Ok(None) => Ok(Left::Detached),
            Err(error) => {
                let rows = wrap::all(&self.finished, self.screen.size().columns);
                self.screen.close(&rows).map_err(terminal_error)?;
                Err(error)
            }
        }
    }

    /// The loop. Returns none if the terminal is gone, because then nothing can be printed.
    async fn run_loop(&mut self, mut responses: mpsc::Receiver<Option<String>>) -> Result<Option<Left>, EngineError> {
        let clock = self.engine.parts().clock.clone();
        let mut feed = self.engine.subscribe(self.incident, 0);
        let mut keys = EventStream::new();
        let [mut interrupt, mut terminate, mut hangup] = end_signals().map_err(terminal_error)?;
        loop {
            let tick = Span(TICK).after(clock.now());
            let tick = self.model.wake_at().map_or(tick, |wake| wake.min(tick));
            let next = tokio::select! {
                biased;
                _ = hangup.recv() => LoopControl::Gone,
                input = keys.next() => self.input(input, clock.now())?,
                _ = interrupt.recv() => self.detach(),
                _ = terminate.recv() => self.detach(),
                Some(refusal) = responses.recv() => { self.model.receive_response(refusal); LoopControl::Continue }
                stop = self.driver.stopped() => self.stopped(stop?).await?,
                update = feed.next() => self.apply_updates(update?, &mut feed, clock.now())?,
                () = clock.sleep_until(tick) => self.tick(clock.now()),
            };
            match next {
                LoopControl::Gone => return Ok(None),
                LoopControl::Leave(left) => return Ok(Some(left)),
                LoopControl::Continue if self.draw(clock.now()).is_err() => return Ok(None),
                LoopControl::Continue => {}
            }
            if self.last_event.is_some_and(|last_event| self.model.seq() >= last_event) {
                return Ok(Some(Left::Over));
            }
        }
    }

    /// Draws the screen, unless the previous one is still being written; the next call then shows the changes.
    fn draw(&mut self, now: Timestamp) -> io::Result<()> {
        if !self.screen.is_free() {
            return Ok(());
        }
        let size = self.screen.size();
        let finished = wrap::all(&std::mem::take(&mut self.finished), size.columns);
        self.screen.show(&finished, &view(&self.model, now, size))
    }

    /// Applies an update and those that are ready behind it.
    fn apply_updates(
        &mut self,
        update: IncidentUpdate,
        feed: &mut Subscription,
        now: Timestamp,
    ) -> Result<LoopControl, EngineError> {
        self.finished.extend(self.model.apply(&update, now)?);
        for _ in 0..UPDATES_PER_DRAW {
            let Some(update) = feed.next().now_or_never() else { break };
            self.finished.extend(self.model.apply(&update?, now)?);
        }
        Ok(LoopControl::Continue)
    }

    fn input(&mut self, input: Option<io::Result<Input>>, now: Timestamp) -> Result<LoopControl, EngineError> {
        let Some(Ok(input)) = input else {
            return Ok(LoopControl::Gone);
        };
        let intent = match input {
            Input::Key(key) => self.model.key(key, now),
            Input::Paste(text) => {
                self.model.paste(&text);
                Intent::None
            }
            Input::Resize(..) => Intent::Redraw,
            _ => Intent::None,
        };
        Ok(match intent {
            Intent::None => LoopControl::Continue,
            Intent::Submit(request) => {
                self.submit(request);
                LoopControl::Continue
            }
            Intent::Detach => self.detach(),
            Intent::Redraw => {
                self.screen.measure().map_err(terminal_error)?;
                LoopControl::Continue
            }
        })
    }

    /// Submits a request without waiting for the response.
    fn submit(&self, request: Request) {
        let (engine, incident, responses) = (self.engine.clone(), self.incident.clone(), self.responses.clone());
        let command = Command { by: stepper_actor(&self.options.actor), request };
        tokio::spawn(async move {
            let refusal = engine.submit(&incident, command).await.err().map(|error| error_text(&error));
            // The stepper may have ended in the meantime.
            let _ = responses.send(refusal).await;
        });
    }

    /// Leaves at once if this process does not drive the incident or the person asks a second time. Otherwise leaves when the
    /// engine has recorded the running steps.
    fn detach(&mut self) -> LoopControl {
        if self.driver.detach() && !self.model.leaving {
            self.model.leaving = true;
            return LoopControl::Continue;
        }
        LoopControl::Leave(Left::Detached)
    }

    /// Handles the end of the task that drives the incident.
    async fn stopped(&mut self, stop: Stop) -> Result<LoopControl, EngineError> {
        Ok(match stop {
            Stop::Detached => LoopControl::Leave(Left::Detached),
            Stop::Over => {
                self.model.holder = None;
                self.last_event = Some(self.engine.incident(self.incident).await?.seq);
                LoopControl::Continue
            }
            Stop::NeedsPerson | Stop::Quiet => {
                self.driver.restart();
                LoopControl::Continue
            }
            Stop::Taken(lease) => {
                self.model.holder = Some(process_name(&lease.holder));
                self.driver.restart();
                LoopControl::Continue
            }
        })
    }

    /// Leaves an incident that another process drives once every run has ended and nothing has happened for a tick.
    fn tick(&mut self, now: Timestamp) -> LoopControl {
        self.model.tick(now);
        let is_watching = self.options.work == WorkMode::Watch || self.model.holder.is_some();
        if is_watching && self.model.is_over() { LoopControl::Leave(Left::Over) } else { LoopControl::Continue }
    }

    /// Prints the last lines and restores the terminal.
    fn leave(mut self, left: Left, now: Timestamp) -> Result<Left, EngineError> {
        let signs = self.model.signs;
        let mut lines = std::mem::take(&mut self.finished);
        match (&left, self.model.incident()) {
            (Left::Detached, _) => lines.push(detached(self.incident, signs.person)),
            (_, Some(incident)) => lines.extend(summary::summary(incident, now, signs)),
            (_, None) => {}
        }
        let rows: Vec<WrappedRow> = wrap::all(&lines, self.screen.size().columns);
        self.screen.close(&rows).map_err(terminal_error)?;
        Ok(left)
    }
}

/// The actor, with the stepper as the interface.
fn stepper_actor(actor: &Actor) -> Actor {
    match actor {
        Actor::Person { name, id, .. } => {
            Actor::Person { name: name.clone(), id: id.clone(), via: "stepper".to_owned() }
        }
        Actor::Engine | Actor::Sender { .. } => actor.clone(),
    }
}

/// An error with its hint, on one line.
fn error_text(error: &EngineError) -> String {
    match error {
        EngineError::Refused(refused) => match &refused.hint {
            Some(hint) => format!("{}: {hint}", refused.message),
            None => refused.message.clone(),
        },
        other => other.to_string(),
    }
}

/// The process that holds a lease, for people.
pub fn process_name(holder: &str) -> String {
    // The parts are host, boot id, process id, start time and worker, see [`crate::engine::holder`].
    let mut parts = holder.split('/');
    match (parts.next(), parts.nth(1)) {
        (Some(host), Some(pid)) => format!("process {pid} on {host}"),
        _ => holder.to_owned(),
    }
}

/// The line for a person who detaches. The command line prints what to type next.
pub fn detached(incident: &IncidentId, sign: &str) -> StyledLine {
    let text = format!(" detached from {incident}; nothing is lost");
    StyledLine::new().with(Tone::Accent, sign).plain(&text).indent(2)
}
