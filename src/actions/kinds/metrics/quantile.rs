//! Computes a quantile of a classic histogram, interpolated within its buckets like `histogram_quantile`
//! (<https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile>). Adds up the buckets of all
//! selected series.

use super::evaluate::EarlierPage;
use super::exposition::{Page, Sample};
use super::measured::{MeasuredValue, Measurement};
use super::selector::Selector;
use crate::domain::core::reason::Reason;

/// The suffix of a histogram's bucket series, and the label with a bucket's upper bound.
const BUCKET: &str = "_bucket";
const BOUND: &str = "le";

/// The quantile of a histogram; `_bucket` in its name is optional. With `before`, only observations since that page
/// count.
pub(super) fn measurement(
    q: f64,
    select: &Selector,
    before: Option<&Page>,
    page: &Page,
) -> Result<Measurement, Reason> {
    if !(0.0..=1.0).contains(&q) {
        return Err(Reason::new("spec", format!("metrics: a quantile is between 0 and 1, not {q}")));
    }
    let name = format!("{}{BUCKET}", select.name.strip_suffix(BUCKET).unwrap_or(&select.name));
    let samples: Vec<&Sample> = select.of(&name, page).collect();
    let before = before.map(EarlierPage::new);
    let mut buckets: Vec<(f64, f64)> = Vec::new();
    for sample in &samples {
        let Some(bound) = sample.labels.get(BOUND).and_then(|bound| bound.trim_start_matches('+').parse::<f64>().ok())
        else {
            continue;
        };
        let count = before.as_ref().map_or(sample.value, |before| before.growth(sample));
        match buckets.iter_mut().find(|(other, _)| *other == bound) {
            Some((_, all)) => *all += count,
            None => buckets.push((bound, count)),
        }
    }
    buckets.sort_by(|(one, _), (other, _)| one.total_cmp(other));
    let found =
        if samples.is_empty() { MeasuredValue::Empty } else { MeasuredValue::Number(interpolated(q, &buckets)) };
    Ok(Measurement::new(found, samples.into_iter()))
}

/// The quantile of cumulative buckets, sorted by bound. NaN without observations, or without the `+Inf` bucket.
fn interpolated(q: f64, buckets: &[(f64, f64)]) -> f64 {
    let [.., (last, all)] = buckets else { return f64::NAN };
    if !last.is_infinite() || buckets.len() < 2 || *all <= 0.0 {
        return f64::NAN;
    }
    let rank = q * all;
    let at = buckets.iter().position(|(_, count)| *count >= rank).unwrap_or(buckets.len() - 1);
    if at == buckets.len() - 1 {
        // The value is above the last finite bound; by how much is unknown.
        return buckets[at - 1].0;
    }
    let (bound, count) = buckets[at];
    if at == 0 && bound <= 0.0 {
        return bound;
    }
    let (start, below) = if at == 0 { (0.0, 0.0) } else { buckets[at - 1] };
    if count <= below { bound } else { start + (bound - start) * (rank - below) / (count - below) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::core::time::Timestamp;

    const PAGE: &str = "h_bucket{le=\"0.1\",r=\"a\"} 5\nh_bucket{le=\"0.5\",r=\"a\"} 9\nh_bucket{le=\"+Inf\",r=\"a\"} 10\n\
                        h_bucket{le=\"0.1\",r=\"b\"} 0\nh_bucket{le=\"0.5\",r=\"b\"} 0\nh_bucket{le=\"+Inf\",r=\"b\"} 0\n\
                        h_sum{r=\"a\"} 3\nh_count{r=\"a\"} 10\n";

    fn quantile(q: f64, select: &str, before: Option<&str>) -> MeasuredValue {
        let page = |text: &str| Page::parse(text, Timestamp::UNIX_EPOCH).unwrap();
        let before = before.map(page);
        measurement(q, &Selector::parse(select).unwrap(), before.as_ref(), &page(PAGE)).unwrap().found
    }

    #[test]
    fn a_quantile_is_interpolated_within_its_bucket() {
        assert_eq!(quantile(0.5, "h", None), MeasuredValue::Number(0.1));
        assert_eq!(quantile(0.7, "h_bucket{r=\"a\"}", None), MeasuredValue::Number(0.1 + 0.4 * 0.5));
        assert_eq!(quantile(0.99, "h", None), MeasuredValue::Number(0.5), "the last bound is the largest result");
    }

    #[test]
    fn without_observations_there_is_no_quantile() {
        assert!(matches!(quantile(0.5, "h{r=\"b\"}", None), MeasuredValue::Number(value) if value.is_nan()));
        assert!(matches!(quantile(0.5, "h", Some(PAGE)), MeasuredValue::Number(value) if value.is_nan()));
        assert_eq!(quantile(0.5, "other", None), MeasuredValue::Empty);
    }
}
