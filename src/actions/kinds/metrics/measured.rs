//! A measured number, or what there is instead of one, and whether it is as it must be.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::exposition::Sample;
use crate::actions::kinds::support::threshold::{Threshold, number};
use crate::domain::core::reason::Reason;
use crate::domain::core::text::one_line;
use crate::domain::incident::outcome::Outcome;

/// Series that the log keeps, and characters of a name or label value.
const SERIES: usize = 20;
const LENGTH: usize = 120;

/// The result of a measurement.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Measurement {
    pub(super) found: MeasuredValue,
    /// The number of series.
    pub(super) count: usize,
    /// The first of the series.
    series: Vec<Value>,
    /// A hint if no series was found, as the end of a line.
    pub(super) hint: Option<String>,
}

/// The number, or what was found instead.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum MeasuredValue {
    Number(f64),
    Empty,
    /// Several series but no aggregate.
    Several,
}

impl Measurement {
    pub(super) fn new<'s>(found: MeasuredValue, series: impl Iterator<Item = &'s Sample>) -> Self {
        let mut reading = Self { found, count: 0, series: Vec::new(), hint: None };
        for sample in series {
            reading.count += 1;
            if reading.series.len() < SERIES {
                reading.series.push(shown(sample));
            }
        }
        reading
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
    pub(super) fn judged(&self, what: &str, threshold: Threshold) -> Outcome {
        let (word, value) = self.code();
        let output = json!({ "value": value, "found": word, "count": self.count, "series": self.series });
        let summary = format!("{what}: {}", self.line());
        let trouble = match self.found {
            _ if !threshold.is_given() => None,
            MeasuredValue::Number(number) if number.is_nan() => Some("nan"),
            MeasuredValue::Number(number) => threshold.broken(number).map(|_| "threshold"),
            MeasuredValue::Empty => Some("empty"),
            MeasuredValue::Several => Some("several"),
        };
        match (trouble, self.found) {
            (None, _) => Outcome::succeeded(summary, output),
            (Some(kind), MeasuredValue::Number(number)) => {
                let broken = threshold.broken(number).unwrap_or_default();
                Reason::new(kind, format!("{summary}, {broken}")).outcome(output)
            }
            (Some(kind), _) => Reason::new(kind, summary).outcome(output),
        }
    }

    fn code(&self) -> (&'static str, Value) {
        match self.found {
            MeasuredValue::Number(number) if number.is_nan() => ("nan", Value::Null),
            MeasuredValue::Number(number) if number.is_infinite() => ("infinite", Value::Null),
            MeasuredValue::Number(number) => ("number", json!(number)),
            MeasuredValue::Empty => ("empty", Value::Null),
            MeasuredValue::Several => ("several", Value::Null),
        }
    }

    fn line(&self) -> String {
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
        sample.labels.iter().map(|(name, value)| (one_line(name, LENGTH), one_line(value, LENGTH))).collect();
    let value = if sample.value.is_finite() { json!(sample.value) } else { json!(sample.value.to_string()) };
    json!({ "name": one_line(&sample.name, LENGTH), "labels": labels, "value": value })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(found: MeasuredValue, below: Option<f64>) -> Outcome {
        Measurement::new(found, std::iter::empty()).judged("a", Threshold { above: None, below })
    }

    #[test]
    fn no_data_is_not_zero() {
        assert!(judged(MeasuredValue::Number(0.0), Some(1.0)).is_success());
        for (found, word) in [
            (MeasuredValue::Empty, "empty"),
            (MeasuredValue::Several, "several"),
            (MeasuredValue::Number(f64::NAN), "nan"),
        ] {
            let failed = judged(found, Some(1.0));
            assert!(!failed.is_success(), "{failed:?}");
            assert_eq!((&failed.output["value"], &failed.output["found"]), (&Value::Null, &json!(word)));
            assert!(judged(found, None).is_success(), "without a limit it is a reading");
        }
    }

    #[test]
    fn a_value_that_breaks_its_limit_says_which() {
        assert_eq!(judged(MeasuredValue::Number(0.0712), Some(0.05)).summary, "a: 0.0712, not below 0.05");
        assert_eq!(judged(MeasuredValue::Number(f64::INFINITY), Some(1.0)).output["found"], "infinite");
    }
}
