//! Time zones of the IANA database, by the crate jiff, which has the database inside the program. The machine's database is not
//! read, because it may be missing.
//!
//! All other code uses chrono; [`zoned`] and [`instant`] convert its instants to jiff's and back.

use jiff::Zoned;
use jiff::tz::{TimeZone, TimeZoneDatabase};

use super::time::Timestamp;

/// The last nanosecond of a second. In a leap second, chrono has larger numbers.
const LAST_NANOSECOND: u32 = 999_999_999;

/// The zone of this name, which must have the case of the database.
pub fn named(name: &str) -> Option<TimeZone> {
    TimeZoneDatabase::bundled().get(name).ok().filter(|zone| zone.iana_name() == Some(name))
}

/// The names of all zones.
pub fn names() -> Vec<String> {
    TimeZoneDatabase::bundled().available().map(|name| name.to_string()).collect()
}

/// The local time of an instant in a zone; none outside the years that jiff supports, which end with 9999.
pub fn zoned(at: Timestamp, zone: &TimeZone) -> Option<Zoned> {
    let nanosecond = i32::try_from(at.timestamp_subsec_nanos().min(LAST_NANOSECOND)).ok()?;
    Some(jiff::Timestamp::new(at.timestamp(), nanosecond).ok()?.to_zoned(zone.clone()))
}

/// The instant of a local time, to the microsecond.
pub fn instant(time: &Zoned) -> Option<Timestamp> {
    chrono::DateTime::from_timestamp_micros(time.timestamp().as_microsecond())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn utc(text: &str) -> Timestamp {
        text.parse().expect("an instant")
    }

    #[track_caller]
    fn shows(zone: &str, at: &str, expected: &str) {
        let shown = zoned(utc(at), &named(zone).expect("a zone")).expect("a time");
        assert_eq!(shown.strftime("%Y-%m-%d %H:%M:%S %:z").to_string(), expected);
        assert_eq!(instant(&shown), Some(utc(at)));
    }

    #[test]
    fn an_instant_has_a_local_time_in_each_zone() {
        shows("Africa/Lusaka", "2026-11-23T07:00:00Z", "2026-11-23 09:00:00 +02:00");
        shows("Europe/Berlin", "2026-03-29T00:59:59Z", "2026-03-29 01:59:59 +01:00");
        shows("Europe/Berlin", "2026-03-29T01:00:00Z", "2026-03-29 03:00:00 +02:00");
        shows("America/New_York", "2040-07-01T12:00:00Z", "2040-07-01 08:00:00 -04:00");
        shows("UTC", "2026-01-01T00:00:00Z", "2026-01-01 00:00:00 +00:00");
    }

    #[test]
    fn only_names_of_the_database_are_zones() {
        assert!(names().len() > 400 && names().iter().all(|name| named(name).is_some()));
        for unknown in ["", "Africa/lusaka", "utc", "CAT-2", "Mars/Olympus", "Etc/Unknown", "../etc/passwd"] {
            assert!(named(unknown).is_none(), "{unknown}");
        }
    }

    #[test]
    fn an_instant_is_converted_and_back_unless_it_is_out_of_range() {
        let lusaka = named("Africa/Lusaka").expect("a zone");
        let back = |at: Timestamp| zoned(at, &lusaka).and_then(|time| instant(&time));
        for at in ["1900-01-01T00:00:00.25Z", "1969-12-31T23:59:59.999999Z", "9999-12-30T22:00:00Z"] {
            assert_eq!(back(utc(at)), Some(utc(at)));
        }
        assert_eq!(back(utc("2016-12-31T23:59:60Z")), Some(utc("2016-12-31T23:59:59.999999Z")), "a leap second");
        for at in [Timestamp::MIN_UTC, Timestamp::MAX_UTC] {
            assert_eq!(back(at), None);
        }
    }
}
