//! The command line: parses what was typed, opens what the command needs, and ends with an exit code.
//!
//! One file a command; its doc comment is its help. Beside them stand the rooms they share: [`settings`] and
//! [`station`] (what a command works with), [`shop`], [`secrets`] and [`person`] (what the host knows), [`output`],
//! [`table`], [`outline`] and [`waiting`] (how things look), [`drive`] and [`detach`] (going on), [`failure`].
//!
//! **Invariant:** a command opens no more than it needs: `--version`, `list`, `lint`, `show`, `kinds`, `schema`,
//! `completions` and `man` start no runtime and touch neither store nor network.
//!
//! Deliberately absent: decisions about incidents. Every command goes through [`crate::engine::Engine::submit`].

use std::borrow::Cow;
use std::ffi::OsString;

use clap::Parser;

use self::failure::{Failure, Result};
use self::settings::{Environment, Flags, Settings};
use self::station::Station;
use crate::domain::text::printable;
use crate::surface::exit::Exit;

mod ack;
mod answer;
mod approve;
mod aside;
mod asking;
mod cancel;
mod completions;
mod confirm;
mod demo;
mod demo_service;
mod deny;
mod detach;
mod doctor;
mod drive;
mod duty;
mod failure;
mod filling;
mod handoff;
mod incidents;
mod init;
mod kinds;
mod lint;
mod list;
mod logs;
mod man;
mod note;
mod outline;
mod output;
mod page;
mod person;
mod plan;
mod postmortem;
mod reference;
mod resolve;
mod retry;
mod role;
mod schedule;
mod schema;
mod secrets;
mod serve;
mod settings;
mod severity;
mod shop;
mod show;
mod simulate;
mod skip;
mod slack;
mod start;
mod station;
mod stats;
mod status;
mod table;
mod target;
mod timeline;
mod undo;
mod unit;
mod update;
mod verify;
mod waiting;
mod watch;
mod work;

/// Executable runbooks for on-call engineers
///
/// Steps through an incident, acts on hosts, keeps a durable log of it, and
/// writes the post-mortem. `runbook demo` shows it.
#[derive(Debug, Parser)]
#[command(name = "runbook", version, verbatim_doc_comment, arg_required_else_help = true)]
#[command(after_long_help = man::exit_codes())]
pub struct Cli {
    #[command(flatten)]
    flags: Flags,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Start(start::Start),
    Serve(serve::Serve),
    Simulate(simulate::Simulate),
    Confirm(confirm::Confirm),
    Watch(watch::Watch),
    Status(status::Status),
    Incidents(incidents::Incidents),
    Schedule(schedule::Schedule),
    Answer(answer::Answer),
    Approve(approve::Approve),
    Deny(deny::Deny),
    Retry(retry::Retry),
    Skip(skip::Skip),
    Undo(undo::Undo),
    Cancel(cancel::Cancel),
    Note(note::Note),
    Ack(ack::Ack),
    Role(role::Role),
    Update(update::Update),
    Severity(severity::Grade),
    Resolve(resolve::Resolve),
    Handoff(handoff::Handoff),
    Timeline(timeline::Timeline),
    Page(page::Page),
    #[command(alias = "report")]
    Postmortem(postmortem::Postmortem),
    Verify(verify::Verify),
    Stats(stats::Stats),
    List(list::List),
    Logs(logs::Logs),
    Show(show::Show),
    Lint(lint::Lint),
    Schema(schema::Schema),
    Kinds(kinds::Kinds),
    Init(init::Init),
    Doctor(doctor::Doctor),
    Demo(demo::Demo),
    Completions(completions::Completions),
    Slack(slack::Slack),
    Unit(unit::Unit),
    Man(man::Man),
    #[command(hide = true)]
    DemoService(demo_service::DemoService),
    #[command(hide = true)]
    Reference(reference::Reference),
    #[command(hide = true)]
    Work(work::Work),
}

impl Command {
    fn run(self, station: &Station) -> Result {
        match self {
            Self::Start(command) => command.run(station),
            Self::Serve(command) => command.run(station),
            Self::Simulate(command) => command.run(station),
            Self::Confirm(command) => command.run(station),
            Self::Watch(command) => command.run(station),
            Self::Status(command) => command.run(station),
            Self::Incidents(command) => command.run(station),
            Self::Schedule(command) => command.run(station),
            Self::Answer(command) => command.run(station),
            Self::Approve(command) => command.run(station),
            Self::Deny(command) => command.run(station),
            Self::Retry(command) => command.run(station),
            Self::Skip(command) => command.run(station),
            Self::Undo(command) => command.run(station),
            Self::Cancel(command) => command.run(station),
            Self::Note(command) => command.run(station),
            Self::Ack(command) => command.run(station),
            Self::Role(command) => command.run(station),
            Self::Update(command) => command.run(station),
            Self::Severity(command) => command.run(station),
            Self::Resolve(command) => command.run(station),
            Self::Handoff(command) => command.run(station),
            Self::Timeline(command) => command.run(station),
            Self::Page(command) => command.run(station),
            Self::Postmortem(command) => command.run(station),
            Self::Verify(command) => command.run(station),
            Self::Stats(command) => command.run(station),
            Self::List(command) => command.run(station),
            Self::Logs(command) => command.run(station),
            Self::Show(command) => command.run(station),
            Self::Lint(command) => command.run(station),
            Self::Schema(command) => command.run(station),
            Self::Kinds(command) => command.run(station),
            Self::Init(command) => command.run(station),
            Self::Doctor(command) => command.run(station),
            Self::Demo(command) => command.run(station),
            Self::DemoService(command) => command.run(station),
            Self::Completions(command) => command.run(station),
            Self::Slack(command) => command.run(station),
            Self::Unit(command) => command.run(station),
            Self::Man(command) => command.run(station),
            Self::Reference(command) => command.run(station),
            Self::Work(command) => command.run(station),
        }
    }
}

/// Does what was typed. `words` begins with the program's name.
pub fn run(words: impl IntoIterator<Item = OsString>) -> Exit {
    let words: Vec<OsString> = words.into_iter().collect();
    // Colour has to be settled before the parser may complain.
    if words.iter().any(|word| word == "--no-color") {
        anstream::ColorChoice::Never.write_global();
    }
    let cli = match Cli::try_parse_from(words) {
        Ok(cli) => cli,
        Err(error) => return complain(&error),
    };
    let draws = matches!(cli.command, Command::Stats(_));
    // Nobody sits before a server: what goes wrong has to stand in its journal.
    let usual = matches!(cli.command, Command::Serve(_)).then_some("runbook=warn");
    let ended = settled(cli.flags, usual).and_then(|station| {
        if station.output.format() == settings::Format::Svg && !draws {
            return Err(Failure::usage("only `stats` can be drawn").hint("`runbook stats -o svg` draws."));
        }
        let ended = cli.command.run(&station);
        ended.map_err(|failure| failure.typed_as(&station.settings.command()))
    });
    crate::actions::transport::host::hang_up();
    ended.unwrap_or_else(|failure: Failure| {
        failure.tell();
        failure.exit
    })
}

fn settled(flags: Flags, usual: Option<&str>) -> Result<Station> {
    let environment = Environment::of_process();
    trace(environment.text("RUNBOOK_LOG").or(usual));
    Ok(Station::new(Settings::resolve(&flags, environment)?))
}

/// Tells on standard error what the program does, for those who mend it: `RUNBOOK_LOG=debug`, or `runbook::engine=debug`.
fn trace(filter: Option<&str>) {
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

/// Prints the parser's word: help and version are data, everything else is a mistake.
fn complain(error: &clap::Error) -> Exit {
    use std::io::Write as _;
    let rendered = error.render();
    let plain = rendered.to_string();
    // What was typed stands in the parser's word, and may hold anything.
    let text = match printable(&plain) {
        Cow::Borrowed(_) => rendered.ansi().to_string(),
        Cow::Owned(harmless) => harmless,
    };
    // A reader that has gone needs no help any more.
    if error.use_stderr() {
        let _ = write!(anstream::stderr().lock(), "{text}");
        return Exit::USAGE;
    }
    let _ = write!(anstream::stdout().lock(), "{text}");
    Exit::DONE
}

/// 32 random bits, for ids that are made at the door.
#[expect(clippy::disallowed_methods, reason = "the door")]
fn chance() -> u32 {
    // The last four bytes of a version 7 UUID are random.
    uuid::Uuid::now_v7().as_u128() as u32
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_commands_fit_together() {
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
