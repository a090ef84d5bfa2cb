//! The loop of the board. It waits for keys, systemd's signals, probes and the clock at the same time.
//!
//! **Invariant:** units are read when systemd signals a change, but at most once per [`MIN_READ_INTERVAL`]. A subject is
//! probed again only after its previous probe has ended.

use std::collections::{HashMap, HashSet};
use std::io;
use std::pin::Pin;
use std::time::Duration;

use crossterm::event::Event as Input;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;

use super::model::{StatusIntent, StatusModel};
use super::subcommand;
use super::subcommand::Pause;
use super::view::view;
use crate::clock;
use crate::domain::core::time::{Span, Timestamp};
use crate::domain::host::status::{Probe, StatusRow, UnitObservation};
use crate::engine::catalog::Catalog;
use crate::engine::inspect::status::{StatusSurvey, UnitWatch, Units, start_arguments, unit_observation};
use crate::surface::terminal::end_signals;
use crate::surface::terminal::widgets::alternate_screen::AlternateScreen;
use crate::surface::terminal::widgets::palette::{CharacterSet, Colour};

/// How often the screen is redrawn, because it shows ages and the time of day.
const TICK: Duration = Duration::from_secs(1);

/// The minimum time between two reads of the units; a restart causes a dozen signals.
const MIN_READ_INTERVAL: Duration = Duration::from_millis(300);

/// The time between two attempts to reach the bus.
const RETRY_DELAY: Duration = Duration::from_secs(2);

/// The settings of the live board.
#[derive(Debug, Clone)]
pub struct WatchOptions {
    /// How often everything is probed.
    pub every: Duration,
    pub colour: Colour,
    pub charset: CharacterSet,
    /// The flags that every command gets which a key starts.
    pub flags: Vec<String>,
}

/// A future in progress.
type Pending<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// The index of a subject and the result of its probe.
type ProbeResult = (usize, Option<Probe>);

/// A signal of systemd, with the subscription for the next one.
enum UnitSignal {
    Subscribed(UnitWatch),
    Changed(UnitWatch),
    /// The connection is lost.
    Lost,
}

/// Whether the loop continues.
enum LoopControl {
    Continue,
    Leave,
    /// Run another command on the terminal.
    Run(Vec<String>, Pause),
}

/// The board, and the latest results.
struct Watch<'a> {
    survey: &'a StatusSurvey,
    catalog: &'a Catalog,
    options: &'a WatchOptions,
    model: StatusModel,
    units: Option<Units>,
    results: HashMap<usize, Option<Probe>>,
}

/// The futures that run while the board is on the screen.
struct WatchTasks<'a> {
    probes: FuturesUnordered<Pending<'a, ProbeResult>>,
    /// The indexes of the subjects that are being probed.
    in_progress: HashSet<usize>,
    read_units: Option<Pending<'a, Units>>,
    /// Whether to read the units again after the present read.
    read_again: bool,
    next_unit_signal: Pending<'a, UnitSignal>,
    /// The index of the subject to probe next.
    next_probe: usize,
    next_probe_at: Timestamp,
}

/// Shows the board until the person leaves.
///
/// # Errors
/// When the terminal cannot be used.
pub async fn watch(survey: &StatusSurvey, catalog: &Catalog, options: WatchOptions) -> io::Result<()> {
    let rows = survey.subjects().iter().map(|subject| StatusRow::of(subject, UnitObservation::None, None)).collect();
    let title = (survey.estate().estate.clone(), survey.environment().to_owned());
    let mut watch = Watch {
        survey,
        catalog,
        options: &options,
        model: StatusModel::new(title, rows),
        units: None,
        results: HashMap::new(),
    };
    loop {
        let mut screen = AlternateScreen::open(options.colour, options.charset)?;
        let next = watch.show(&mut screen).await?;
        drop(screen);
        let LoopControl::Run(arguments, pause) = next else { return Ok(()) };
        let arguments: Vec<String> = options.flags.iter().cloned().chain(arguments).collect();
        if subcommand::run(&arguments, pause).await? {
            return Ok(());
        }
    }
}

impl<'a> Watch<'a> {
    /// Shows the board until the person leaves or starts another command.
    async fn show(&mut self, screen: &mut AlternateScreen) -> io::Result<LoopControl> {
        let clock = self.survey.clock().clone();
        let mut keys = subcommand::keys();
        let [mut interrupt, mut terminate, mut hangup] = end_signals()?;
        let mut tasks = WatchTasks::begin(self.survey, clock.now());
        // The first screen is drawn before there are results.
        loop {
            if screen.show(&view(&self.model, clock.now(), screen.size(), self.options.charset)).is_err() {
                return Ok(LoopControl::Leave);
            }
            let next = tokio::select! {
                biased;
                _ = hangup.recv() => LoopControl::Leave,
                _ = terminate.recv() => LoopControl::Leave,
                _ = interrupt.recv() => LoopControl::Leave,
                input = keys.next() => self.input(input, screen, &mut tasks)?,
                Some((index, probe)) = tasks.probes.next() => {
                    self.apply_probe(index, probe, &mut tasks);
                    LoopControl::Continue
                }
                units = pending(&mut tasks.read_units) => {
                    self.apply_units(units, &mut tasks);
                    LoopControl::Continue
                }
                signal = &mut tasks.next_unit_signal => {
                    tasks.apply_signal(signal, self.survey);
                    LoopControl::Continue
                }
                () = clock.sleep_until(tasks.next_probe_at) => {
                    tasks.probe_next(self.survey, self.options.every);
                    LoopControl::Continue
                }
                () = clock::sleep(&*clock, TICK) => LoopControl::Continue,
            };
            if !matches!(next, LoopControl::Continue) {
                return Ok(next);
            }
        }
    }

    fn input(
        &mut self,
        input: Option<io::Result<Input>>,
        screen: &mut AlternateScreen,
        tasks: &mut WatchTasks<'a>,
    ) -> io::Result<LoopControl> {
        let Some(Ok(input)) = input else { return Ok(LoopControl::Leave) };
        let intent = match input {
            Input::Key(key) => self.model.key(key),
            Input::Resize(..) => {
                screen.measure()?;
                StatusIntent::None
            }
            _ => StatusIntent::None,
        };
        Ok(match intent {
            StatusIntent::None => LoopControl::Continue,
            StatusIntent::Leave => LoopControl::Leave,
            StatusIntent::CheckNow => {
                screen.measure()?;
                tasks.check_all(self.survey);
                LoopControl::Continue
            }
            StatusIntent::Logs => self.logs(),
            StatusIntent::Offer => {
                self.offer();
                LoopControl::Continue
            }
            StatusIntent::Start(arguments) => LoopControl::Run(arguments, Pause::Always),
        })
    }

    /// The command that shows the logs of the selected row.
    fn logs(&mut self) -> LoopControl {
        let Some(row) = self.model.row() else { return LoopControl::Continue };
        if matches!(row.unit, UnitObservation::None) {
            self.model.notice = Some(format!("`{}` has no unit here, so it has no journal", row.name));
            return LoopControl::Continue;
        }
        let environment = self.survey.environment();
        let arguments = ["logs", "--env", environment, "--service", &row.name, "--follow"];
        LoopControl::Run(arguments.map(str::to_owned).to_vec(), Pause::OnFailure)
    }

    /// Offers to start the runbook for the selected row. It needs a confirmation, because it opens an incident and a key is
    /// easily pressed by mistake.
    fn offer(&mut self) {
        let Some(row) = self.model.row() else { return };
        let arguments = start_arguments(row, self.catalog, self.survey.environment());
        self.model.notice = Some(match &arguments {
            Some(arguments) => format!("`runbook {}` opens an incident", arguments.join(" ")),
            None => format!("there is no runbook for `{}`", row.name),
        });
        self.model.offered = arguments;
    }

    fn apply_probe(&mut self, index: usize, probe: Option<Probe>, tasks: &mut WatchTasks<'a>) {
        tasks.in_progress.remove(&index);
        if let Some(probe) = &probe
            && probe.live.is_some()
        {
            self.model
                .sample(&self.survey.subjects()[index].name, probe.latency_ms.filter(|_| probe.live == Some(true)));
        }
        self.results.insert(index, probe);
        self.update_row(index);
    }

    fn apply_units(&mut self, units: Units, tasks: &mut WatchTasks<'a>) {
        tasks.read_units = None;
        self.model.systemd_error = units.as_ref().err().cloned();
        self.units = Some(units);
        for index in 0..self.survey.subjects().len() {
            self.update_row(index);
        }
        if std::mem::take(&mut tasks.read_again) {
            tasks.read_units(self.survey, MIN_READ_INTERVAL);
        }
    }

    /// Combines the unit and the probe of a subject into its row.
    fn update_row(&mut self, index: usize) {
        let subject = &self.survey.subjects()[index];
        let probe = self.results.get(&index);
        let unit = self.units.as_ref().map_or(UnitObservation::None, |units| unit_observation(subject, units));
        let is_complete = self.units.is_some() && (probe.is_some() || !self.survey.probes());
        let row = StatusRow::of(subject, unit, probe.cloned().flatten());
        self.model.update(row, is_complete, self.survey.clock().now());
    }
}

impl<'a> WatchTasks<'a> {
    fn begin(survey: &'a StatusSurvey, now: Timestamp) -> Self {
        let mut tasks = Self {
            probes: FuturesUnordered::new(),
            in_progress: HashSet::new(),
            read_units: None,
            read_again: false,
            next_unit_signal: next_unit_signal(survey, None),
            next_probe: 0,
            next_probe_at: now,
        };
        tasks.check_all(survey);
        tasks
    }

    /// Reads the units after a pause. If a read is in progress, another one follows it.
    fn read_units(&mut self, survey: &'a StatusSurvey, after: Duration) {
        if self.read_units.is_some() {
            self.read_again = true;
            return;
        }
        self.read_units = Some(Box::pin(async move {
            if !after.is_zero() {
                clock::sleep(&**survey.clock(), after).await;
            }
            survey.units().await
        }));
    }

    /// Reads the units and probes every subject now.
    fn check_all(&mut self, survey: &'a StatusSurvey) {
        self.read_units(survey, Duration::ZERO);
        for index in 0..survey.subjects().len() {
            self.start_probe(index, survey);
        }
    }

    /// Probes the next subject. The probes are spread over the interval: at the same time they would delay each other, and
    /// the latencies would be too high.
    fn probe_next(&mut self, survey: &'a StatusSurvey, every: Duration) {
        let count = survey.subjects().len().max(1);
        let pause = every / u32::try_from(count).unwrap_or(u32::MAX);
        self.next_probe_at = Span(pause).after(survey.clock().now());
        if self.next_probe == 0 {
            self.read_units(survey, Duration::ZERO);
        }
        self.start_probe(self.next_probe, survey);
        self.next_probe = (self.next_probe + 1) % count;
    }

    /// Probes a subject, unless it is being probed already.
    fn start_probe(&mut self, index: usize, survey: &'a StatusSurvey) {
        if survey.probes() && self.in_progress.insert(index) {
            self.probes.push(Box::pin(async move { (index, survey.probe(&survey.subjects()[index]).await) }));
        }
    }

    fn apply_signal(&mut self, signal: UnitSignal, survey: &'a StatusSurvey) {
        let watch = match signal {
            UnitSignal::Subscribed(watch) => Some(watch),
            UnitSignal::Changed(watch) => {
                self.read_units(survey, MIN_READ_INTERVAL);
                Some(watch)
            }
            UnitSignal::Lost => {
                self.read_units(survey, MIN_READ_INTERVAL);
                None
            }
        };
        self.next_unit_signal = next_unit_signal(survey, watch);
    }
}

/// Waits for the next signal of systemd. Without a subscription it subscribes first.
fn next_unit_signal<'a>(survey: &'a StatusSurvey, watch: Option<UnitWatch>) -> Pending<'a, UnitSignal> {
    Box::pin(async move {
        match watch {
            Some(mut watch) => match watch.changed().await {
                true => UnitSignal::Changed(watch),
                false => UnitSignal::Lost,
            },
            None => loop {
                match survey.unit_watch().await {
                    Ok(watch) => return UnitSignal::Subscribed(watch),
                    Err(_) => clock::sleep(&**survey.clock(), RETRY_DELAY).await,
                }
            },
        }
    })
}

/// Waits for the future; without one it never returns.
async fn pending<T>(future: &mut Option<Pending<'_, T>>) -> T {
    match future {
        Some(future) => future.await,
        None => std::future::pending().await,
    }
}
