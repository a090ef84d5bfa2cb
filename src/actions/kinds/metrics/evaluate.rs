//! Computes one number from the series of a page: an aggregate, a rate, or the quotient of two such numbers.
//!
//! As in Prometheus, a counter that is smaller than before has restarted from zero. Unlike there, a rate is not
//! extrapolated, since the interval begins and ends with a scrape.

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
    pub(super) fn needs_two_scrapes(self) -> bool {
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
    let mut measured = evaluate(aggregate, select, before, page);
    let (Some(per), MeasuredValue::Number(value)) = (per, measured.found) else { return measured };
    let divisor = evaluate(aggregate, per, before, page);
    match divisor.found {
        // 0/0 is NaN, as in Prometheus.
        MeasuredValue::Number(divisor) => measured.found = MeasuredValue::Number(value / divisor),
        _ => return divisor,
    }
    measured
}

/// The number of one selector.
fn evaluate(aggregate: Option<Aggregate>, select: &Selector, before: Option<&Page>, page: &Page) -> Measurement {
    let samples: Vec<&Sample> = select.of(&select.name, page).collect();
    if samples.is_empty() {
        let mut measured = Measurement::plain(&samples);
        measured.hint = hint(&select.name, page);
        return measured;
    }
    match (aggregate, before) {
        (None, _) => Measurement::plain(&samples),
        (Some(Aggregate::Rate), Some(before)) => {
            let seconds = (page.at - before.at).as_seconds_f64();
            let before = EarlierPage::new(before);
            let growth: f64 = samples.iter().map(|sample| before.growth(sample)).sum();
            Measurement::new(MeasuredValue::Number(growth / seconds), samples.into_iter())
        }
        (Some(aggregate), _) => Measurement::new(MeasuredValue::Number(aggregate.of(&samples)), samples.into_iter()),
    }
}

/// The values of an earlier page by series.
pub(super) struct EarlierPage<'p>(HashMap<(&'p str, &'p BTreeMap<String, String>), f64>);

impl<'p> EarlierPage<'p> {
    pub(super) fn new(page: &'p Page) -> Self {
        Self(page.samples.iter().map(|sample| ((sample.name.as_str(), &sample.labels), sample.value)).collect())
    }

    /// The growth of a counter since then. A new counter has grown from zero.
    pub(super) fn growth(&self, sample: &Sample) -> f64 {
        let earlier = self.0.get(&(sample.name.as_str(), &sample.labels)).copied().unwrap_or(0.0);
        if sample.value >= earlier { sample.value - earlier } else { sample.value }
    }
}

/// A hint for a selector that matches nothing, as the end of a message: that only its labels differ, or a similar name.
fn hint(name: &str, page: &Page) -> Option<String> {
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
    fn a_rate_counts_new_series_and_restarted_counters_from_zero() {
        let before = "a{x=\"1\"} 100\na{x=\"2\"} 50\n";
        let now = "a{x=\"1\"} 130\na{x=\"2\"} 10\na{x=\"3\"} 20\n";
        assert_eq!(value(Some(Aggregate::Rate), "a", None, (before, now)), MeasuredValue::Number(6.0));
    }

    #[test]
    fn a_quotient_is_a_share_and_zero_by_zero_is_not_a_number() {
        let now = "r{code=\"500\"} 5\nr{code=\"200\"} 45\n";
        let errors = |before| value(Some(Aggregate::Rate), "r{code=\"500\"}", Some("r"), (before, now));
        assert_eq!(errors(""), MeasuredValue::Number(0.1));
        assert!(matches!(errors(now), MeasuredValue::Number(share) if share.is_nan()));
    }

    #[test]
    fn a_similar_name_is_suggested() {
        let hint = |select: &str| {
            let page = page("payments_total{a=\"b\"} 1", 0);
            measurement(None, &Selector::parse(select).unwrap(), None, None, &page).hint.unwrap_or_default()
        };
        assert_eq!(hint("payment_total"), "; did you mean `payments_total`?");
        assert_eq!(hint("payments_total{a=\"c\"}"), " with these labels");
        assert_eq!(hint("xyz"), "");
    }
}
