//! The command line: parses the arguments, runs a command, and returns an exit code.
//!
//! Each command has a file under [`commands`]. They share [`context`] (settings, project, engine), [`output`] (printing)
//! and [`follow`] (continuing an incident).
//!
//! **Invariant:** a command opens no more than it needs: `--version`, `list`, `lint`, `show`, `kinds`, `schema`,
//! `completions` and `man` start no runtime and use neither store nor network.
//!
//! Not here: decisions about incidents. Decisions are made by the engine.

mod commands;
mod context;
mod follow;
mod output;

use std::borrow::Cow;
use std::ffi::OsString;

use clap::Parser;

use self::commands::{authoring, incident, inspect, operate};
use self::context::session::Session;
use self::context::settings::{EnvironmentVariables, Flags, Settings};
use self::output::error::{Failure, Result};
use crate::domain::core::text::printable;
use crate::surface::exit::Exit;

/// Executable runbooks for on-call engineers
///
/// Guides a person through an incident, acts on hosts, records everything in a
/// durable log, and writes the post-mortem. `runbook demo` shows an example.
#[derive(Debug, Parser)]
#[command(name = "runbook", version, verbatim_doc_comment, arg_required_else_help = true)]
#[command(after_long_help = operate::man::exit_codes())]
pub struct Cli {
    #[command(flatten)]
    flags: Flags,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Start(incident::start::Start),
    Serve(operate::serve::Serve),
    Simulate(authoring::simulate::Simulate),
    Confirm(incident::confirm::Confirm),
    Watch(incident::watch::Watch),
    Status(inspect::status::Status),
    Incidents(inspect::incidents::Incidents),
    Schedule(authoring::schedule::Schedule),
    Answer(incident::answer::Answer),
    Approve(incident::approve::Approve),
    Deny(incident::deny::Deny),
    Retry(incident::retry::Retry),
    Skip(incident::skip::Skip),
    Undo(incident::undo::Undo),
    Cancel(incident::cancel::Cancel),
    Note(incident::note::Note),
    Ack(incident::ack::Ack),
    Role(incident::role::Role),
    Update(incident::update::Update),
    Severity(incident::severity::SetSeverity),
    Resolve(incident::resolve::Resolve),
    Handoff(inspect::handoff::Handoff),
    Timeline(inspect::timeline::Timeline),
    Page(inspect::page::Page),
    #[command(alias = "report")]
    Postmortem(inspect::postmortem::Postmortem),
    Verify(inspect::verify::Verify),
    Stats(inspect::stats::Stats),
    List(authoring::list::List),
    Logs(inspect::logs::Logs),
    Show(authoring::show::Show),
    Lint(authoring::lint::Lint),
    Schema(authoring::schema::Schema),
    Kinds(authoring::kinds::Kinds),
    Init(authoring::init::Init),
    Doctor(operate::doctor::Doctor),
    Demo(operate::demo::Demo),
    Completions(operate::completions::Completions),
    Slack(operate::slack::Slack),
    Unit(operate::unit::UnitCommand),
    Man(operate::man::Man),
    #[command(hide = true)]
    DemoService(operate::demo_service::DemoService),
    #[command(hide = true)]
    Reference(authoring::reference::Reference),
    #[command(hide = true)]
    Work(incident::background_worker::BackgroundWorker),
}

impl Command {
    fn run(self, session: &Session) -> Result {
        match self {
            Self::Start(command) => command.run(session),
            Self::Serve(command) => command.run(session),
            Self::Simulate(command) => command.run(session),
            Self::Confirm(command) => command.run(session),
            Self::Watch(command) => command.run(session),
            Self::Status(command) => command.run(session),
            Self::Incidents(command) => command.run(session),
            Self::Schedule(command) => command.run(session),
            Self::Answer(command) => command.run(session),
            Self::Approve(command) => command.run(session),
            Self::Deny(command) => command.run(session),
            Self::Retry(command) => command.run(session),
            Self::Skip(command) => command.run(session),
            Self::Undo(command) => command.run(session),
            Self::Cancel(command) => command.run(session),
            Self::Note(command) => command.run(session),
            Self::Ack(command) => command.run(session),
            Self::Role(command) => command.run(session),
            Self::Update(command) => command.run(session),
            Self::Severity(command) => command.run(session),
            Self::Resolve(command) => command.run(session),
            Self::Handoff(command) => command.run(session),
            Self::Timeline(command) => command.run(session),
            Self::Page(command) => command.run(session),
            Self::Postmortem(command) => command.run(session),
            Self::Verify(command) => command.run(session),
            Self::Stats(command) => command.run(session),
            Self::List(command) => command.run(session),
            Self::Logs(command) => command.run(session),
            Self::Show(command) => command.run(session),
            Self::Lint(command) => command.run(session),
            Self::Schema(command) => command.run(session),
            Self::Kinds(command) => command.run(session),
            Self::Init(command) => command.run(session),
            Self::Doctor(command) => command.run(session),
            Self::Demo(command) => command.run(session),
            Self::DemoService(command) => command.run(session),
            Self::Completions(command) => command.run(session),
            Self::Slack(command) => command.run(session),
            Self::Unit(command) => command.run(session),
            Self::Man(command) => command.run(session),
            Self::Reference(command) => command.run(session),
            Self::Work(command) => command.run(session),
        }
    }
}

/// Runs a command line. The first argument is the program's name.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> Exit {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    // Checked before parsing, because the parser prints its errors in colour.
    if arguments.iter().any(|argument| argument == "--no-color") {
        anstream::ColorChoice::Never.write_global();
    }
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => return print_parser_output(&error),
    };
    let has_svg = matches!(cli.command, Command::Stats(_));
    // A server prints warnings by default, which go to the journal of its unit.
    let default_filter = matches!(cli.command, Command::Serve(_)).then_some("runbook=warn");
    let result = open_session(cli.flags, default_filter).and_then(|session| {
        if session.output.format() == output::format::Format::Svg && !has_svg {
            return Err(Failure::usage("only `stats` has the format `svg`").hint("Type `runbook stats -o svg`."));
        }
        cli.command.run(&session).map_err(|failure| failure.typed_as(&session.settings.command()))
    });
    crate::actions::transport::host::close_connections();
    result.unwrap_or_else(|failure: Failure| {
        failure.print();
        failure.exit
    })
}

fn open_session(flags: Flags, default_filter: Option<&str>) -> Result<Session> {
    let environment = EnvironmentVariables::of_process();
    print_diagnostics(environment.text("RUNBOOK_LOG").or(default_filter));
    Ok(Session::new(Settings::resolve(&flags, environment)?))
}

/// Prints diagnostics for developers on standard error. The filter is such as `debug` or `runbook::engine=debug`.
fn print_diagnostics(filter: Option<&str>) {
    if let Some(filter) = filter {
        let directives = tracing_subscriber::EnvFilter::new(filter);
        // A second call in one process changes nothing.
        let _ = tracing_subscriber::fmt()
            .with_env_filter(directives)
            .with_writer(std::io::stderr)
            .with_ansi(false)
            .try_init();
    }
}

/// Prints the parser's output: help and version on standard output, an error on standard error.
fn print_parser_output(error: &clap::Error) -> Exit {
    use std::io::Write as _;
    let rendered = error.render();
    let plain = rendered.to_string();
    // The message quotes the arguments, which may hold control characters. Then it is printed without colour.
    let text = match printable(&plain) {
        Cow::Borrowed(_) => rendered.ansi().to_string(),
        Cow::Owned(escaped) => escaped,
    };
    // Errors are ignored: the reader has closed the stream.
    if error.use_stderr() {
        let _ = write!(anstream::stderr().lock(), "{text}");
        return Exit::USAGE;
    }
    let _ = write!(anstream::stdout().lock(), "{text}");
    Exit::DONE
}

/// 32 random bits for an incident id.
#[expect(clippy::disallowed_methods, reason = "an entry point may use random numbers")]
fn random_bits() -> u32 {
    // The last four bytes of a version 7 UUID are random.
    uuid::Uuid::now_v7().as_u128() as u32
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_definitions_of_the_commands_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_has_help_with_an_example() {
        for command in Cli::command().get_subcommands().filter(|command| !command.is_hide_set()) {
            let help = command.get_long_about().map(ToString::to_string).unwrap_or_default();
            let example = format!("  runbook {}", command.get_name());
            assert!(help.contains(&example), "{}: {help}", command.get_name());
            assert!(help.lines().all(|line| line.len() <= 78), "{}", command.get_name());
        }
    }
}
