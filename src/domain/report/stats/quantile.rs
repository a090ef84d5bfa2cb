//! Quantiles by nearest rank (type 1 of Hyndman and Fan, 1996): each is a measured value, never an interpolated one.

use serde::{Serialize, Serializer};

use crate::domain::core::time::Span;

/// The quantiles of one response time over many incidents.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Quantiles {
    /// How many incidents have this time.
    pub known: u64,
    /// How many incidents lack it.
    pub unknown: u64,
    /// The smallest known time that at least half of the known times do not exceed.
    pub median: Option<Span>,
    /// The smallest known time that at least nine tenths of the known times do not exceed.
    pub p90: Option<Span>,
}

impl Quantiles {
    /// The quantiles of these times; `None` stands for an incident that lacks the time.
    pub fn of(times: impl IntoIterator<Item = Option<Span>>) -> Self {
        let (mut known, mut unknown) = (Vec::new(), 0);
        for time in times {
            match time {
                Some(time) => known.push(time),
                None => unknown += 1,
            }
        }
        known.sort_unstable();
        Self { known: known.len() as u64, unknown, median: ranked(&known, 50), p90: ranked(&known, 90) }
    }
}

/// An object with `known`, `unknown`, `median_seconds` and `p90_seconds`. The last two are null when no time is known.
impl Serialize for Quantiles {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let seconds = |span: Option<Span>| span.map(|span| span.0.as_secs_f64());
        let fields = serde_json::json!({
            "known": self.known,
            "unknown": self.unknown,
            "median_seconds": seconds(self.median),
            "p90_seconds": seconds(self.p90),
        });
        fields.serialize(serializer)
    }
}

/// The smallest value that at least `percent` of `sorted` do not exceed.
fn ranked(sorted: &[Span], percent: usize) -> Option<Span> {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.checked_sub(1)?).copied()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn spans(seconds: &[u64]) -> impl Iterator<Item = Option<Span>> {
        seconds.iter().map(|seconds| Some(Span::seconds(*seconds)))
    }

    #[test]
    fn a_quantile_is_one_of_the_measured_times() {
        let median_and_p90 = |seconds: &[u64]| {
            let quantiles = Quantiles::of(spans(seconds));
            (quantiles.median.map(|span| span.0.as_secs()), quantiles.p90.map(|span| span.0.as_secs()))
        };
        assert_eq!(median_and_p90(&[]), (None, None));
        assert_eq!(median_and_p90(&[7]), (Some(7), Some(7)));
        assert_eq!(median_and_p90(&[4, 1, 3, 2]), (Some(2), Some(4)));
        assert_eq!(median_and_p90(&[10, 9, 8, 7, 6, 5, 4, 3, 2, 1]), (Some(5), Some(9)));
    }

    #[test]
    fn unknown_times_are_counted_and_do_not_change_a_quantile() {
        let quantiles = Quantiles::of(spans(&[60]).chain([None, None]));
        assert_eq!((quantiles.known, quantiles.unknown, quantiles.median), (1, 2, Some(Span::seconds(60))));
        let value = serde_json::to_value(&quantiles).unwrap();
        assert_eq!(value, serde_json::json!({"known": 1, "unknown": 2, "median_seconds": 60.0, "p90_seconds": 60.0}));
    }

    proptest! {
        #[test]
        fn a_quantile_splits_the_known_times_at_its_percentage(seconds in prop::collection::vec(0_u64..1_000, 1..200)) {
            let quantiles = Quantiles::of(spans(&seconds));
            for (quantile, percent) in [(quantiles.median, 50), (quantiles.p90, 90)] {
                let quantile = quantile.unwrap().0.as_secs();
                let (below, up_to) = (
                    seconds.iter().filter(|second| **second < quantile).count(),
                    seconds.iter().filter(|second| **second <= quantile).count(),
                );
                prop_assert!(seconds.contains(&quantile));
                prop_assert!(up_to * 100 >= seconds.len() * percent);
                prop_assert!(below * 100 < seconds.len() * percent);
            }
            prop_assert!(quantiles.median <= quantiles.p90);
        }

        #[test]
        fn order_and_unknown_times_change_no_quantile(seconds in prop::collection::vec(0_u64..1_000, 0..50), unknown in 0_usize..9) {
            let one = Quantiles::of(spans(&seconds));
            let reversed: Vec<u64> = seconds.iter().rev().copied().collect();
            let other = Quantiles::of(std::iter::repeat_n(None, unknown).chain(spans(&reversed)));
            prop_assert_eq!((one.median, one.p90, one.known), (other.median, other.p90, other.known));
            prop_assert_eq!(other.unknown, unknown as u64);
        }
    }
}
