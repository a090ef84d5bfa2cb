//! Runs an instant query on a Prometheus
//! (<https://prometheus.io/docs/prometheus/latest/querying/api/#instant-queries>).

use std::collections::BTreeMap;

use reqwest::Url;
use serde::Deserialize;
use serde_json::Value;

use super::exposition::Sample;
use super::measured::{MeasuredValue, Measurement};
use super::{Spec, address, shown};
use crate::actions::Context;
use crate::domain::core::reason::Reason;
use crate::domain::core::text::one_line;

/// The label that holds the name of a series.
const NAME_LABEL: &str = "__name__";

/// Characters of a server's message that are kept.
const MESSAGE_LENGTH: usize = 300;

#[derive(Debug, Deserialize)]
struct PromqlResponse {
    status: String,
    #[serde(default)]
    data: Data,
    #[serde(default, rename = "errorType")]
    error_type: String,
    #[serde(default)]
    error: String,
}

#[derive(Debug, Default, Deserialize)]
struct Data {
    #[serde(default, rename = "resultType")]
    result_type: String,
    #[serde(default)]
    result: Value,
}

#[derive(Debug, Deserialize)]
struct Series {
    #[serde(default)]
    metric: BTreeMap<String, String>,
    value: (f64, String),
}

/// Runs the query and aggregates its result.
pub(super) async fn query(prometheus: &str, spec: &Spec, context: &Context) -> Result<Measurement, Reason> {
    let url = query_url(prometheus, spec.query.as_deref().unwrap_or_default())?;
    let response = spec.get(&url, context).await?;
    let body: PromqlResponse = serde_json::from_slice(&response.body).map_err(|_| {
        let message = format!("{}: status {}, and not a response of a Prometheus", shown(&url), response.status);
        Reason::new("status", message)
    })?;
    if body.status != "success" {
        let message = format!("{}: {}", one_line(&body.error_type, 40), one_line(&body.error, MESSAGE_LENGTH));
        return Err(Reason::new("query", message));
    }
    let samples = samples(body.data)?;
    let samples: Vec<&Sample> = samples.iter().collect();
    Ok(match spec.aggregate {
        Some(aggregate) if !samples.is_empty() => {
            Measurement::new(MeasuredValue::Number(aggregate.of(&samples)), samples.into_iter())
        }
        _ => Measurement::plain(&samples),
    })
}

fn query_url(prometheus: &str, query: &str) -> Result<Url, Reason> {
    let mut url = address(&format!("{}/api/v1/query", prometheus.trim_end_matches('/')))?;
    url.query_pairs_mut().append_pair("query", query);
    Ok(url)
}

/// The series of a vector. A scalar becomes one series without a name.
fn samples(data: Data) -> Result<Vec<Sample>, Reason> {
    let unreadable = || Reason::new("query", "its response cannot be read");
    let series: Vec<Series> = match data.result_type.as_str() {
        "vector" => serde_json::from_value(data.result).map_err(|_| unreadable())?,
        "scalar" => {
            let value = serde_json::from_value(data.result).map_err(|_| unreadable())?;
            vec![Series { metric: BTreeMap::new(), value }]
        }
        other => {
            let message = format!("the query returns a {}, not a number; remove the range", one_line(other, 40));
            return Err(Reason::new("query", message));
        }
    };
    let sample = |mut series: Series| {
        let value = series.value.1.trim_start_matches('+').parse().map_err(|_| unreadable())?;
        let name = series.metric.remove(NAME_LABEL).unwrap_or_default();
        Ok(Sample { name, labels: series.metric, value })
    };
    series.into_iter().map(sample).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<f64>, String> {
        let data = serde_json::from_str(text).unwrap();
        samples(data).map(|all| all.iter().map(|sample| sample.value).collect()).map_err(|error| error.text)
    }

    #[test]
    fn only_vectors_and_scalars_are_accepted() {
        let vector = r#"{"resultType":"vector","result":[{"metric":{"__name__":"up"},"value":[1.5,"1"]},{"metric":{},"value":[1,"+Inf"]}]}"#;
        assert_eq!(read(vector), Ok(vec![1.0, f64::INFINITY]));
        assert_eq!(read(r#"{"resultType":"vector","result":[]}"#), Ok(vec![]));
        assert_eq!(read(r#"{"resultType":"scalar","result":[1,"2.5"]}"#), Ok(vec![2.5]));
        assert!(read(r#"{"resultType":"matrix","result":[]}"#).unwrap_err().contains("matrix"));
        assert!(read(r#"{"resultType":"vector","result":[{"value":[1,"x"]}]}"#).is_err());
    }

    #[test]
    fn a_query_is_escaped_and_a_path_prefix_is_preserved() {
        let url = query_url("http://h:9090/prom/", "sum(a{b=\"c&d\"}) + 1").unwrap();
        assert_eq!(url.as_str(), "http://h:9090/prom/api/v1/query?query=sum%28a%7Bb%3D%22c%26d%22%7D%29+%2B+1");
    }
}
