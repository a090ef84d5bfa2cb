//! `runbook demo`: puts the demo's shop, an engine and a face together, and plays an incident from beginning to end.
//!
//! Deliberately absent: the shop itself and the answers; those are [`crate::surface::demo`]'s.

use std::ffi::OsString;
use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Map;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

use crate::clock::sleep;
use crate::domain::core::id::IncidentId;
use crate::domain::core::text::{printable, shell_word};
use crate::domain::incident::Incident;
use crate::domain::incident::command::{Command, Request, StartRequest};
use crate::domain::incident::event::{Actor, Conclusion, Mode};
use crate::engine::{EngineError, ReturnWhen};
use crate::surface::cli::context::project::Project;
use crate::surface::cli::context::session::{OpenEngine, Session};
use crate::surface::cli::context::settings::{ProjectSource, Settings};
use crate::surface::cli::follow::until_done;
use crate::surface::cli::output::error::{Failure, Result};
use crate::surface::demo::autoplay;
use crate::surface::demo::environment::{DemoEnvironment, Ground, SERVICES};
use crate::surface::exit::Exit;
use crate::surface::terminal::{self, Left, WorkMode};

/// Where the demo's directory is created; the paths of sockets in it must stay short.
const PLACE: &str = "/tmp";

/// The runbook that is played.
const RUNBOOK: &str = "p1";

/// How long the services fail before the incident opens, so that the first check finds errors in the journal.
const NOTICED: Duration = Duration::from_millis(1_500);

/// The steps of the demo's runbook that fix something, and the text for the resolution once they succeed.
const MENDED: [(&[&str], &str); 2] = [
    (&["rollback"], "the bad merge was reverted"),
    (&["restart", "restart_process"], "what had been caught in the fault was restarted"),
];

/// Shows an incident from beginning to end, on a small shop of its own
///
/// Starts a few small services, breaks them, and goes through the runbook at
/// a pace that can be read. Needs no rights, no network and nothing to
/// configure, takes under a minute, and removes what it starts.
///
/// Examples:
///   runbook demo
///   runbook demo --interactive
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Demo {
    /// Lets you answer the questions
    #[arg(long, short)]
    interactive: bool,
    /// Keeps the shop running at the end, until Ctrl-C
    #[arg(long)]
    keep: bool,
}

impl Demo {
    /// Plays the demo.
    pub fn run(self, session: &Session) -> Result {
        if self.interactive && !session.settings.streams.interactive() {
            return Err(Failure::usage("this is no terminal that questions could be answered at")
                .hint("Leave `--interactive` away, and the demo answers them itself."));
        }
        let directory = directory()?;
        // A runtime of its own, because the services run independently of the engine.
        let backstage = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .map_err(|error| Failure::error(format!("the runtime cannot start: {error}")))?;
        session.output.print_message(&format!(
            "bringing up a shop of {} small services in `{}`",
            SERVICES.len(),
            directory.display()
        ));
        let stage = backstage
            .block_on(DemoEnvironment::build(ground(session, &directory)?))
            .map_err(|error| demo_error(&error))?;
        stage.missing().iter().for_each(|missing| session.output.warn(missing));
        let ended = self.play(session, &directory, &stage);
        if self.keep && ended.is_ok() {
            session.output.print_message("the shop is kept: Ctrl-C takes it away");
            // The stepper has installed signal handlers, so signals, including that of a closed terminal, must be
            // handled here.
            backstage.block_on(async { until_done::leaving().cancelled().await });
        }
        strike(session, &backstage, stage)?;
        ended
    }

    fn play(&self, session: &Session, directory: &Path, stage: &DemoEnvironment) -> Result {
        stage.break_it().map_err(|error| demo_error(&error))?;
        session.output.print_message("somebody merges `faster-checkout`; the gateway breaks\n");
        let own = Session::new(settings(&session.settings, directory));
        let shop = Project::open(&own.settings)?;
        let order = order(&shop, &own)?;
        let open_engine = own.open(shop)?;
        let id = order.incident.clone();
        open_engine.wait(async {
            sleep(&*session.clock(), NOTICED).await;
            Ok::<(), EngineError>(())
        })?;
        open_engine.submit(&id, Request::Start(Box::new(order)))?;
        let left = open_engine.wait(self.show(&open_engine, &id))?;
        if left != Left::Over {
            own.output.print_message("you have left the demo");
            own.output.next(&self.afterwards(&own, &id, directory));
            return Ok(Exit::INTERRUPTED);
        }
        open_engine.wait(resolved(&open_engine, &id, self.actor(&open_engine)))?;
        print_intro(&open_engine, &id, directory, stage)
    }

    /// Runs the interface and, unless the person answers, the engine and the script beside it.
    async fn show(&self, open_engine: &OpenEngine<'_>, id: &IncidentId) -> std::result::Result<Left, EngineError> {
        let work = if self.interactive { WorkMode::Drive } else { WorkMode::Watch };
        let options = options(open_engine, work);
        if self.interactive {
            return terminal::step(&open_engine.engine, id, options).await;
        }
        let settings = &open_engine.session.settings;
        let shown = async {
            match settings.streams.interactive() && open_engine.session.output.is_table() {
                true => terminal::step(&open_engine.engine, id, options).await,
                false => terminal::plain(&open_engine.engine, id, options).await,
            }
        };
        let detach = CancellationToken::new();
        let played = async {
            let drive = open_engine.engine.drive(id, ReturnWhen::UntilOver, &detach);
            let (stop, played) = tokio::join!(drive, autoplay::play(&open_engine.engine, id));
            stop.and(played)
        };
        tokio::pin!(shown, played);
        tokio::select! {
            left = &mut shown => left,
            played = &mut played => { played?; shown.await }
        }
    }

    /// The commands for a user who left early; with `--keep` the incident can be continued.
    fn afterwards(&self, own: &Session, id: &IncidentId, directory: &Path) -> Vec<String> {
        if self.keep {
            return vec![typed(own, &format!("watch {id}"))];
        }
        vec![format!("{} demo --interactive", program()), remove(directory)]
    }

    fn actor(&self, open_engine: &OpenEngine<'_>) -> Actor {
        if self.interactive { open_engine.who.clone() } else { autoplay::actor() }
    }
}

/// Creates a new directory that only this user can read.
fn directory() -> Result<PathBuf> {
    let path = Path::new(PLACE).join(format!("runbook-demo-{:08x}", crate::surface::cli::chance()));
    let made = DirBuilder::new().mode(0o700).create(&path);
    made.map_err(|error| Failure::error(format!("`{}` cannot be made: {error}", path.display())))?;
    Ok(path)
}

/// This program as it was typed, because it may not be installed yet.
fn program() -> String {
    let typed = std::env::args_os().next().map(|word| shell_word(&word.to_string_lossy()));
    typed.unwrap_or_else(|| "runbook".to_owned())
}

fn ground(session: &Session, directory: &Path) -> Result<Ground> {
    let program = std::env::current_exe()
        .map_err(|error| Failure::error(format!("this program does not find itself: {error}")))?;
    let service: Vec<OsString> = vec![program.into(), "demo-service".into()];
    Ok(Ground { directory: directory.to_owned(), service, clock: session.clock() })
}

/// The settings for the demo's project.
fn settings(settings: &Settings, directory: &Path) -> Settings {
    let shown = shell_word(&directory.to_string_lossy());
    Settings {
        state: Ok(directory.join("state")),
        shop: ProjectSource::Named(directory.to_owned()),
        repeat: vec!["--state".to_owned(), format!("{shown}/state"), "--dir".to_owned(), shown],
        ..settings.clone()
    }
}

fn order(shop: &Project, session: &Session) -> Result<StartRequest> {
    let (runbook, digest) = shop.runbook(RUNBOOK, &session.output)?;
    let estate = shop.estate(&session.output)?;
    Ok(StartRequest {
        incident: IncidentId::from_bits(crate::surface::cli::chance()),
        runbook: runbook.clone(),
        digest: digest.to_owned(),
        environment: shop.environment(None, estate)?,
        estate: estate.clone(),
        params: Map::new(),
        mode: Mode::Guided,
        detected_at: None,
        title: None,
        parent: None,
        alert: None,
    })
}

fn options(open_engine: &OpenEngine<'_>, work: WorkMode) -> terminal::StepperOptions {
    let settings = &open_engine.session.settings;
    terminal::StepperOptions {
        actor: open_engine.who.clone(),
        after: 0,
        patience: ReturnWhen::UntilOver,
        colour: settings.colour(),
        letters: settings.has_unicode(),
        work,
    }
}

/// Resolves the incident, and waits until the post-mortem is written.
async fn resolved(open_engine: &OpenEngine<'_>, id: &IncidentId, by: Actor) -> std::result::Result<(), EngineError> {
    let request = Request::Resolve { summary: resolution(&open_engine.engine.incident(id).await?) };
    open_engine.engine.submit(id, Command { by, request }).await?;
    open_engine.engine.drive(id, ReturnWhen::UntilOver, &CancellationToken::new()).await.map(|_| ())
}

/// The resolution according to the log; the person may have denied everything.
fn resolution(incident: &Incident) -> Option<String> {
    let run = incident.runs.first()?;
    let worked = |id: &&str| {
        let mut attempts = run.steps.iter().filter(|(key, state)| key.id == **id && state.attempt.is_some());
        attempts.any(|(_, state)| state.conclusion() == Some(Conclusion::Succeeded))
    };
    let mended = MENDED.iter().filter(|(ids, _)| ids.iter().any(worked)).map(|(_, words)| *words);
    let words = mended.collect::<Vec<_>>().join("; ");
    (!words.is_empty()).then_some(words)
}

/// Prints the result and what to type next.
fn print_intro(open_engine: &OpenEngine<'_>, id: &IncidentId, directory: &Path, stage: &DemoEnvironment) -> Result {
    let (session, incident) = (open_engine.session, open_engine.incident(id)?);
    let output = &session.output;
    output.print_message("\nwhat #incidents has received:");
    for message in stage.slack().messages() {
        let (first, rest) = if message.in_thread { ("  └ ", "    ") } else { ("  ", "  ") };
        let leads = std::iter::once(first).chain(std::iter::repeat(rest));
        leads
            .zip(message.text.lines())
            .for_each(|(lead, line)| output.print_message(&format!("{lead}{}", printable(line))));
    }
    let draft = incident.draft.map(|draft| directory.join(draft.path));
    let draft = draft.ok_or_else(|| Failure::error("no post-mortem was written"))?;
    output.print_message(&format!(
        "\n{id} is resolved: {}",
        incident.resolution.as_deref().unwrap_or("by the end of the demo")
    ));
    output.print_message("its post-mortem, with every fact filled in and every judgement asked for:");
    output.text(&format!("{}\n", printable(&draft.to_string_lossy())))?;
    output.next(&[
        format!("{} demo --interactive", program()),
        typed(session, &format!("timeline {id}")),
        typed(session, &format!("verify {id}")),
        remove(directory),
    ]);
    Ok(Exit::DONE)
}

/// A command for the demo's own log and project.
fn typed(session: &Session, words: &str) -> String {
    session.command(words).replacen("runbook", &program(), 1)
}

fn remove(directory: &Path) -> String {
    format!("rm -r {}", shell_word(&directory.to_string_lossy()))
}

fn strike(session: &Session, backstage: &Runtime, stage: DemoEnvironment) -> Result<()> {
    backstage.block_on(stage.strike()).map_err(|error| demo_error(&error))?;
    session.output.print_message("\nthe shop is taken away again; its log and its post-mortem stay");
    Ok(())
}

fn demo_error(error: &io::Error) -> Failure {
    Failure::error(format!("the demo's shop: {error}"))
}
