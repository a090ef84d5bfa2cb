//! The loop of the board: keys, systemd's signals, probes and the clock in one place, none of them waiting for another.
//!
//! **Invariant:** a change of a unit is looked at when systemd tells it, and never more often than [`CALM`]; each
//! subject is asked again only when it has answered or its time was over.

use std::collections::{HashMap, HashSet};
use std::io;
use std::pin::Pin;
use std::time::Duration;

use crossterm::event::Event as Input;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::model::{StatusIntent, StatusModel};
use super::subcommand;
use super::subcommand::Pause;
use super::view::view;
use crate::clock;
use crate::domain::core::time::{Span, Timestamp};
use crate::domain::host::status::{Probe, Sighting, StatusRow};
use crate::engine::catalog::Catalog;
use crate::engine::inspect::status::{StatusSurvey, UnitWatch, Units, sighting, start_arguments};
use crate::surface::terminal::widgets::alternate_screen::AlternateScreen;
use crate::surface::terminal::widgets::palette::{CharacterSet, Colour};

/// How often ages and the time of day are redrawn.
const TICK: Duration = Duration::from_secs(1);

/// The minimum time between two reads of the units; a restart causes a dozen signals.
const CALM: Duration = Duration::from_millis(300);

/// How long until an unreachable bus is tried again.
const AGAIN: Duration = Duration::from_secs(2);

/// The settings of the live board.
#[derive(Debug, Clone)]
pub struct WatchOptions {
    /// How often everything is probed.
    pub every: Duration,
    pub colour: Colour,
    pub letters: CharacterSet,
    /// The arguments before those of every command that a key starts.
    pub lead: Vec<String>,
}

/// A future in progress.
type Pending<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// The index of a subject and the result of its probe.
type Answered = (usize, Option<Probe>);

/// What systemd's signals reported.
enum Heard {
    Began(UnitWatch),
    Changed(UnitWatch),
    Lost,
}

/// What happens after an event.
enum AfterKey {
    On,
    Leave,
    /// Another command gets the terminal.
    Errand(Vec<String>, Pause),
}

/// The board and its data.
struct Watch<'a> {
    survey: &'a StatusSurvey,
    catalog: &'a Catalog,
    options: &'a WatchOptions,
    model: StatusModel,
    units: Option<Units>,
    answers: HashMap<usize, Option<Probe>>,
}

/// What runs while the board is on the screen.
struct WatchTasks<'a> {
    probes: FuturesUnordered<Pending<'a, Answered>>,
    asked: HashSet<usize>,
    read_units: Option<Pending<'a, Units>>,
    look_again: bool,
    hear: Pending<'a, Heard>,
    /// The subject to probe next, and when.
    at: usize,
    turn: Timestamp,
}

/// Shows the board until the person leaves.
///
/// # Errors
/// When the terminal cannot be used.
pub async fn watch(survey: &StatusSurvey, catalog: &Catalog, options: WatchOptions) -> io::Result<()> {
    let rows = survey.subjects().iter().map(|subject| StatusRow::of(subject, Sighting::None, None)).collect();
    let title = (survey.estate().estate.clone(), survey.environment().to_owned());
    let mut watch = Watch {
        survey,
        catalog,
        options: &options,
        model: StatusModel::new(title, rows),
        units: None,
        answers: HashMap::new(),
    };
    loop {
        let mut canvas = AlternateScreen::open(options.colour, options.letters)?;
        let next = watch.stay(&mut canvas).await?;
        drop(canvas);
        let AfterKey::Errand(words, pause) = next else { return Ok(()) };
        let words: Vec<String> = options.lead.iter().cloned().chain(words).collect();
        if subcommand::run(&words, pause).await? {
            return Ok(());
        }
    }
}

impl<'a> Watch<'a> {
    async fn stay(&mut self, canvas: &mut AlternateScreen) -> io::Result<AfterKey> {
        let clock = self.survey.clock().clone();
        let mut keys = subcommand::keys();
        let [mut interrupt, mut terminate, mut hangup] = signals()?;
        let mut work = WatchTasks::begin(self.survey, clock.now());
        // Drawn before the first probe answers; units arrive at once.
        loop {
            if canvas.show(&view(&self.model, clock.now(), canvas.size(), self.options.letters)).is_err() {
                return Ok(AfterKey::Leave);
            }
            let next = tokio::select! {
                biased;
                _ = hangup.recv() => AfterKey::Leave,
                _ = terminate.recv() => AfterKey::Leave,
                _ = interrupt.recv() => AfterKey::Leave,
                input = keys.next() => self.input(input, canvas, &mut work)?,
                Some((at, answer)) = work.probes.next() => { self.answered(at, answer, &mut work); AfterKey::On }
                units = pending(&mut work.read_units) => { self.apply_units(units, &mut work); AfterKey::On }
                heard = &mut work.hear => { work.heard(heard, self.survey); AfterKey::On }
                () = clock.sleep_until(work.turn) => { work.handle_key(self.survey, self.options.every); AfterKey::On }
                () = clock::sleep(&*clock, TICK) => AfterKey::On,
            };
            if !matches!(next, AfterKey::On) {
                return Ok(next);
            }
        }
    }

    fn input(
        &mut self,
        input: Option<io::Result<Input>>,
        canvas: &mut AlternateScreen,
        work: &mut WatchTasks<'a>,
    ) -> io::Result<AfterKey> {
        let Some(Ok(input)) = input else { return Ok(AfterKey::Leave) };
        let intent = match input {
            Input::Key(key) => self.model.key(key),
            Input::Resize(..) => {
                canvas.measure()?;
                StatusIntent::None
            }
            _ => StatusIntent::None,
        };
        Ok(match intent {
            StatusIntent::None => AfterKey::On,
            StatusIntent::Leave => AfterKey::Leave,
            StatusIntent::Look => {
                canvas.measure()?;
                work.ask_all(self.survey);
                AfterKey::On
            }
            StatusIntent::Logs => self.logs(),
            StatusIntent::Offer => {
                self.offer();
                AfterKey::On
            }
            StatusIntent::Start(words) => AfterKey::Errand(words, Pause::Always),
        })
    }

    fn logs(&mut self) -> AfterKey {
        let Some(row) = self.model.row() else { return AfterKey::On };
        if matches!(row.unit, Sighting::None) {
            self.model.notice = Some(format!("`{}` has no unit here, and so no journal", row.name));
            return AfterKey::On;
        }
        let environment = self.survey.environment();
        let words = ["logs", "--env", environment, "--service", &row.name, "--follow"];
        AfterKey::Errand(words.map(str::to_owned).to_vec(), Pause::OnTrouble)
    }

    /// Shows which runbook would be started and waits for confirmation: it opens an incident, and a key is easily
    /// pressed by mistake.
    fn offer(&mut self) {
        let Some(row) = self.model.row() else { return };
        let words = start_arguments(row, self.catalog, self.survey.environment());
        self.model.notice = Some(match &words {
            Some(words) => format!("`runbook {}` opens an incident", words.join(" ")),
            None => format!("no runbook is for `{}`", row.name),
        });
        self.model.offered = words;
    }

    fn answered(&mut self, at: usize, answer: Option<Probe>, work: &mut WatchTasks<'a>) {
        work.asked.remove(&at);
        if let Some(probe) = &answer
            && probe.live.is_some()
        {
            self.model.sample(&self.survey.subjects()[at].name, probe.latency_ms.filter(|_| probe.live == Some(true)));
        }
        self.answers.insert(at, answer);
        self.put(at);
    }

    fn apply_units(&mut self, units: Units, work: &mut WatchTasks<'a>) {
        work.read_units = None;
        self.model.blind = units.as_ref().err().cloned();
        self.units = Some(units);
        for at in 0..self.survey.subjects().len() {
            self.put(at);
        }
        if std::mem::take(&mut work.look_again) {
            work.read_units(self.survey, CALM);
        }
    }

    /// Combines the unit and the probe of a subject into its row.
    fn put(&mut self, at: usize) {
        let subject = &self.survey.subjects()[at];
        let answer = self.answers.get(&at);
        let unit = self.units.as_ref().map_or(Sighting::None, |units| sighting(subject, units));
        let is_whole = self.units.is_some() && (answer.is_some() || !self.survey.probes());
        let row = StatusRow::of(subject, unit, answer.cloned().flatten());
        self.model.put(row, is_whole, self.survey.clock().now());
    }
}

impl<'a> WatchTasks<'a> {
    fn begin(survey: &'a StatusSurvey, now: Timestamp) -> Self {
        let mut work = Self {
            probes: FuturesUnordered::new(),
            asked: HashSet::new(),
            read_units: None,
            look_again: false,
            hear: hear(survey, None),
            at: 0,
            turn: now,
        };
        work.ask_all(survey);
        work
    }

    /// Reads the units after a pause. During a read, another one is scheduled.
    fn read_units(&mut self, survey: &'a StatusSurvey, after: Duration) {
        if self.read_units.is_some() {
            self.look_again = true;
            return;
        }
        self.read_units = Some(Box::pin(async move {
            if !after.is_zero() {
                clock::sleep(&**survey.clock(), after).await;
            }
            survey.units().await
        }));
    }

    /// Probes everything now, except what is being probed already.
    fn ask_all(&mut self, survey: &'a StatusSurvey) {
        self.read_units(survey, Duration::ZERO);
        for at in 0..survey.subjects().len() {
            self.ask(at, survey);
        }
    }

    /// Probes the next subject. Probes are spread over the interval, because a burst would measure how they delay each
    /// other.
    fn handle_key(&mut self, survey: &'a StatusSurvey, every: Duration) {
        let many = survey.subjects().len().max(1);
        let share = every / u32::try_from(many).unwrap_or(u32::MAX);
        self.turn = Span(share).after(survey.clock().now());
        if self.at == 0 {
            self.read_units(survey, Duration::ZERO);
        }
        self.ask(self.at, survey);
        self.at = (self.at + 1) % many;
    }

    /// Probes a subject, unless it is being probed already.
    fn ask(&mut self, at: usize, survey: &'a StatusSurvey) {
        if survey.probes() && self.asked.insert(at) {
            self.probes.push(Box::pin(async move { (at, survey.probe(&survey.subjects()[at]).await) }));
        }
    }

    fn heard(&mut self, heard: Heard, survey: &'a StatusSurvey) {
        let lookout = match heard {
            Heard::Began(lookout) => Some(lookout),
            Heard::Changed(lookout) => {
                self.read_units(survey, CALM);
                Some(lookout)
            }
            Heard::Lost => {
                self.read_units(survey, CALM);
                None
            }
        };
        self.hear = hear(survey, lookout);
    }
}

/// Waits for the next signal of systemd; subscribes first if there is no subscription.
fn hear<'a>(survey: &'a StatusSurvey, lookout: Option<UnitWatch>) -> Pending<'a, Heard> {
    Box::pin(async move {
        match lookout {
            Some(mut lookout) => match lookout.changed().await {
                true => Heard::Changed(lookout),
                false => Heard::Lost,
            },
            None => loop {
                match survey.unit_watch().await {
                    Ok(lookout) => return Heard::Began(lookout),
                    Err(_) => clock::sleep(&**survey.clock(), AGAIN).await,
                }
            },
        }
    })
}

/// Completes with the future, if there is one; otherwise never.
async fn pending<T>(work: &mut Option<Pending<'_, T>>) -> T {
    match work {
        Some(work) => work.await,
        None => std::future::pending().await,
    }
}

fn signals() -> io::Result<[Signal; 3]> {
    Ok([signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?, signal(SignalKind::hangup())?])
}
