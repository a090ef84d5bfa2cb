//! The interactive loop. It handles keys, events, the worker and the clock concurrently.
//!
//! **Invariant:** the run goes on while a question is on the screen; nothing here waits for a person.

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
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

use self::engine_task::Driver;
use self::model::{Intent, Model};

use self::view::view;
use super::widgets::inline_screen::Screen;
use super::widgets::styled_text::{StyledLine, Tone};
use super::widgets::wrap;
use super::widgets::wrap::WrappedRow;
use super::{Left, StepperOptions, WorkMode};
use crate::domain::core::id::IncidentId;
use crate::domain::core::time::{Span, Timestamp};
use crate::domain::incident::command::{Command, Request};
use crate::domain::incident::event::Actor;
use crate::engine::{Engine, EngineError, IncidentUpdate, ReturnWhen, Stop, Subscription};

/// How often elapsed times and countdowns are updated: twice as often as they change.
const TICK: Duration = Duration::from_millis(500);
/// How many updates are read before the screen is drawn, so that a step with much output does not cause a redraw per
/// line.
const NEWS_AT_ONCE: usize = 512;
/// Maximum number of requests in progress.
const REQUESTS: usize = 8;

/// One interactive session.
struct Stepper<'a> {
    engine: &'a Engine,
    incident: &'a IncidentId,
    options: &'a StepperOptions,
    model: Model,
    screen: Screen,
    driver: Driver,
    refusals: mpsc::Sender<Option<String>>,
    /// Finished lines that are not printed yet.
    ended: Vec<StyledLine>,
    /// The event to wait for before returning, once the work is over.
    last: Option<u64>,
}

/// Whether the loop goes on.
enum LoopControl {
    On,
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
    let screen = Screen::open(options.colour, options.letters).map_err(lost)?;
    let model = Model::new(options.letters.signs(), options.actor.name().to_owned(), options.after);
    let (refusals, answers) = mpsc::channel(REQUESTS);
    let stepper =
        Stepper { engine, incident, options: &options, model, screen, driver, refusals, ended: Vec::new(), last: None };
    stepper.run(answers).await
}

fn lost(source: io::Error) -> EngineError {
    EngineError::Io { what: "the terminal cannot be used".to_owned(), source }
}

impl Stepper<'_> {
    async fn run(mut self, answers: mpsc::Receiver<Option<String>>) -> Result<Left, EngineError> {
        let clock = self.engine.parts().clock.clone();
        match self.go_on(answers).await {
            Ok(Some(left)) => self.leave(left, clock.now()),
            Ok(None) => Ok(Left::Detached),
            Err(error) => {
                let rows = wrap::all(&self.ended, self.screen.size().columns);
                self.screen.close(&rows).map_err(lost)?;
                Err(error)
            }
        }
    }

    /// The loop. None when the terminal is gone, so nothing can be printed.
    async fn go_on(&mut self, mut answers: mpsc::Receiver<Option<String>>) -> Result<Option<Left>, EngineError> {
        let clock = self.engine.parts().clock.clone();
        let mut feed = self.engine.subscribe(self.incident, 0);
        let mut keys = EventStream::new();
        let [mut interrupt, mut terminate, mut hangup] = signals().map_err(lost)?;
        loop {
            let tick = Span(TICK).after(clock.now());
            let tick = self.model.wake_at().map_or(tick, |wake| wake.min(tick));
            let next = tokio::select! {
                biased;
                _ = hangup.recv() => LoopControl::Gone,
                input = keys.next() => self.input(input, clock.now())?,
                _ = interrupt.recv() => self.detach(),
                _ = terminate.recv() => self.detach(),
                Some(refusal) = answers.recv() => { self.model.answered(refusal); LoopControl::On }
                stop = self.driver.stopped() => self.stopped(stop?).await?,
                news = feed.next() => self.hear(news?, &mut feed, clock.now())?,
                () = clock.sleep_until(tick) => self.tick(clock.now()),
            };
            match next {
                LoopControl::Gone => return Ok(None),
                LoopControl::Leave(left) => return Ok(Some(left)),
                LoopControl::On if self.draw(clock.now()).is_err() => return Ok(None),
                LoopControl::On => {}
            }
            if self.last.is_some_and(|last| self.model.seq() >= last) {
                return Ok(Some(Left::Over));
            }
        }
    }

    /// Draws, unless the terminal is still busy with the last screen; the next one then shows more.
    fn draw(&mut self, now: Timestamp) -> io::Result<()> {
        if !self.screen.is_free() {
            return Ok(());
        }
        let size = self.screen.size();
        let record = wrap::all(&std::mem::take(&mut self.ended), size.columns);
        self.screen.show(&record, &view(&self.model, now, size))
    }

    fn hear(
        &mut self,
        news: IncidentUpdate,
        feed: &mut Subscription,
        now: Timestamp,
    ) -> Result<LoopControl, EngineError> {
        self.ended.extend(self.model.hear(&news, now)?);
        for _ in 0..NEWS_AT_ONCE {
            let Some(more) = feed.next().now_or_never() else { break };
            self.ended.extend(self.model.hear(&more?, now)?);
        }
        Ok(LoopControl::On)
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
            Intent::None => LoopControl::On,
            Intent::Submit(request) => {
                self.submit(request);
                LoopControl::On
            }
            Intent::Detach => self.detach(),
            Intent::Redraw => {
                self.screen.measure().map_err(lost)?;
                LoopControl::On
            }
        })
    }

    /// Submits a request without waiting for the response.
    fn submit(&self, request: Request) {
        let (engine, incident, refusals) = (self.engine.clone(), self.incident.clone(), self.refusals.clone());
        let command = Command { by: here(&self.options.actor), request };
        tokio::spawn(async move {
            let refusal = engine.submit(&incident, command).await.err().map(|error| typed_echo(&error));
            // The stepper may have ended in the meantime.
            let _ = refusals.send(refusal).await;
        });
    }

    /// Leaves at once if no work is running or the person insists, otherwise when the work is recorded.
    fn detach(&mut self) -> LoopControl {
        if self.driver.detach() && !self.model.leaving {
            self.model.leaving = true;
            return LoopControl::On;
        }
        LoopControl::Leave(Left::Detached)
    }

    async fn stopped(&mut self, stop: Stop) -> Result<LoopControl, EngineError> {
        Ok(match stop {
            Stop::Detached => LoopControl::Leave(Left::Detached),
            Stop::Over => {
                self.model.holder = None;
                self.last = Some(self.engine.incident(self.incident).await?.seq);
                LoopControl::On
            }
            Stop::NeedsPerson | Stop::Quiet => {
                self.driver.again();
                LoopControl::On
            }
            Stop::Taken(claim) => {
                self.model.holder = Some(holder(&claim.holder));
                self.driver.again();
                LoopControl::On
            }
        })
    }

    /// A watcher has no work whose end it could wait for, so it returns once every run has ended and no event has come
    /// for a tick.
    fn tick(&mut self, now: Timestamp) -> LoopControl {
        self.model.tick(now);
        let watching = self.options.work == WorkMode::Watch || self.model.holder.is_some();
        if watching && self.model.is_over() { LoopControl::Leave(Left::Over) } else { LoopControl::On }
    }

    fn leave(mut self, left: Left, now: Timestamp) -> Result<Left, EngineError> {
        let signs = self.model.signs;
        let mut lines = std::mem::take(&mut self.ended);
        match (&left, self.model.incident()) {
            (Left::Detached, _) => lines.push(detached(self.incident, signs.person)),
            (_, Some(incident)) => lines.extend(summary::summary(incident, now, signs)),
            (_, None) => {}
        }
        let rows: Vec<WrappedRow> = wrap::all(&lines, self.screen.size().columns);
        self.screen.close(&rows).map_err(lost)?;
        Ok(left)
    }
}

/// The actor as a person at this interface.
fn here(actor: &Actor) -> Actor {
    match actor {
        Actor::Person { name, id, .. } => {
            Actor::Person { name: name.clone(), id: id.clone(), via: "stepper".to_owned() }
        }
        Actor::Engine | Actor::Sender { .. } => actor.clone(),
    }
}

fn signals() -> io::Result<[Signal; 3]> {
    Ok([signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?, signal(SignalKind::hangup())?])
}

/// An error in one line with its hint.
fn typed_echo(error: &EngineError) -> String {
    match error {
        EngineError::Refused(refused) => match &refused.hint {
            Some(hint) => format!("{}: {hint}", refused.message),
            None => refused.message.clone(),
        },
        other => other.to_string(),
    }
}

/// The holder of a lease in words.
pub fn holder(holder: &str) -> String {
    // Host, boot, process, start, worker: see [`crate::engine::holder`].
    let mut parts = holder.split('/');
    match (parts.next(), parts.nth(1)) {
        (Some(host), Some(pid)) => format!("process {pid} on {host}"),
        _ => holder.to_owned(),
    }
}

/// What a person who detaches must know. The command line adds what to type next.
pub fn detached(incident: &IncidentId, sign: &str) -> StyledLine {
    let text = format!(" detached from {incident}: nothing is lost, and nothing was stopped for good");
    StyledLine::new().with(Tone::Accent, sign).plain(&text).indent(2)
}
