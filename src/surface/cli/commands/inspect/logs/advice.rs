//! The messages after a search: what was skipped, and what to type next.

use super::{DEFAULT_SINCE, Lines, Logs, SearchOutcome, attach, flag};
use crate::domain::core::text::grouped;
use crate::surface::cli::context::session::Session;
use crate::surface::cli::output::error::{Failure, Result};
use crate::surface::exit::Exit;

/// Search intervals. If nothing was found, the next longer one is suggested.
const INTERVALS: [&str; 4] = ["1h", "24h", "7d", "90d"];

impl Logs {
    /// Attaches the result if `--attach` is given, and prints what was skipped and what to type next.
    pub(super) fn conclude(&self, found: &SearchOutcome, session: &Session) -> Result {
        if found.lines == 0 && found.searched.error.is_none() {
            self.print_nothing_found(session);
            return Ok(Exit::DONE);
        }
        self.warn(found, session);
        let next = match &self.attach {
            Some(incident) if found.lines > 0 => {
                let searched = format!("runbook {}", Self { attach: None, ..self.clone() }.arguments());
                let id = attach::attach(session, incident, &searched, &found.evidence)?;
                session.output.print_message(&format!("{id}: added to the timeline"));
                format!("timeline {id}")
            }
            _ => self.next(found, session),
        };
        if let Some(error) = &found.searched.error {
            let failure = Failure::error(error.clone());
            return Err(failure.hint("`journalctl --verify` checks the journal files; reading the lines of other accounts needs the group `systemd-journal`."));
        }
        session.output.next(&[session.command(&next)]);
        Ok(Exit::DONE)
    }

    /// Prints which lines are missing from the result.
    fn warn(&self, found: &SearchOutcome, session: &Session) {
        if found.searched.oversized > 0 {
            let count = grouped(found.searched.oversized);
            session.output.warn(&format!("{count} lines were skipped: too long"));
        }
        if found.searched.stopped && !self.follow {
            let shown = grouped(found.lines);
            session
                .output
                .print_message(&format!("the newest {shown} lines; there are more: `--lines all`, or `--summary`"));
        }
    }

    /// Suggests the trace of the newest error, otherwise a summary, otherwise the lines behind the summary.
    fn next(&self, found: &SearchOutcome, session: &Session) -> String {
        let wider = Self { lines: None, ..self.clone() };
        match &found.trace {
            Some(trace) if self.trace.is_none() && !self.summary => {
                let since = self.since.as_deref().unwrap_or(DEFAULT_SINCE);
                let all =
                    Self { service: Vec::new(), order: None, level: None, field: Vec::new(), grep: None, ..wider };
                Self { trace: Some(trace.clone()), since: Some(since.to_owned()), follow: false, ..all }.arguments()
            }
            _ if self.summary => Self { summary: false, lines: Some(Lines::Newest(100)), ..wider }.arguments(),
            _ if self.trace.is_some() && session.has_log().unwrap_or(false) => {
                Self { attach: Some("last".to_owned()), ..wider }.arguments()
            }
            _ => Self { summary: true, follow: false, ..wider }.arguments(),
        }
    }

    /// Reports that nothing was found, and suggests a wider search.
    fn print_nothing_found(&self, session: &Session) {
        let since = self.since.as_deref().unwrap_or(DEFAULT_SINCE);
        let arguments = Self { since: None, until: None, attach: None, summary: false, ..self.clone() }.arguments();
        let filters = arguments.strip_prefix("logs").unwrap_or_default().trim();
        let of = if filters.is_empty() { String::new() } else { format!(" with `{filters}`") };
        let until = self.until.as_ref().map(|until| format!(" until {until}")).unwrap_or_default();
        session.output.print_message(&format!("no lines{of} since {since}{until}"));
        if self.level.is_some() && self.order.is_none() && self.trace.is_none() {
            session
                .output
                .print_message("the level is the one in a line's JSON, otherwise the line's priority in the journal");
        }
        let position = INTERVALS.iter().position(|interval| *interval == since);
        let wider = position.map_or(INTERVALS.get(1), |at| INTERVALS.get(at + 1));
        let next = match wider {
            Some(wider) => Self { since: Some((*wider).to_owned()), until: None, ..self.clone() },
            None => Self { level: None, service: Vec::new(), ..self.clone() },
        };
        session.output.next(&[session.command(&next.arguments())]);
    }

    /// The arguments for this search.
    pub(super) fn arguments(&self) -> String {
        let mut arguments = "logs".to_owned();
        let mut push = |name: &str, value: &Option<String>| {
            arguments.extend(value.iter().map(|value| flag(name, value)));
        };
        let services = (!self.service.is_empty()).then(|| self.service.join(","));
        push("--service", &services);
        push("--order", &self.order);
        push("--trace", &self.trace);
        push("--level", &self.level);
        for (name, value) in &self.field {
            push("--field", &Some(format!("{name}={value}")));
        }
        push("--grep", &self.grep);
        push("--since", &self.since);
        push("--until", &self.until);
        push("--env", &self.environment);
        push("--directory", &self.files.as_ref().map(|path| path.display().to_string()));
        let lines = self.lines.map(|lines| match lines {
            Lines::All => "all".to_owned(),
            Lines::Newest(count) => count.to_string(),
        });
        push("--lines", &lines);
        push("--attach", &self.attach);
        arguments.push_str(if self.follow { " --follow" } else { "" });
        arguments.push_str(if self.summary { " --summary" } else { "" });
        arguments
    }
}
