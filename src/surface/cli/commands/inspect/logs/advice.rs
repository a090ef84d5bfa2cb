//! The messages after a search, on standard error: what was skipped, and what to type next.

use super::{Lines, Logs, SINCE, SearchResult, attach, typed};
use crate::domain::core::text::grouped;
use crate::surface::cli::context::session::Session;
use crate::surface::cli::output::error::{Failure, Result};
use crate::surface::exit::Exit;

/// Increasing search intervals; the next one is suggested when nothing was found.
const WIDER: [&str; 4] = ["1h", "24h", "7d", "90d"];

impl Logs {
    /// Attaches the result if asked to, and prints what was skipped and what to type next.
    pub(super) fn conclude(&self, found: &SearchResult, session: &Session) -> Result {
        if found.lines == 0 && found.searched.error.is_none() {
            self.nothing(session);
            return Ok(Exit::DONE);
        }
        self.warn(found, session);
        let next = match &self.attach {
            Some(incident) if found.lines > 0 => {
                let searched = format!("runbook {}", Self { attach: None, ..self.clone() }.words());
                let id = attach::attach(session, incident, &searched, &found.evidence)?;
                session.output.print_message(&format!("{id}: written down as evidence"));
                format!("timeline {id}")
            }
            _ => self.next(found, session),
        };
        if let Some(error) = &found.searched.error {
            let failure = Failure::error(error.clone());
            return Err(failure.hint("`journalctl --verify` looks for damaged files; reading other accounts' lines needs the group `systemd-journal`."));
        }
        session.output.next(&[session.command(&next)]);
        Ok(Exit::DONE)
    }

    fn warn(&self, found: &SearchResult, session: &Session) {
        if found.searched.oversized > 0 {
            let count = grouped(found.searched.oversized);
            session.output.warn(&format!("{count} lines were too long to be looked at"));
        }
        if found.searched.stopped && !self.follow {
            let shown = grouped(found.lines);
            session
                .output
                .print_message(&format!("the newest {shown} lines; there are more: `--lines all`, or `--summary`"));
        }
    }

    /// Suggests the trace of the newest error, otherwise a summary, otherwise the lines behind the summary.
    fn next(&self, found: &SearchResult, session: &Session) -> String {
        let wider = Self { lines: None, ..self.clone() };
        match &found.trace {
            Some(trace) if self.trace.is_none() && !self.summary => {
                let since = self.since.as_deref().unwrap_or(SINCE);
                let all =
                    Self { service: Vec::new(), order: None, level: None, field: Vec::new(), grep: None, ..wider };
                Self { trace: Some(trace.clone()), since: Some(since.to_owned()), follow: false, ..all }.words()
            }
            _ if self.summary => Self { summary: false, lines: Some(Lines::Newest(100)), ..wider }.words(),
            _ if self.trace.is_some() && session.has_log().unwrap_or(false) => {
                Self { attach: Some("last".to_owned()), ..wider }.words()
            }
            _ => Self { summary: true, follow: false, ..wider }.words(),
        }
    }

    /// Reports that nothing was found, and suggests a wider search.
    fn nothing(&self, session: &Session) {
        let since = self.since.as_deref().unwrap_or(SINCE);
        let words = Self { since: None, until: None, attach: None, summary: false, ..self.clone() }.words();
        let asked = words.strip_prefix("logs").unwrap_or_default().trim();
        let of = if asked.is_empty() { String::new() } else { format!(" with `{asked}`") };
        let until = self.until.as_ref().map(|until| format!(" until {until}")).unwrap_or_default();
        session.output.print_message(&format!("no lines{of} since {since}{until}"));
        if self.level.is_some() && self.order.is_none() && self.trace.is_none() {
            session.output.print_message("the level is the one inside a line, or its priority where it has none");
        }
        let position = WIDER.iter().position(|known| *known == since);
        let wider = position.map_or(WIDER.get(1), |at| WIDER.get(at + 1));
        let next = match wider {
            Some(wider) => Self { since: Some((*wider).to_owned()), until: None, ..self.clone() },
            None => Self { level: None, service: Vec::new(), ..self.clone() },
        };
        session.output.next(&[session.command(&next.words())]);
    }

    /// The command line for this search.
    pub(super) fn words(&self) -> String {
        let mut words = "logs".to_owned();
        let mut push = |flag: &str, value: &Option<String>| {
            words.extend(value.iter().map(|value| typed(flag, value)));
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
        words.push_str(if self.follow { " --follow" } else { "" });
        words.push_str(if self.summary { " --summary" } else { "" });
        words
    }
}
