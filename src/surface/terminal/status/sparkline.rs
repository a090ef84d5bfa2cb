//! Latencies as a curve: one letter a look, the latest at the right.

use crate::surface::terminal::widgets::palette::CharacterSet;
use crate::surface::terminal::widgets::styled_text::{StyledSpan, Tone};

/// The lowest maximum of the scale, in milliseconds. Faster responses look flat, since nobody notices them.
const CALM: u64 = 20;

const UNICODE: [&str; 8] = ["▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"];
const ASCII: [&str; 8] = ["_", ".", ":", "-", "=", "+", "*", "#"];

/// The result of one probe: its latency, or none without an answer.
pub type Sample = Option<u64>;

/// The last samples in `columns` characters. A probe without an answer is a cross.
pub fn curve(samples: &[Sample], columns: usize, letters: CharacterSet) -> Vec<StyledSpan> {
    let latest = &samples[samples.len().saturating_sub(columns)..];
    let highest = latest.iter().flatten().copied().max().unwrap_or(0).max(CALM);
    let (steps, cross) = match letters {
        CharacterSet::Unicode => (UNICODE, "✗"),
        CharacterSet::Ascii => (ASCII, "x"),
    };
    let letter = |sample: &Sample| match sample {
        None => (Tone::Bad, cross),
        // The highest latency is the top step, so the index stays in range.
        Some(took) => (Tone::Accent, steps[usize::try_from(took * 7 / highest).unwrap_or(7).min(7)]),
    };
    let mut spans = vec![StyledSpan::new(Tone::Plain, &" ".repeat(columns - latest.len()))];
    let drawn: Vec<(Tone, &str)> = latest.iter().map(letter).collect();
    for run in drawn.chunk_by(|one, other| one.0 == other.0) {
        spans.push(StyledSpan::new(run[0].0, &run.iter().map(|(_, letter)| *letter).collect::<String>()));
    }
    spans
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(samples: &[Sample], columns: usize, letters: CharacterSet) -> String {
        curve(samples, columns, letters).iter().map(StyledSpan::text).collect()
    }

    #[test]
    fn a_curve_is_as_wide_as_asked_and_ends_with_the_latest() {
        let samples = [Some(1), Some(400), Some(200), None, Some(3)];
        assert_eq!(text(&samples, 8, CharacterSet::Unicode), "   ▁█▄✗▁");
        assert_eq!(text(&samples, 4, CharacterSet::Ascii), "#-x_");
        assert_eq!(text(&[], 3, CharacterSet::Unicode), "   ");
        assert_eq!(text(&[Some(2), Some(5)], 2, CharacterSet::Unicode), "▁▂", "what nobody notices stays low");
    }
}
