//! `runbook timeline`: shows an incident's timeline.

use crate::domain::incident::event::Recorded;
use crate::domain::report::timeline;
use crate::surface::cli::context::args::ReadTarget;
use crate::surface::cli::context::session::Session;
use crate::surface::cli::output::error::Result;
use crate::surface::cli::output::table::wrapped;
use crate::surface::exit::Exit;

/// Show an incident's timeline
///
/// Each line has the number of an event and its time in UTC. As JSON, prints
/// the events as they are in the log.
///
/// Examples:
///   runbook timeline
///   runbook timeline lusab-fidok -o jsonl
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Timeline {
    #[command(flatten)]
    target: ReadTarget,
    /// Only the notable events
    #[arg(long)]
    short: bool,
}

impl Timeline {
    /// Prints the timeline.
    pub fn run(self, session: &Session) -> Result {
        let open_engine = session.open_read_only()?;
        let id = open_engine.find(self.target.incident.as_deref())?;
        let log = open_engine.log(&id)?;
        if session.output.is_table() {
            session.output.text(&self.lines(&log, session.settings.width()))?;
        } else {
            session.output.list(&log)?;
        }
        session.output.next(&[session.command(&format!("postmortem {id} --print"))]);
        Ok(Exit::DONE)
    }

    fn lines(&self, log: &[Recorded], width: Option<usize>) -> String {
        let timeline = timeline::Timeline::of(log);
        let entries: Vec<&timeline::TimelineEntry> =
            if self.short { timeline.notable().collect() } else { timeline.entries.iter().collect() };
        entries.into_iter().map(|entry| line(entry, width)).collect()
    }
}

/// One entry: number, time, actor and text. A text that is too wide goes below the time.
fn line(entry: &timeline::TimelineEntry, width: Option<usize>) -> String {
    let head = format!("{:>4}  {}  ", entry.seq, entry.at.format("%Y-%m-%d %H:%M:%SZ"));
    let text = format!("{}: {}", entry.who, entry.text);
    match width {
        Some(width) if width < head.len() + text.chars().count() => {
            format!("{}\n{}", head.trim_end(), wrapped(&text, width, "      "))
        }
        _ => format!("{head}{text}\n"),
    }
}
