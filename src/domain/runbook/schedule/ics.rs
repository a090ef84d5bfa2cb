//! Schedules as a calendar that other programs subscribe to (RFC 5545).
//!
//! Instants are in UTC, so no time zone has to be defined. A calendar shows them in the zone of its reader.
//!
//! **Invariant:** no text adds a line to the calendar, and no line is longer than 75 octets.

use crate::domain::core::text::printable;
use crate::domain::core::time::{Span, Timestamp};

/// The longest line, in octets without the line end (RFC 5545, 3.1).
const LINE: usize = 75;

/// The duration of every entry, in minutes. The duration of a run is not known in advance.
const MINUTES: u32 = 30;

/// The refresh interval for programs that subscribe.
const REFRESH: Span = Span::seconds(3600);

/// One occurrence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CalendarEntry {
    /// The unique name of the occurrence.
    pub name: String,
    /// When it is due.
    pub due: Timestamp,
    /// The summary.
    pub title: String,
    pub environment: String,
    /// The description.
    pub details: String,
}

/// A calendar of these entries. `now` is the instant of its creation.
pub fn calendar(name: &str, entries: &[CalendarEntry], now: Timestamp) -> String {
    let mut out = String::new();
    let refresh = format!("PT{}S", REFRESH.0.as_secs());
    line(&mut out, "BEGIN", "VCALENDAR");
    line(&mut out, "VERSION", "2.0");
    line(&mut out, "PRODID", "-//runbook//maintenance//EN");
    line(&mut out, "METHOD", "PUBLISH");
    for key in ["NAME", "X-WR-CALNAME"] {
        line(&mut out, key, &text(&format!("{name}: maintenance")));
    }
    line(&mut out, "REFRESH-INTERVAL;VALUE=DURATION", &refresh);
    line(&mut out, "X-PUBLISHED-TTL", &refresh);
    for entry in entries {
        line(&mut out, "BEGIN", "VEVENT");
        line(&mut out, "UID", &text(&format!("{}@runbook", entry.name)));
        line(&mut out, "DTSTAMP", &instant(now));
        line(&mut out, "DTSTART", &instant(entry.due));
        line(&mut out, "DURATION", &format!("PT{MINUTES}M"));
        line(&mut out, "SUMMARY", &text(&entry.title));
        line(&mut out, "LOCATION", &text(&entry.environment));
        line(&mut out, "DESCRIPTION", &text(&entry.details));
        line(&mut out, "CATEGORIES", "MAINTENANCE");
        // Calendars do not show the time as busy.
        line(&mut out, "TRANSP", "TRANSPARENT");
        line(&mut out, "END", "VEVENT");
    }
    line(&mut out, "END", "VCALENDAR");
    out
}

/// An instant in UTC (3.3.5, form 2).
fn instant(at: Timestamp) -> String {
    at.format("%Y%m%dT%H%M%SZ").to_string()
}

/// Text with special characters escaped (3.3.11).
fn text(raw: &str) -> String {
    let mut safe = String::with_capacity(raw.len());
    for c in printable(raw).chars() {
        match c {
            '\\' | ';' | ',' => safe.extend(['\\', c]),
            '\n' => safe.push_str("\\n"),
            '\r' => {}
            c => safe.push(c),
        }
    }
    safe
}

/// A content line. A long one is folded: each continuation begins with a space (3.1). No character is split.
fn line(out: &mut String, key: &str, value: &str) {
    let mut left = LINE;
    for c in key.chars().chain([':']).chain(value.chars()) {
        if c.len_utf8() > left {
            out.push_str("\r\n ");
            left = LINE - 1;
        }
        out.push(c);
        left -= c.len_utf8();
    }
    out.push_str("\r\n");
}
