//! Parses Prometheus' text format 0.0.4 (<https://prometheus.io/docs/instrumenting/exposition_formats/>). Skips the
//! additions of OpenMetrics: exemplars and the end mark.
//!
//! **Invariant:** a line that cannot be parsed is an error, never dropped, as existing parsers do.
//!
//! Not here: types and help texts, since a selector names series, not families.

use std::collections::BTreeMap;

use crate::domain::core::text::one_line;
use crate::domain::core::time::Timestamp;

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Sample {
    pub(super) name: String,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) value: f64,
}

/// A scraped page and the instant of the scrape.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Page {
    pub(super) samples: Vec<Sample>,
    pub(super) at: Timestamp,
}

impl Page {
    /// Parses a page. The error names the line.
    pub(super) fn parse(text: &str, at: Timestamp) -> Result<Self, String> {
        let mut samples = Vec::new();
        for (number, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let sample = sample(line);
            samples.push(sample.ok_or_else(|| format!("line {} is `{}`", number + 1, one_line(line, 80)))?);
        }
        Ok(Self { samples, at })
    }
}

/// Parses `name{label="value"} 1.5 1700000000000 # {…} …`; everything after the value is skipped.
fn sample(line: &str) -> Option<Sample> {
    let (name, rest) = name(line)?;
    let mut labels = BTreeMap::new();
    let rest = match rest.trim_start().strip_prefix('{') {
        Some(inner) => self::labels(inner, &mut labels)?,
        None => rest,
    };
    let value = rest.split_whitespace().next()?;
    Some(Sample { name: name.to_owned(), labels, value: number(value)? })
}

/// Splits a text after the name of a metric or label at its beginning.
pub(super) fn name(text: &str) -> Option<(&str, &str)> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    let end = text.find(|c| !is_part(c)).unwrap_or(text.len());
    (end > 0 && !text.starts_with(|c: char| c.is_ascii_digit())).then(|| text.split_at(end))
}

/// Parses labels up to the closing brace. Returns the rest of the line.
fn labels<'t>(mut text: &'t str, into: &mut BTreeMap<String, String>) -> Option<&'t str> {
    loop {
        text = text.trim_start();
        if let Some(rest) = text.strip_prefix('}') {
            return Some(rest);
        }
        let (label, rest) = name(text)?;
        let rest = rest.trim_start().strip_prefix('=')?.trim_start().strip_prefix('"')?;
        let (value, rest) = quoted(rest)?;
        into.insert(label.to_owned(), value);
        text = rest.trim_start();
        text = text.strip_prefix(',').unwrap_or(text);
    }
}

/// Parses a text up to its closing quote and replaces the escapes `\\`, `\"` and `\n`. Returns it, and the rest of the
/// line.
pub(super) fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, c)) = characters.next() {
        match c {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => match characters.next()?.1 {
                'n' => value.push('\n'),
                c @ ('\\' | '"') => value.push(c),
                // Other escapes stay as they are, since regular expressions use them.
                c => value.extend(['\\', c]),
            },
            c => value.push(c),
        }
    }
    None
}

fn number(text: &str) -> Option<f64> {
    match text {
        "+Inf" | "Inf" => Some(f64::INFINITY),
        "-Inf" => Some(f64::NEG_INFINITY),
        "NaN" => Some(f64::NAN),
        text => text.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(text: &str) -> Result<Vec<Sample>, String> {
        Page::parse(text, Timestamp::UNIX_EPOCH).map(|page| page.samples)
    }

    #[test]
    fn every_form_of_a_line_is_parsed() {
        let page = "# HELP a Text.\n# TYPE a counter\na 1\na{} 2\n  a{x=\"1\",} 3 1700000000000\n\
                    b:c_d{ x = \"q\\\"\\\\\\n}, \" , y=\"\" } -1.5e3\nn NaN\ni +Inf\no 4 # {trace=\"x\"} 1\n# EOF\n\n";
        let samples = parse(page).unwrap();
        let values: Vec<f64> = samples.iter().map(|sample| sample.value).collect();
        assert_eq!(values[..4], [1.0, 2.0, 3.0, -1500.0]);
        assert!(values[4].is_nan() && values[5].is_infinite() && values[6] == 4.0);
        assert_eq!(samples[3].labels["x"], "q\"\\\n}, ");
        assert_eq!(samples[3].labels["y"], "");
    }

    #[test]
    fn an_error_names_the_line() {
        assert_eq!(parse("a 1\n<html>").unwrap_err(), "line 2 is `<html>`");
        for line in ["a", "a{", "a{x=\"1}", "a{x} 1", "1a 1", "a x", "{\"status\":\"ok\"}"] {
            assert!(parse(line).is_err(), "{line}");
        }
    }

    proptest! {
        #[test]
        fn no_input_panics(text in "[a{}=\",\\\\ 0-9#\u{e9}\n]{0,60}") {
            let _ = parse(&text);
        }
    }
}
