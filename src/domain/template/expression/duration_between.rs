//! Filters for the time between two instants: `incident.opened_at | days_since(steps.backup.body.created_at)`.
//!
//! Not here: the current time. Rendering does not depend on a clock.

use chrono::{DateTime, NaiveDate, NaiveTime};
use minijinja::{Error, ErrorKind, Value};

use crate::domain::core::time::Timestamp;

/// Seconds of an hour and of a day.
const HOUR: f64 = 3600.0;
const DAY: f64 = 24.0 * HOUR;

/// Days from `earlier` to `later`, rounded to two decimals; negative if `later` is before `earlier`.
pub(super) fn days_since(later: &Value, earlier: &Value) -> Result<f64, Error> {
    between(later, earlier, DAY)
}

/// As [`days_since`], in hours.
pub(super) fn hours_since(later: &Value, earlier: &Value) -> Result<f64, Error> {
    between(later, earlier, HOUR)
}

fn between(later: &Value, earlier: &Value, unit: f64) -> Result<f64, Error> {
    let seconds = (read(later)? - read(earlier)?).as_seconds_f64();
    Ok((seconds / unit * 100.0).round() / 100.0)
}

/// An instant in the form of RFC 3339, or a date, which stands for midnight UTC.
fn read(value: &Value) -> Result<Timestamp, Error> {
    let text = value.as_str().unwrap_or_default().trim();
    let date = || text.parse::<NaiveDate>().ok().map(|date| date.and_time(NaiveTime::MIN).and_utc());
    let instant = DateTime::parse_from_rfc3339(text).map(|at| at.to_utc()).ok().or_else(date);
    instant.ok_or_else(|| {
        let shown = crate::domain::core::text::one_line(&value.to_string(), 60);
        Error::new(
            ErrorKind::InvalidOperation,
            format!("`{shown}` is no instant such as 2026-11-22T03:04:05Z, and no date"),
        )
    })
}
