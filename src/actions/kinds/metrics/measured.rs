//! The result of a measurement, and its check against the limits.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::exposition::Sample;
use crate::actions::kinds::support::threshold::{Threshold, number};
use crate::domain::core::reason::Reason;
use crate::domain::core::text::one_line;
use crate::domain::incident::outcome::Outcome;

/// Series that the log keeps, and characters of a name or label.
const SERIES_LIMIT: usize = 20;
const TEXT_LIMIT: usize = 120;

/// The result of a measurement.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Measurement {
    pub(super) found: MeasuredValue,
    /// The number of series.
    pub(super) count: usize,
    /// The first of the series.
    series: Vec<Value>,
    /// A hint if no series was found, as the end of a message.
    pub(super) hint: Option<String>,
}

/// The number, or why there is none.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum MeasuredValue {
    Number(f64),
    /// No series.
    Empty,
    /// Several series, but no aggregate.
    Several,
}

impl Measurement {
    pub(super) fn new<'s>(found: MeasuredValue, series: impl Iterator<Item = &'s Sample>) -> Self {
        let mut measurement = Self { found, count: 0, series: Vec::new(), hint: None };
        for sample in series {
            measurement.count += 1;
            if measurement.series.len() < SERIES_LIMIT {
                measurement.series.push(shown(sample));
            }
        }
        measurement
    }

    /// The value of the only series, or [`MeasuredValue::Empty`] or [`MeasuredValue::Several`].
    pub(super) fn plain(samples: &[&Sample]) -> Self {
        let found = match samples {
            [] => MeasuredValue::Empty,
            [one] => MeasuredValue::Number(one.value),
            _ => MeasuredValue::Several,
        };
        Self::new(found, samples.iter().copied())
    }

    /// The outcome of a step; `what` describes the measurement.
    pub(super) fn outcome(&self, what: &str, threshold: Threshold) -> Outcome {
        let (found, value) = self.found_and_value();
        let output = json!({ "value": value, "found": found, "count": self.count, "series": self.series });
        let summary = format!("{what}: {}", self.shown_value());
        let error = match self.found {
            _ if !threshold.is_given() => None,
            MeasuredValue::Number(number) if number.is_nan() => Some("nan"),
            MeasuredValue::Number(number) => threshold.broken(number).map(|_| "threshold"),
            MeasuredValue::Empty => Some("empty"),
            MeasuredValue::Several => Some("several"),
        };
        match (error, self.found) {
            (None, _) => Outcome::succeeded(summary, output),
            (Some(code), MeasuredValue::Number(number)) => {
                let broken = threshold.broken(number).unwrap_or_default();
                Reason::new(code, format!("{summary}, {broken}")).outcome(output)
            }
            (Some(code), _) => Reason::new(code, summary).outcome(output),
        }
    }

    /// The outputs `found` and `value`.
    fn found_and_value(&self) -> (&'static str, Value) {
        match self.found {
            MeasuredValue::Number(number) if number.is_nan() => ("nan", Value::Null),
            MeasuredValue::Number(number) if number.is_infinite() => ("infinite", Value::Null),
            MeasuredValue::Number(number) => ("number", json!(number)),
            MeasuredValue::Empty => ("empty", Value::Null),
            MeasuredValue::Several => ("several", Value::Null),
        }
    }

    fn shown_value(&self) -> String {
        match self.found {
            MeasuredValue::Number(value) if value.is_nan() => "not a number".to_owned(),
            MeasuredValue::Number(value) => number(value),
            MeasuredValue::Empty => format!("no series{}", self.hint.as_deref().unwrap_or_default()),
            MeasuredValue::Several => format!("{} series and no `aggregate`", self.count),
        }
    }
}

fn shown(sample: &Sample) -> Value {
    let labels: BTreeMap<String, String> =
        sample.labels.iter().map(|(name, value)| (one_line(name, TEXT_LIMIT), one_line(value, TEXT_LIMIT))).collect();
    let value = if sample.value.is_finite() { json!(sample.value) } else { json!(sample.value.to_string()) };
    json!({ "name": one_line(&sample.name, TEXT_LIMIT), "labels": labels, "value": value })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(found: MeasuredValue, below: Option<f64>) -> Outcome {
        Measurement::new(found, std::iter::empty()).outcome("a", Threshold { above: None, below })
    }

    #[test]
    fn missing_data_is_not_zero() {
        assert!(outcome(MeasuredValue::Number(0.0), Some(1.0)).is_success());
        for (found, code) in [
            (MeasuredValue::Empty, "empty"),
            (MeasuredValue::Several, "several"),
            (MeasuredValue::Number(f64::NAN), "nan"),
        ] {
            let failed = outcome(found, Some(1.0));
            assert!(!failed.is_success(), "{failed:?}");
            assert_eq!((&failed.output["value"], &failed.output["found"]), (&Value::Null, &json!(code)));
            assert!(outcome(found, None).is_success(), "without a limit it is only reported");
        }
    }

    #[test]
    fn the_summary_has_the_limit_that_the_value_breaks() {
        assert_eq!(outcome(MeasuredValue::Number(0.0712), Some(0.05)).summary, "a: 0.0712, not below 0.05");
        assert_eq!(outcome(MeasuredValue::Number(f64::INFINITY), Some(1.0)).output["found"], "infinite");
    }
}
