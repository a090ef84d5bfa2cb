//! Renders latencies as a curve: one character per probe, the latest on the right.

use crate::surface::terminal::widgets::palette::CharacterSet;
use crate::surface::terminal::widgets::styled_text::{StyledSpan, Tone};

/// The minimum upper end of the scale, in milliseconds, so that small differences between fast responses stay flat.
const MIN_SCALE: u64 = 20;

const UNICODE: [&str; 8] = ["▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"];
const ASCII: [&str; 8] = ["_", ".", ":", "-", "=", "+", "*", "#"];

/// The result of one probe: its latency in milliseconds, or none if there was no response.
pub type Sample = Option<u64>;

/// The last samples in `columns` characters. A probe without a response is a cross.
pub fn curve(samples: &[Sample], columns: usize, charset: CharacterSet) -> Vec<StyledSpan> {
    let latest = &samples[samples.len().saturating_sub(columns)..];
    let highest = latest.iter().flatten().copied().max().unwrap_or(0).max(MIN_SCALE);
    let (steps, cross) = match charset {
        CharacterSet::Unicode => (UNICODE, "✗"),
        CharacterSet::Ascii => (ASCII, "x"),
    };
    let character = |sample: &Sample| match sample {
        None => (Tone::Bad, cross),
        // The highest latency is the top step, so the index stays in range.
        Some(took) => (Tone::Accent, steps[usize::try_from(took * 7 / highest).unwrap_or(7).min(7)]),
    };
    let mut spans = vec![StyledSpan::new(Tone::Plain, &" ".repeat(columns - latest.len()))];
    let drawn: Vec<(Tone, &str)> = latest.iter().map(character).collect();
    for run in drawn.chunk_by(|one, other| one.0 == other.0) {
        spans.push(StyledSpan::new(run[0].0, &run.iter().map(|(_, character)| *character).collect::<String>()));
    }
    spans
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(samples: &[Sample], columns: usize, charset: CharacterSet) -> String {
        curve(samples, columns, charset).iter().map(StyledSpan::text).collect()
    }

    #[test]
    fn a_curve_has_the_requested_width_and_ends_with_the_latest_sample() {
        let samples = [Some(1), Some(400), Some(200), None, Some(3)];
        assert_eq!(text(&samples, 8, CharacterSet::Unicode), "   ▁█▄✗▁");
        assert_eq!(text(&samples, 4, CharacterSet::Ascii), "#-x_");
        assert_eq!(text(&[], 3, CharacterSet::Unicode), "   ");
        assert_eq!(text(&[Some(2), Some(5)], 2, CharacterSet::Unicode), "▁▂", "fast responses stay low");
    }
}
