//! An instant as a user types it: a duration ago, or a date and time. `yesterday` and the like are not accepted, because their
//! meaning depends on the time zone.

use chrono::{DateTime, NaiveDateTime, TimeDelta};

use super::text;
use super::time::{Span, Timestamp};

/// The accepted forms of a date and time without a zone. They are in UTC.
const UTC_FORMATS: [&str; 3] = ["%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M:%S"];

/// The instant that a user gave: `5m` is five minutes before `now`, and at the earliest 1970; otherwise RFC 3339, or a date and
/// time in UTC.
///
/// # Errors
///
/// A phrase that quotes the text, also for a date before 1970.
pub fn moment(given: &str, now: Timestamp) -> Result<Timestamp, String> {
    let trimmed = given.trim();
    if let Ok(ago) = trimmed.parse::<Span>() {
        let then = TimeDelta::from_std(ago.0).ok().and_then(|ago| now.checked_sub_signed(ago));
        return Ok(then.unwrap_or(DateTime::UNIX_EPOCH).max(DateTime::UNIX_EPOCH));
    }
    let zoned = DateTime::parse_from_rfc3339(trimmed).ok().map(|at| at.to_utc());
    let utc = || UTC_FORMATS.iter().find_map(|format| NaiveDateTime::parse_from_str(trimmed, format).ok());
    let at = zoned.or_else(|| utc().map(|at| at.and_utc())).filter(|at| *at >= DateTime::UNIX_EPOCH);
    at.ok_or_else(|| format!("`{}`, no length of time such as `5m` and no instant", text::one_line(given, 80)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_before_now_and_an_instant_is_itself() {
        let now = DateTime::from_timestamp(1_700_000_000, 0).expect("an instant");
        assert_eq!(moment("5m", now), Ok(now - TimeDelta::minutes(5)));
        assert_eq!(moment("9999y", now), Ok(DateTime::UNIX_EPOCH));
        for same in
            ["2023-11-14T22:13:20Z", "2023-11-15T00:13:20+02:00", "2023-11-14 22:13:20", " 2023-11-14T22:13:20 "]
        {
            assert_eq!(moment(same, now), Ok(now), "{same}");
        }
        for wrong in ["yesterday", "", "--now", "1969-12-31T00:00:00Z", "5"] {
            assert!(moment(wrong, now).is_err_and(|phrase| phrase.starts_with('`')), "{wrong}");
        }
    }
}
