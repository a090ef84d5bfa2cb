//! What was typed becomes a search: names become units, words of time instants.
//!
//! **Invariant:** a date or a time of day is in the reader's own zone, as the times that are shown are.

use chrono::{DateTime, Local, NaiveDate, NaiveDateTime, NaiveTime, TimeZone};

use super::context::SearchContext;
use super::{Logs, SINCE};
use crate::domain::config::estate::Estate;
use crate::domain::core::glob_name::{matches, suffixed};
use crate::domain::core::text;
use crate::domain::core::time::Timestamp;
use crate::domain::core::time_input::moment;
use crate::domain::journal::filter::{FieldValue, JournalFilter, TextPattern};
use crate::domain::journal::level::Level;
use crate::surface::cli::context::session::Session;
use crate::surface::cli::output::error::{Failure, Result};

/// Date and time as people type them.
const DATES_AND_TIMES: [&str; 4] = ["%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%dT%H:%M"];

const TIMES: [&str; 2] = ["%H:%M:%S%.f", "%H:%M"];

impl Logs {
    /// The search of these arguments.
    pub(super) fn filter(&self, bench: &SearchContext, session: &Session) -> Result<JournalFilter> {
        let now = session.clock().now();
        let since = instant("--since", self.since.as_deref().unwrap_or(SINCE), now)?;
        let until = self.until.as_deref().map(|until| instant("--until", until, now)).transpose()?;
        if until.is_some_and(|until| until < since) {
            return Err(Failure::usage("`--until` is before `--since`")
                .hint("`--since 20m --until 10m` is from twenty minutes ago to ten minutes ago."));
        }
        let ids = [("--order", &self.order), ("--trace", &self.trace)];
        let mentions = ids.into_iter().filter_map(|(flag, id)| {
            let id = id.as_ref()?;
            Some(if id.trim().is_empty() {
                Err(Failure::usage(format!("`{flag}` is empty")))
            } else {
                TextPattern::mention(id.trim()).map_err(|error| Failure::usage(format!("`{flag}`: {error}")))
            })
        });
        let regex = self.grep.as_deref().map(|regex| {
            TextPattern::regex(regex).map_err(|error| {
                Failure::usage(format!("`--grep`: {error}")).hint("A backslash makes a sign stand for itself: `\\(`.")
            })
        });
        let units: Vec<Vec<String>> = self
            .service
            .iter()
            .filter(|name| !name.is_empty())
            .map(|name| units(name, &bench.context.estate, bench.has_estate))
            .collect::<Result<_>>()?;
        Ok(JournalFilter {
            since,
            until,
            units: units.concat(),
            level: self.level.as_deref().and_then(Level::named),
            patterns: mentions.chain(regex).collect::<Result<_>>()?,
            fields: self.field.iter().map(|(name, value)| FieldValue::new(name, value)).collect(),
        })
    }
}

/// Parses an instant: a duration ago, an instant with its zone, or a local date, time of day or both.
fn instant(flag: &str, typed: &str, now: Timestamp) -> Result<Timestamp> {
    let zoned = || moment(typed, now).ok().filter(|_| here(typed, now).is_none());
    here(typed, now).or_else(zoned).ok_or_else(|| {
        let shown = text::one_line(typed, 80);
        Failure::usage(format!("`{flag}` is `{shown}`, no length of time and no instant"))
            .hint("Type how long ago such as `10m`, a time of day such as `09:30`, or `2026-11-24 09:30`.")
    })
}

/// A local date, time of day or both. A time of day in the future means yesterday's.
fn here(typed: &str, now: Timestamp) -> Option<Timestamp> {
    let (typed, today) = (typed.trim(), now.with_timezone(&Local).date_naive());
    let both = || DATES_AND_TIMES.iter().find_map(|form| NaiveDateTime::parse_from_str(typed, form).ok());
    let date = || typed.parse::<NaiveDate>().ok()?.and_hms_opt(0, 0, 0);
    let time = || TIMES.iter().find_map(|form| NaiveTime::parse_from_str(typed, form).ok());
    if let Some(local) = both().or_else(date) {
        return utc(local);
    }
    let time = time()?;
    let at = utc(today.and_time(time))?;
    if at <= now { Some(at) } else { utc(today.pred_opt()?.and_time(time)) }
}

/// The earlier instant if clocks were set back, or an hour later if they were set forward.
fn utc(local: NaiveDateTime) -> Option<Timestamp> {
    let hour = chrono::TimeDelta::hours(1);
    let at =
        Local.from_local_datetime(&local).earliest().or_else(|| Local.from_local_datetime(&(local + hour)).earliest());
    at.map(|at| at.to_utc()).filter(|at| *at >= DateTime::UNIX_EPOCH)
}

/// The units that a name or a pattern stands for.
fn units(name: &str, estate: &Estate, has_estate: bool) -> Result<Vec<String>> {
    let services = || {
        let stores = estate.datastores.iter().filter_map(|(name, store)| Some((name, store.unit.as_ref()?)));
        estate.services.iter().map(|(name, service)| (name, &service.unit)).chain(stores)
    };
    let whole = suffixed(name.to_owned());
    if name.contains(['*', '?']) {
        let fits = |candidate: &str| matches(name, candidate) || matches(&whole, candidate);
        let known: Vec<String> =
            services().filter(|(own, unit)| fits(own) || fits(unit)).map(|(_, unit)| unit.clone()).collect();
        // The journal also holds units that the estate does not name.
        return Ok(if known.is_empty() { vec![name.to_owned()] } else { known });
    }
    if let Some((_, unit)) = services().find(|(own, unit)| *own == name || **unit == whole) {
        return Ok(vec![unit.clone()]);
    }
    if !has_estate || whole == name {
        return Ok(vec![whole]);
    }
    let failure = Failure::usage(format!("there is no service `{}` in the estate", name.escape_debug()));
    let failure = failure.did_you_mean(name, services().map(|(own, _)| own.as_str()));
    Err(failure.hint(format!("A unit outside it is typed whole, such as `{}`.", text::one_line(&whole, 80))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn estate() -> Estate {
        serde_json::from_value(serde_json::json!({
            "estate": "shop",
            "services": {"gateway": {"unit": "shop-gateway.service"}, "payments": {"unit": "shop-payments.service"}},
            "datastores": {"cache": {"kind": "redis", "unit": "redis-server.service"}},
        }))
        .expect("an estate")
    }

    #[test]
    fn names_patterns_and_units_are_units() {
        for (name, expected) in [
            ("gateway", vec!["shop-gateway.service"]),
            ("shop-gateway", vec!["shop-gateway.service"]),
            ("cache", vec!["redis-server.service"]),
            ("pay*", vec!["shop-payments.service"]),
            ("shop-*", vec!["shop-gateway.service", "shop-payments.service"]),
            ("nginx.service", vec!["nginx.service"]),
            ("ng*", vec!["ng*"]),
        ] {
            assert_eq!(units(name, &estate(), true).expect("it is known"), expected, "{name}");
        }
        let failure = units("gatway", &estate(), true).expect_err("it is mistyped");
        assert_eq!(failure.hints[0], "Did you mean `gateway`?");
        assert_eq!(units("anything", &Estate::default(), false).expect("it is a unit"), ["anything.service"]);
    }

    #[test]
    fn times_are_said_in_every_way_that_people_have() {
        let now = moment("2026-11-24T12:00:00Z", Timestamp::UNIX_EPOCH).expect("an instant");
        let here = |time: &str| format!("{}", now.with_timezone(&Local).format(time));
        let at = |typed: &str| instant("--since", typed, now).expect("an instant");
        assert_eq!(at("10m"), now - chrono::TimeDelta::minutes(10));
        assert_eq!(at(&here("%Y-%m-%d %H:%M")), now);
        assert_eq!(at(&here("%H:%M:%S")), now);
        assert_eq!(at("2026-11-24T11:00:00+02:00"), now - chrono::TimeDelta::hours(3));
        let later = (now + chrono::TimeDelta::hours(1)).with_timezone(&Local).format("%H:%M").to_string();
        assert!(at(&later) <= now, "it was yesterday");
        for wrong in ["yesterday", "", "25:00", "--now", "2026-13-01"] {
            assert!(instant("--since", wrong, now).is_err(), "{wrong}");
        }
    }
}
