//! Builds the search from the arguments: resolves service names to units, and times to instants.
//!
//! **Invariant:** a date or a time of day is in the local time zone, as the times in the output are.

use chrono::{DateTime, Local, NaiveDate, NaiveDateTime, NaiveTime, TimeZone};

use super::context::SearchContext;
use super::{DEFAULT_SINCE, Logs};
use crate::domain::config::estate::Estate;
use crate::domain::core::glob_name::{matches, suffixed};
use crate::domain::core::text;
use crate::domain::core::time::Timestamp;
use crate::domain::core::time_input::moment;
use crate::domain::journal::filter::{FieldValue, JournalFilter, TextPattern};
use crate::domain::journal::level::Level;
use crate::surface::cli::context::session::Session;
use crate::surface::cli::output::error::{Failure, Result};

/// The forms of a date with a time.
const DATES_AND_TIMES: [&str; 4] = ["%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%dT%H:%M"];

/// The forms of a time of day.
const TIMES: [&str; 2] = ["%H:%M:%S%.f", "%H:%M"];

impl Logs {
    /// The filter that the arguments describe.
    pub(super) fn filter(&self, context: &SearchContext, session: &Session) -> Result<JournalFilter> {
        let now = session.clock().now();
        let since = instant("--since", self.since.as_deref().unwrap_or(DEFAULT_SINCE), now)?;
        let until = self.until.as_deref().map(|until| instant("--until", until, now)).transpose()?;
        if until.is_some_and(|until| until < since) {
            return Err(Failure::usage("`--until` is before `--since`")
                .hint("`--since 20m --until 10m` searches from 20 to 10 minutes ago."));
        }
        let ids = [("--order", &self.order), ("--trace", &self.trace)];
        let id_patterns = ids.into_iter().filter_map(|(flag, id)| {
            let id = id.as_ref()?;
            Some(if id.trim().is_empty() {
                Err(Failure::usage(format!("`{flag}` is empty")))
            } else {
                TextPattern::mention(id.trim()).map_err(|error| Failure::usage(format!("`{flag}`: {error}")))
            })
        });
        let regex = self.grep.as_deref().map(|regex| {
            TextPattern::regex(regex).map_err(|error| {
                Failure::usage(format!("`--grep`: {error}")).hint("A backslash escapes a special character: `\\(`.")
            })
        });
        let units: Vec<Vec<String>> = self
            .service
            .iter()
            .filter(|name| !name.is_empty())
            .map(|name| units(name, &context.action_context.estate, context.has_estate))
            .collect::<Result<_>>()?;
        Ok(JournalFilter {
            since,
            until,
            units: units.concat(),
            level: self.level.as_deref().and_then(Level::named),
            patterns: id_patterns.chain(regex).collect::<Result<_>>()?,
            fields: self.field.iter().map(|(name, value)| FieldValue::new(name, value)).collect(),
        })
    }
}

/// Parses an instant: a duration ago, an instant with its zone, or a local date, time of day or both.
fn instant(flag: &str, typed: &str, now: Timestamp) -> Result<Timestamp> {
    let relative_or_zoned = || moment(typed, now).ok();
    local(typed, now).or_else(relative_or_zoned).ok_or_else(|| {
        let shown = text::one_line(typed, 80);
        Failure::usage(format!("`{flag}` is `{shown}`, which is neither a duration nor an instant"))
            .hint("Type how long ago such as `10m`, a time of day such as `09:30`, or `2026-11-24 09:30`.")
    })
}

/// A local date, time of day or both. A time of day that is still to come means yesterday's.
fn local(typed: &str, now: Timestamp) -> Option<Timestamp> {
    let (typed, today) = (typed.trim(), now.with_timezone(&Local).date_naive());
    let both = || DATES_AND_TIMES.iter().find_map(|form| NaiveDateTime::parse_from_str(typed, form).ok());
    let date = || typed.parse::<NaiveDate>().ok()?.and_hms_opt(0, 0, 0);
    let time = || TIMES.iter().find_map(|form| NaiveTime::parse_from_str(typed, form).ok());
    if let Some(at) = both().or_else(date) {
        return utc(at);
    }
    let time = time()?;
    let at = utc(today.and_time(time))?;
    if at <= now { Some(at) } else { utc(today.pred_opt()?.and_time(time)) }
}

/// A local time as an instant: the earlier one if the clock showed it twice, an hour later if the clock skipped it.
fn utc(local: NaiveDateTime) -> Option<Timestamp> {
    let hour = chrono::TimeDelta::hours(1);
    let at =
        Local.from_local_datetime(&local).earliest().or_else(|| Local.from_local_datetime(&(local + hour)).earliest());
    at.map(|at| at.to_utc()).filter(|at| *at >= DateTime::UNIX_EPOCH)
}

/// The units that a service name, a unit name or a pattern selects.
fn units(name: &str, estate: &Estate, has_estate: bool) -> Result<Vec<String>> {
    let services = || {
        let stores = estate.datastores.iter().filter_map(|(name, store)| Some((name, store.unit.as_ref()?)));
        estate.services.iter().map(|(name, service)| (name, &service.unit)).chain(stores)
    };
    let unit_name = suffixed(name.to_owned());
    if name.contains(['*', '?']) {
        let fits = |candidate: &str| matches(name, candidate) || matches(&unit_name, candidate);
        let known: Vec<String> =
            services().filter(|(name, unit)| fits(name) || fits(unit)).map(|(_, unit)| unit.clone()).collect();
        // A pattern that matches nothing in the estate may match other units in the journal.
        return Ok(if known.is_empty() { vec![name.to_owned()] } else { known });
    }
    if let Some((_, unit)) = services().find(|(service, unit)| *service == name || **unit == unit_name) {
        return Ok(vec![unit.clone()]);
    }
    if !has_estate || unit_name == name {
        return Ok(vec![unit_name]);
    }
    let failure = Failure::usage(format!("there is no service `{}` in the estate", name.escape_debug()));
    let failure = failure.did_you_mean(name, services().map(|(name, _)| name.as_str()));
    Err(failure.hint(format!("Type another unit with its suffix, such as `{}`.", text::one_line(&unit_name, 80))))
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
    fn service_names_patterns_and_unit_names_select_units() {
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
    fn a_time_is_a_duration_a_date_a_time_of_day_or_an_instant() {
        let now = moment("2026-11-24T12:00:00Z", Timestamp::UNIX_EPOCH).expect("an instant");
        let formatted = |format: &str| format!("{}", now.with_timezone(&Local).format(format));
        let at = |typed: &str| instant("--since", typed, now).expect("an instant");
        assert_eq!(at("10m"), now - chrono::TimeDelta::minutes(10));
        assert_eq!(at(&formatted("%Y-%m-%d %H:%M")), now);
        assert_eq!(at(&formatted("%H:%M:%S")), now);
        assert_eq!(at("2026-11-24T11:00:00+02:00"), now - chrono::TimeDelta::hours(3));
        let later = (now + chrono::TimeDelta::hours(1)).with_timezone(&Local).format("%H:%M").to_string();
        assert!(at(&later) <= now, "it was yesterday");
        for wrong in ["yesterday", "", "25:00", "--now", "2026-13-01"] {
            assert!(instant("--since", wrong, now).is_err(), "{wrong}");
        }
    }
}
