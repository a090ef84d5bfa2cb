//! Quantiles by nearest rank (type 1 of Hyndman and Fan, 1996): always a length that was really measured.
//!
//! Deliberately absent: interpolation. Of four incidents nobody can say what a fifth would have taken.

use serde::{Serialize, Serializer};

use crate::domain::core::time::Span;

/// What is known of one time over many incidents.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Quantiles {
    /// How many incidents tell it.
    pub known: u64,
    /// How many do not.
    pub unknown: u64,
    /// The shortest that at least half of the known are no longer than.
    pub median: Option<Span>,
    /// The shortest that at least nine tenths of the known are no longer than.
    pub p90: Option<Span>,
}

impl Quantiles {
    /// Of these times, none for an incident that does not tell it.
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

/// `known`, `unknown`, and `median_seconds` and `p90_seconds`, which are null when nothing is known.
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

/// The value of the smallest rank that `percent` of `sorted` do not pass.
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
    fn a_quantile_of_few_is_one_of_them() {
        let of = |seconds: &[u64]| {
            let of = Quantiles::of(spans(seconds));
            (of.median.map(|span| span.0.as_secs()), of.p90.map(|span| span.0.as_secs()))
        };
        assert_eq!(of(&[]), (None, None));
        assert_eq!(of(&[7]), (Some(7), Some(7)));
        assert_eq!(of(&[4, 1, 3, 2]), (Some(2), Some(4)));
        assert_eq!(of(&[10, 9, 8, 7, 6, 5, 4, 3, 2, 1]), (Some(5), Some(9)));
    }

    #[test]
    fn what_is_not_known_is_counted_and_pulls_nothing_down() {
        let of = Quantiles::of(spans(&[60]).chain([None, None]));
        assert_eq!((of.known, of.unknown, of.median), (1, 2, Some(Span::seconds(60))));
        let text = serde_json::to_value(&of).unwrap();
        assert_eq!(text, serde_json::json!({"known": 1, "unknown": 2, "median_seconds": 60.0, "p90_seconds": 60.0}));
    }

    proptest! {
        #[test]
        fn a_quantile_splits_what_is_known(seconds in prop::collection::vec(0_u64..1_000, 1..200)) {
            let of = Quantiles::of(spans(&seconds));
            for (quantile, percent) in [(of.median, 50), (of.p90, 90)] {
                let quantile = quantile.unwrap().0.as_secs();
                let (below, upto) = (
                    seconds.iter().filter(|second| **second < quantile).count(),
                    seconds.iter().filter(|second| **second <= quantile).count(),
                );
                prop_assert!(seconds.contains(&quantile));
                prop_assert!(upto * 100 >= seconds.len() * percent);
                prop_assert!(below * 100 < seconds.len() * percent);
            }
            prop_assert!(of.median <= of.p90);
        }

        #[test]
        fn order_and_unknowns_change_no_quantile(seconds in prop::collection::vec(0_u64..1_000, 0..50), unknown in 0_usize..9) {
            let of = Quantiles::of(spans(&seconds));
            let backwards: Vec<u64> = seconds.iter().rev().copied().collect();
            let other = Quantiles::of(std::iter::repeat_n(None, unknown).chain(spans(&backwards)));
            prop_assert_eq!((of.median, of.p90, of.known), (other.median, other.p90, other.known));
            prop_assert_eq!(other.unknown, unknown as u64);
        }
    }
}
