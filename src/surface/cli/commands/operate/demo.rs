//! `runbook demo`: plays an incident from beginning to end with the demo's project, an engine and an interface.
//!
//! Not here: the project and the automatic answers, which are in [`crate::surface::demo`].

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
use crate::surface::cli::context::project::{Project, chosen_environment};
use crate::surface::cli::context::session::{OpenEngine, Session};
use crate::surface::cli::context::settings::{ProjectSource, Settings};
use crate::surface::cli::follow::until_done;
use crate::surface::cli::output::error::{Failure, Result};
use crate::surface::demo::autoplay;
use crate::surface::demo::environment::{DemoEnvironment, DemoOptions, SERVICES};
use crate::surface::exit::Exit;
use crate::surface::terminal::{self, Left, StepperOptions, WorkMode};

/// Where the demo's directory is created. The path is short, because it holds sockets.
const PARENT_DIRECTORY: &str = "/tmp";

/// The runbook that is played.
const RUNBOOK: &str = "p1";

/// How long the services fail before the incident opens, so that the first check finds errors in the journal.
const DETECTION_DELAY: Duration = Duration::from_millis(1_500);

/// The steps of the demo's runbook that fix something, and the text for the resolution if one of them succeeds.
const FIXES: [(&[&str], &str); 2] = [
    (&["rollback"], "the bad merge was reverted"),
    (&["restart", "restart_process"], "the affected services were restarted"),
];

/// Play an incident from beginning to end on a small demo shop
///
/// Starts a few small services, breaks them, and runs the runbook slowly
/// enough to read. Needs no privileges, network or configuration, takes under
/// a minute, and stops everything that it has started.
///
/// Examples:
///   runbook demo
///   runbook demo --interactive
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Demo {
    /// Answer the questions yourself
    #[arg(long, short)]
    interactive: bool,
    /// Keep the demo shop running at the end, until Ctrl-C
    #[arg(long)]
    keep: bool,
}

impl Demo {
    /// Builds the demo's environment, plays the incident and removes the environment.
    pub fn run(self, session: &Session) -> Result {
        if self.interactive && !session.settings.streams.interactive() {
            return Err(Failure::usage("`--interactive` needs a terminal")
                .hint("Without `--interactive` the demo answers the questions."));
        }
        let directory = directory()?;
        // A separate runtime, because the services run independently of the engine.
        let services_runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .map_err(|error| Failure::error(format!("the runtime cannot start: {error}")))?;
        session.output.print_message(&format!(
            "starting a demo shop of {} small services in `{}`",
            SERVICES.len(),
            directory.display()
        ));
        let environment = services_runtime
            .block_on(DemoEnvironment::build(demo_options(session, &directory)?))
            .map_err(|error| demo_error(&error))?;
        environment.missing().iter().for_each(|missing| session.output.warn(missing));
        let result = self.play(session, &directory, &environment);
        if self.keep && result.is_ok() {
            session.output.print_message("the demo shop is running; Ctrl-C stops it");
            // The stepper has replaced the default handlers of signals, so they are handled here, also SIGHUP.
            services_runtime.block_on(async { until_done::detach_on_signal().cancelled().await });
        }
        remove_environment(session, &services_runtime, environment)?;
        result
    }

    fn play(&self, session: &Session, directory: &Path, environment: &DemoEnvironment) -> Result {
        environment.break_it().map_err(|error| demo_error(&error))?;
        session.output.print_message("somebody merges `faster-checkout`; the gateway breaks\n");
        let demo_session = Session::new(demo_settings(&session.settings, directory));
        let project = Project::open(&demo_session.settings)?;
        let request = start_request(&project, &demo_session)?;
        let open_engine = demo_session.open(project)?;
        let id = request.incident.clone();
        open_engine.wait(async {
            sleep(&*session.clock(), DETECTION_DELAY).await;
            Ok::<(), EngineError>(())
        })?;
        open_engine.submit(&id, Request::Start(Box::new(request)))?;
        let left = open_engine.wait(self.show(&open_engine, &id))?;
        if left != Left::Over {
            demo_session.output.print_message("you have left the demo");
            demo_session.output.next(&self.next_after_leaving(&demo_session, &id, directory));
            return Ok(Exit::INTERRUPTED);
        }
        open_engine.wait(resolve(&open_engine, &id, self.actor(&open_engine)))?;
        print_result(&open_engine, &id, directory, environment)
    }

    /// Runs the interface. Unless the person answers, the engine and the automatic answers run beside it.
    async fn show(&self, open_engine: &OpenEngine<'_>, id: &IncidentId) -> std::result::Result<Left, EngineError> {
        let work = if self.interactive { WorkMode::Drive } else { WorkMode::Watch };
        let options = StepperOptions { work, ..until_done::stepper_options(open_engine, 0, ReturnWhen::UntilOver) };
        if self.interactive {
            return terminal::step(&open_engine.engine, id, options).await;
        }
        let settings = &open_engine.session.settings;
        let interface = async {
            match settings.streams.interactive() && open_engine.session.output.is_table() {
                true => terminal::step(&open_engine.engine, id, options).await,
                false => terminal::plain(&open_engine.engine, id, options).await,
            }
        };
        let detach = CancellationToken::new();
        let play = async {
            let drive = open_engine.engine.drive(id, ReturnWhen::UntilOver, &detach);
            let (stop, answered) = tokio::join!(drive, autoplay::play(&open_engine.engine, id));
            stop.and(answered)
        };
        tokio::pin!(interface, play);
        tokio::select! {
            left = &mut interface => left,
            played = &mut play => { played?; interface.await }
        }
    }

    /// The commands to type after leaving early. Only with `--keep` can the incident be continued.
    fn next_after_leaving(&self, demo_session: &Session, id: &IncidentId, directory: &Path) -> Vec<String> {
        if self.keep {
            return vec![command(demo_session, &format!("watch {id}"))];
        }
        vec![format!("{} demo --interactive", program()), remove_command(directory)]
    }

    fn actor(&self, open_engine: &OpenEngine<'_>) -> Actor {
        if self.interactive { open_engine.actor.clone() } else { autoplay::actor() }
    }
}

/// Creates a new directory that only this user can read.
fn directory() -> Result<PathBuf> {
    let path = Path::new(PARENT_DIRECTORY).join(format!("runbook-demo-{:08x}", crate::surface::cli::random_bits()));
    let created = DirBuilder::new().mode(0o700).create(&path);
    created.map_err(|error| Failure::error(format!("`{}` cannot be created: {error}", path.display())))?;
    Ok(path)
}

/// The name of this program as it was typed, because it may not be installed.
fn program() -> String {
    let name = std::env::args_os().next().map(|name| shell_word(&name.to_string_lossy()));
    name.unwrap_or_else(|| "runbook".to_owned())
}

fn demo_options(session: &Session, directory: &Path) -> Result<DemoOptions> {
    let program =
        std::env::current_exe().map_err(|error| Failure::error(format!("this program cannot be found: {error}")))?;
    let service: Vec<OsString> = vec![program.into(), "demo-service".into()];
    Ok(DemoOptions { directory: directory.to_owned(), service, clock: session.clock() })
}

/// The settings for the demo's project.
fn demo_settings(settings: &Settings, directory: &Path) -> Settings {
    let shown = shell_word(&directory.to_string_lossy());
    Settings {
        state: Ok(directory.join("state")),
        project: ProjectSource::Named(directory.to_owned()),
        repeat: vec!["--state".to_owned(), format!("{shown}/state"), "--dir".to_owned(), shown],
        ..settings.clone()
    }
}

fn start_request(project: &Project, session: &Session) -> Result<StartRequest> {
    let (runbook, digest) = project.runbook(RUNBOOK, &session.output)?;
    let estate = project.estate(&session.output)?;
    Ok(StartRequest {
        incident: IncidentId::from_bits(crate::surface::cli::random_bits()),
        runbook: runbook.clone(),
        digest: digest.to_owned(),
        environment: chosen_environment(None, estate)?,
        estate: estate.clone(),
        params: Map::new(),
        mode: Mode::Guided,
        detected_at: None,
        title: None,
        parent: None,
        alert: None,
    })
}

/// Resolves the incident, and waits until the post-mortem is written.
async fn resolve(open_engine: &OpenEngine<'_>, id: &IncidentId, by: Actor) -> std::result::Result<(), EngineError> {
    let request = Request::Resolve { summary: resolution(&open_engine.engine.incident(id).await?) };
    open_engine.engine.submit(id, Command { by, request }).await?;
    open_engine.engine.drive(id, ReturnWhen::UntilOver, &CancellationToken::new()).await.map(|_| ())
}

/// The text of the resolution: the fixes that succeeded. None if the person has denied all of them.
fn resolution(incident: &Incident) -> Option<String> {
    let run = incident.runs.first()?;
    let succeeded = |id: &&str| {
        let mut attempts = run.steps.iter().filter(|(key, state)| key.id == **id && state.attempt.is_some());
        attempts.any(|(_, state)| state.conclusion() == Some(Conclusion::Succeeded))
    };
    let fixes = FIXES.iter().filter(|(ids, _)| ids.iter().any(succeeded)).map(|(_, text)| *text);
    let text = fixes.collect::<Vec<_>>().join("; ");
    (!text.is_empty()).then_some(text)
}

/// Prints the result and what to type next.
fn print_result(
    open_engine: &OpenEngine<'_>,
    id: &IncidentId,
    directory: &Path,
    environment: &DemoEnvironment,
) -> Result {
    let (session, incident) = (open_engine.session, open_engine.incident(id)?);
    let output = &session.output;
    output.print_message("\nmessages in #incidents:");
    for message in environment.slack().messages() {
        let (first, rest) = if message.in_thread { ("  └ ", "    ") } else { ("  ", "  ") };
        let prefixes = std::iter::once(first).chain(std::iter::repeat(rest));
        prefixes
            .zip(message.text.lines())
            .for_each(|(prefix, line)| output.print_message(&format!("{prefix}{}", printable(line))));
    }
    let draft = incident.draft.map(|draft| directory.join(draft.path));
    let draft = draft.ok_or_else(|| Failure::error("no post-mortem was written"))?;
    output.print_message(&format!(
        "\n{id} is resolved: {}",
        incident.resolution.as_deref().unwrap_or("by the end of the demo")
    ));
    output.print_message("its post-mortem: facts are filled in, and `TODO` marks each question for a person:");
    output.text(&format!("{}\n", printable(&draft.to_string_lossy())))?;
    output.next(&[
        format!("{} demo --interactive", program()),
        command(session, &format!("timeline {id}")),
        command(session, &format!("verify {id}")),
        remove_command(directory),
    ]);
    Ok(Exit::DONE)
}

/// A command for the demo's log and project.
fn command(demo_session: &Session, arguments: &str) -> String {
    demo_session.command(arguments).replacen("runbook", &program(), 1)
}

fn remove_command(directory: &Path) -> String {
    format!("rm -r {}", shell_word(&directory.to_string_lossy()))
}

fn remove_environment(session: &Session, runtime: &Runtime, environment: DemoEnvironment) -> Result<()> {
    runtime.block_on(environment.remove()).map_err(|error| demo_error(&error))?;
    session.output.print_message("\nthe demo shop was removed; its log and its post-mortem remain");
    Ok(())
}

fn demo_error(error: &io::Error) -> Failure {
    Failure::error(format!("the demo shop: {error}"))
}
