//! The fields `above` and `below` of several kinds: the limits of a measured number.
//!
//! Not here: conditions on several values; use a step's `until` and `when`.

/// The limits of a value. Without limits, every value passes.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Threshold {
    /// The value must be more than this.
    pub above: Option<f64>,
    /// The value must be less than this.
    pub below: Option<f64>,
}

impl Threshold {
    /// Whether there is any limit.
    pub fn is_given(self) -> bool {
        self.above.is_some() || self.below.is_some()
    }

    /// The limit that a value breaks, as the end of a sentence. NaN breaks every limit.
    pub fn broken(self, value: f64) -> Option<String> {
        match self {
            Self { above: Some(above), .. } if value.is_nan() || value <= above => Some(format!("not above {above}")),
            Self { below: Some(below), .. } if value.is_nan() || value >= below => Some(format!("not below {below}")),
            _ => None,
        }
    }
}

/// A number for people, with at most four decimals.
pub fn number(value: f64) -> String {
    let rounded = (value * 10_000.0).round() / 10_000.0;
    if rounded == 0.0 && value != 0.0 { format!("{value:e}") } else { format!("{rounded}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_itself_is_outside() {
        let threshold = Threshold { above: Some(1.0), below: Some(5.0) };
        assert_eq!(threshold.broken(3.0), None);
        assert_eq!(threshold.broken(1.0).as_deref(), Some("not above 1"));
        assert_eq!(threshold.broken(5.0).as_deref(), Some("not below 5"));
        assert!(threshold.broken(f64::NAN).is_some());
    }

    #[test]
    fn small_numbers_are_not_rounded_to_zero() {
        assert_eq!([0.0, 1.0, 0.123456, 0.000001].map(number), ["0", "1", "0.1235", "1e-6"]);
    }
}
