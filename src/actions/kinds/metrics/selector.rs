//! Selects series by a name and label matchers, as in PromQL
//! (<https://prometheus.io/docs/prometheus/latest/querying/basics/#instant-vector-selectors>).
//!
//! A missing label counts as an empty value. Regular expressions match whole values.

use regex::{Regex, RegexBuilder};

use super::exposition::{Page, Sample, name, quoted};
use crate::domain::core::reason::Reason;
use crate::domain::core::text::one_line;

/// Size limit of a compiled regular expression, in bytes.
const REGEX_SIZE: usize = 1024 * 1024;

/// Characters of a selector that are quoted.
const SHOWN_LIMIT: usize = 80;

#[derive(Debug)]
pub(super) struct Selector {
    pub(super) name: String,
    matchers: Vec<(String, Matcher)>,
}

#[derive(Debug)]
enum Matcher {
    Equal(String),
    NotEqual(String),
    Match(Regex),
    NotMatch(Regex),
}

impl Selector {
    /// Parses a selector.
    ///
    /// # Errors
    /// `selector`, with the missing part and its position.
    pub(super) fn parse(text: &str) -> Result<Self, Reason> {
        let needs = |rest: &str, what: &str| {
            let position = if rest.trim().is_empty() {
                "at its end".to_owned()
            } else {
                format!("at `{}`", one_line(rest, SHOWN_LIMIT))
            };
            Reason::new("selector", format!("the selector `{}` needs {what} {position}", one_line(text, SHOWN_LIMIT)))
        };
        let (name, rest) = name(text.trim()).ok_or_else(|| needs(text, "the name of a metric"))?;
        let mut selector = Self { name: name.to_owned(), matchers: Vec::new() };
        let Some(mut rest) = rest.trim_start().strip_prefix('{') else {
            return if rest.trim().is_empty() { Ok(selector) } else { Err(needs(rest, "`{` or nothing more")) };
        };
        loop {
            rest = rest.trim_start();
            if let Some(after) = rest.strip_prefix('}') {
                return if after.trim().is_empty() { Ok(selector) } else { Err(needs(after, "nothing more")) };
            }
            let (label, after) = self::name(rest).ok_or_else(|| needs(rest, "a label or `}`"))?;
            let after = after.trim_start();
            let operator = ["=~", "!~", "!=", "="].into_iter().find(|operator| after.starts_with(operator));
            let operator = operator.ok_or_else(|| needs(after, "`=`, `!=`, `=~` or `!~`"))?;
            let value = after[operator.len()..].trim_start();
            let value =
                value.strip_prefix('"').and_then(quoted).ok_or_else(|| needs(value, "a value in double quotes"))?;
            selector.matchers.push((label.to_owned(), Matcher::new(operator, value.0)?));
            rest = value.1.trim_start();
            rest = match rest.strip_prefix(',') {
                Some(after) => after,
                None if rest.starts_with('}') => rest,
                None => return Err(needs(rest, "`,` or `}`")),
            };
        }
    }

    /// The series of a page that match, with `name` in place of the selector's name.
    pub(super) fn of<'p>(&'p self, name: &'p str, page: &'p Page) -> impl Iterator<Item = &'p Sample> {
        page.samples.iter().filter(move |sample| sample.name == name && self.matches(sample))
    }

    fn matches(&self, sample: &Sample) -> bool {
        let label = |name: &String| sample.labels.get(name).map_or("", String::as_str);
        self.matchers.iter().all(|(name, matcher)| matcher.matches(label(name)))
    }
}

impl Matcher {
    fn new(operator: &str, value: String) -> Result<Self, Reason> {
        let regex = || {
            let whole = format!("^(?s:{value})$");
            RegexBuilder::new(&whole).size_limit(REGEX_SIZE).build().map_err(|_| {
                Reason::new("selector", format!("`{}` is not a regular expression", one_line(&value, SHOWN_LIMIT)))
            })
        };
        Ok(match operator {
            "=~" => Self::Match(regex()?),
            "!~" => Self::NotMatch(regex()?),
            "!=" => Self::NotEqual(value),
            _ => Self::Equal(value),
        })
    }

    fn matches(&self, value: &str) -> bool {
        match self {
            Self::Equal(expected) => value == expected,
            Self::NotEqual(expected) => value != expected,
            Self::Match(regex) => regex.is_match(value),
            Self::NotMatch(regex) => !regex.is_match(value),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::core::time::Timestamp;

    #[test]
    fn series_are_selected_as_prometheus_does() {
        let page = "a{code=\"200\"} 1\na{code=\"500\",x=\"1\"} 2\na{code=\"503\"} 4\na_b{code=\"500\"} 8\n";
        let page = Page::parse(page, Timestamp::UNIX_EPOCH).unwrap();
        let sum = |text: &str| {
            let selector = Selector::parse(text).unwrap();
            selector.of(&selector.name, &page).map(|sample| sample.value).sum::<f64>()
        };
        assert_eq!(sum("a"), 7.0);
        assert_eq!(sum(" a { code =~ \"5..\" , } "), 6.0);
        assert_eq!(sum("a{code=~\"5\"}"), 0.0);
        assert_eq!((sum("a{x=\"\"}"), sum("a{x!=\"\"}"), sum("a{code!~\"5.*\"}")), (5.0, 2.0, 1.0));
        assert_eq!(sum("a{code=~\"50[0-2]|200\",x!=\"1\"}"), 1.0);
    }

    #[test]
    fn an_error_has_the_position_of_the_missing_part() {
        let error = |text: &str| Selector::parse(text).unwrap_err().text;
        assert_eq!(error("a{code=5}"), "the selector `a{code=5}` needs a value in double quotes at `5}`");
        assert_eq!(error("a{code=\"5\""), "the selector `a{code=\"5\"` needs `,` or `}` at its end");
        assert!(error("sum(a)").contains("nothing more at `(a)`"), "{}", error("sum(a)"));
        assert!(error("a{c=~\"(\"}").contains("not a regular expression"));
        assert!(Selector::parse("").is_err() && Selector::parse("a{c=~\"x{1000}{1000}{1000}\"}").is_err());
    }
}
