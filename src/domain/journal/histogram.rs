//! A histogram of counts over time, for a time whose length is not known beforehand.
//!
//! Buckets are one second wide at first. When there are too many, their width is doubled.
//!
//! **Invariant:** there are never more than [`BUCKETS`] buckets.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta};

use crate::domain::core::time::Timestamp;

/// The most buckets: several for each column of a wide terminal, so that the error of assigning buckets to bars is small.
pub const BUCKETS: usize = 512;

/// The widths of bars that people read easily, in seconds, up to a week.
const WIDTHS: [i64; 19] =
    [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 21_600, 43_200, 86_400, 604_800];

/// Counts over time.
#[derive(Debug, Clone)]
pub struct Histogram {
    /// The width of a bucket, in seconds.
    width: i64,
    /// The counts by the start of the bucket in Unix time, divided by the width.
    buckets: BTreeMap<i64, u64>,
}

/// Counts in equal intervals.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bars {
    /// The start of the first bar.
    pub from: Timestamp,
    /// The width of a bar, in seconds.
    pub width: u64,
    /// The count of each bar.
    pub counts: Vec<u64>,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { width: 1, buckets: BTreeMap::new() }
    }
}

impl Histogram {
    /// Counts one event at this instant.
    pub fn add(&mut self, at: Timestamp) {
        *self.buckets.entry(at.timestamp().div_euclid(self.width)).or_default() += 1;
        while self.buckets.len() > BUCKETS {
            self.width *= 2;
            let narrow = std::mem::take(&mut self.buckets);
            for (start, count) in narrow {
                *self.buckets.entry(start.div_euclid(2)).or_default() += count;
            }
        }
    }

    /// The bars from `first` to `last`: at most `most`, at least one.
    pub fn bars(&self, first: Timestamp, last: Timestamp, most: usize) -> Bars {
        let length = (last - first).num_seconds().max(0) + 1;
        let fits = |width: &&i64| length.div_euclid(**width) + 1 < most as i64;
        let week = WIDTHS[WIDTHS.len() - 1];
        // For a span of years, a bar has a width of several weeks.
        let weeks = || week * (length.div_euclid(week * most.max(1) as i64) + 1);
        let width = WIDTHS.iter().find(fits).copied().unwrap_or_else(weeks);
        let from = first.timestamp().div_euclid(width);
        let columns = last.timestamp().div_euclid(width) - from + 1;
        let mut counts = vec![0; usize::try_from(columns).unwrap_or(1).clamp(1, most.max(1))];
        for (start, count) in &self.buckets {
            let column = (start * self.width).max(first.timestamp()).div_euclid(width) - from;
            let column = usize::try_from(column).unwrap_or(0).min(counts.len() - 1);
            counts[column] += count;
        }
        let from = DateTime::UNIX_EPOCH + TimeDelta::seconds(from * width);
        Bars { from, width: width.unsigned_abs(), counts }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds)
    }

    #[test]
    fn bars_have_an_easily_read_width() {
        let mut histogram = Histogram::default();
        for second in [3600, 3601, 3700, 7199] {
            histogram.add(at(second));
        }
        let bars = histogram.bars(at(3600), at(7199), 20);
        assert_eq!((bars.from, bars.width, bars.counts.len()), (at(3600), 300, 12));
        assert_eq!((bars.counts[0], bars.counts[11]), (3, 1));
        let one = Histogram::default().bars(at(5), at(5), 1);
        assert_eq!(one.counts, [0]);
    }

    #[test]
    fn a_century_of_events_fits_in_the_limit_and_none_is_lost() {
        let mut histogram = Histogram::default();
        for week in (0..5200).rev() {
            histogram.add(at(week * 604_800));
            assert!(histogram.buckets.len() <= BUCKETS);
        }
        for most in [1, 7, 60] {
            let bars = histogram.bars(at(0), at(5199 * 604_800), most);
            assert_eq!(bars.counts.iter().sum::<u64>(), 5200);
            assert!(bars.counts.len() <= most);
        }
    }
}
