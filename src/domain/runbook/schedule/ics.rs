//! Schedules as a calendar that other programs subscribe to (RFC 5545).
//!
//! Every instant is written in UTC, so that no definition of a time zone is needed and none can be wrong; a calendar shows
//! it in its reader's zone.
//!
//! **Invariant:** no text can begin a line of its own, and no line is longer than 75 octets.

use crate::domain::core::text::printable;
use crate::domain::core::time::{Span, Timestamp};

/// The longest line, in octets without its end (RFC 5545, 3.1).
const LINE: usize = 75;

/// How long an entry is shown to last, in minutes: how long a run takes is not known before.
const MINUTES: u32 = 30;

/// How often a program that subscribes may ask again.
const REFRESH: Span = Span::seconds(3600);

/// One occurrence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CalendarEntry {
    /// Its name: the same for the same occurrence.
    pub name: String,
    /// When it is due.
    pub due: Timestamp,
    /// A few words.
    pub title: String,
    pub environment: String,
    /// More words.
    pub details: String,
}

/// A calendar of these entries as it stands at `now`.
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
        // Nobody is busy because of it.
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

/// Text with what has a meaning escaped (3.3.11).
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

/// A content line, folded where it is too long: a space begins what goes on (3.1). No character is cut in two.
fn line(out: &mut String, key: &str, value: &str) {
    let mut room = LINE;
    for c in key.chars().chain([':']).chain(value.chars()) {
        if c.len_utf8() > room {
            out.push_str("\r\n ");
            room = LINE - 1;
        }
        out.push(c);
        room -= c.len_utf8();
    }
    out.push_str("\r\n");
}
