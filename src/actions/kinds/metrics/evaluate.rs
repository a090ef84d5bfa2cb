//! One number out of the series of a page: an aggregate, a growth a second, and the quotient of two of them.
//!
//! Growth is counted as Prometheus counts it: a counter that is smaller than before has started again from zero. It is
//! not extrapolated, since both ends of the interval are scrapes of our own.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::Deserialize;

use super::exposition::{Page, Sample};
use super::measured::{MeasuredValue, Measurement};
use super::selector::Selector;
use crate::domain::core::suggest::{nearest, or_did_you_mean};

/// How several series become one number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Aggregate {
    Sum,
    Avg,
    Min,
    Max,
    Count,
    /// The growth per second of all series together.
    Rate,
}

impl Aggregate {
    /// Whether it needs two scrapes.
    pub(super) fn needs_time(self) -> bool {
        self == Self::Rate
    }

    pub(super) fn code(self) -> &'static str {
        match self {
            Self::Sum => "sum",
            Self::Avg => "avg",
            Self::Min => "min",
            Self::Max => "max",
            Self::Count => "count",
            Self::Rate => "rate",
        }
    }

    /// Aggregates the values; `samples` is not empty.
    pub(super) fn of(self, samples: &[&Sample]) -> f64 {
        let values = || samples.iter().map(|sample| sample.value);
        match self {
            Self::Sum | Self::Rate => values().sum(),
            Self::Avg => values().sum::<f64>() / samples.len() as f64,
            Self::Min => values().fold(f64::NAN, f64::min),
            Self::Max => values().fold(f64::NAN, f64::max),
            Self::Count => samples.len() as f64,
        }
    }
}

/// Evaluates a selector, divided by `per` if given.
pub(super) fn measurement(
    aggregate: Option<Aggregate>,
    select: &Selector,
    per: Option<&Selector>,
    before: Option<&Page>,
    page: &Page,
) -> Measurement {
    let mut reading = one(aggregate, select, before, page);
    let (Some(per), MeasuredValue::Number(value)) = (per, reading.found) else { return reading };
    let by = one(aggregate, per, before, page);
    match by.found {
        // 0/0 is NaN, as in Prometheus.
        MeasuredValue::Number(by) => reading.found = MeasuredValue::Number(value / by),
        _ => return by,
    }
    reading
}

fn one(aggregate: Option<Aggregate>, select: &Selector, before: Option<&Page>, page: &Page) -> Measurement {
    let samples: Vec<&Sample> = select.of(&select.name, page).collect();
    if samples.is_empty() {
        let mut reading = Measurement::plain(&samples);
        reading.hint = similar(&select.name, page);
        return reading;
    }
    match (aggregate, before) {
        (None, _) => Measurement::plain(&samples),
        (Some(Aggregate::Rate), Some(before)) => {
            let seconds = (page.at - before.at).as_seconds_f64();
            let before = Before::new(before);
            let growth: f64 = samples.iter().map(|sample| before.grown(sample)).sum();
            Measurement::new(MeasuredValue::Number(growth / seconds), samples.into_iter())
        }
        (Some(aggregate), _) => Measurement::new(MeasuredValue::Number(aggregate.of(&samples)), samples.into_iter()),
    }
}

/// The values of an earlier page by series.
pub(super) struct Before<'p>(HashMap<(&'p str, &'p BTreeMap<String, String>), f64>);

impl<'p> Before<'p> {
    pub(super) fn new(page: &'p Page) -> Self {
        Self(page.samples.iter().map(|sample| ((sample.name.as_str(), &sample.labels), sample.value)).collect())
    }

    /// The growth of a counter. A counter that is new has grown from zero.
    pub(super) fn grown(&self, sample: &Sample) -> f64 {
        let earlier = self.0.get(&(sample.name.as_str(), &sample.labels)).copied().unwrap_or(0.0);
        if sample.value >= earlier { sample.value - earlier } else { sample.value }
    }
}

/// A hint for a selector that matches nothing, as the end of a line: a similar name on the page.
fn similar(name: &str, page: &Page) -> Option<String> {
    if page.samples.iter().any(|sample| sample.name == name) {
        return Some(" with these labels".to_owned());
    }
    // A page has many samples of one name.
    let names: BTreeSet<&str> = page.samples.iter().map(|sample| sample.name.as_str()).collect();
    nearest(name, names).map(|name| or_did_you_mean([name]))
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;
    use crate::domain::core::time::Timestamp;

    fn page(text: &str, second: i64) -> Page {
        Page::parse(text, Timestamp::UNIX_EPOCH + TimeDelta::seconds(second)).unwrap()
    }

    fn value(aggregate: Option<Aggregate>, select: &str, per: Option<&str>, pages: (&str, &str)) -> MeasuredValue {
        let per = per.map(|per| Selector::parse(per).unwrap());
        let (before, now) = (page(pages.0, 0), page(pages.1, 10));
        measurement(aggregate, &Selector::parse(select).unwrap(), per.as_ref(), Some(&before), &now).found
    }

    #[test]
    fn series_are_aggregated() {
        let text = "a{x=\"1\"} 1\na{x=\"2\"} 5\n";
        let of = |aggregate| value(Some(aggregate), "a", None, ("", text));
        let all = [Aggregate::Sum, Aggregate::Avg, Aggregate::Min, Aggregate::Max, Aggregate::Count].map(of);
        assert_eq!(all, [6.0, 3.0, 1.0, 5.0, 2.0].map(MeasuredValue::Number));
        assert_eq!(value(None, "a", None, ("", text)), MeasuredValue::Several);
        assert_eq!(value(None, "a{x=\"2\"}", None, ("", text)), MeasuredValue::Number(5.0));
        assert_eq!(value(Some(Aggregate::Count), "b", None, ("", text)), MeasuredValue::Empty);
    }

    #[test]
    fn a_rate_knows_new_series_and_counters_that_started_again() {
        let before = "a{x=\"1\"} 100\na{x=\"2\"} 50\n";
        let now = "a{x=\"1\"} 130\na{x=\"2\"} 10\na{x=\"3\"} 20\n";
        assert_eq!(value(Some(Aggregate::Rate), "a", None, (before, now)), MeasuredValue::Number(6.0));
    }

    #[test]
    fn errors_per_request_are_a_share_and_none_of_none_is_not_a_number() {
        let now = "r{code=\"500\"} 5\nr{code=\"200\"} 45\n";
        let errors = |before| value(Some(Aggregate::Rate), "r{code=\"500\"}", Some("r"), (before, now));
        assert_eq!(errors(""), MeasuredValue::Number(0.1));
        assert!(matches!(errors(now), MeasuredValue::Number(share) if share.is_nan()));
    }

    #[test]
    fn a_name_that_is_nearly_right_is_suggested() {
        let hint = |select: &str| {
            let found =
                measurement(None, &Selector::parse(select).unwrap(), None, None, &page("payments_total{a=\"b\"} 1", 0));
            found.hint.unwrap_or_default()
        };
        assert_eq!(hint("payment_total"), "; did you mean `payments_total`?");
        assert_eq!(hint("payments_total{a=\"c\"}"), " with these labels");
        assert_eq!(hint("xyz"), "");
    }
}
