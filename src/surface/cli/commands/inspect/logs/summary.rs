//! Renders the summary of a search for people: levels, histogram, services and the most frequent messages.

use chrono::Local;
use unicode_width::UnicodeWidthStr as _;

use crate::domain::core::text::grouped;
use crate::domain::core::time::{Span, Timestamp};
use crate::domain::journal::level::LEVELS;
use crate::domain::journal::summary::{JournalSummary, MessageGroup};
use crate::surface::cli::output::table::{Table, wrapped};
use crate::surface::terminal::CharacterSet;

/// Maximum number of messages shown.
const MESSAGE_LIMIT: usize = 20;

/// Maximum number of services shown.
const SERVICE_LIMIT: usize = 25;

/// Maximum width of the histogram of all lines.
const HISTOGRAM_WIDTH: usize = 72;

/// The width of a service's histogram.
const SERVICE_HISTOGRAM_WIDTH: usize = 20;

/// How a summary is rendered.
#[derive(Debug, Clone, Copy)]
pub(super) struct SummaryStyle {
    /// The width to wrap to; without one, lines are not wrapped.
    pub(super) width: Option<usize>,
    pub(super) charset: CharacterSet,
}

/// Renders a summary. Its messages must be sanitised already.
pub(super) fn render(summary: &JournalSummary, style: &SummaryStyle) -> String {
    let Some((first, last)) = summary.first.zip(summary.last) else {
        return String::new();
    };
    let mut out = overview(summary, first, last, style);
    out.push('\n');
    out.push_str(&over_time(summary, first, last, style));
    out.push('\n');
    out.push_str(&services(summary, first, last, style));
    out.push('\n');
    out.push_str(&messages(summary, first, last, style));
    out
}

fn overview(summary: &JournalSummary, first: Timestamp, last: Timestamp, style: &SummaryStyle) -> String {
    let levels = LEVELS.iter().zip(summary.by_level).rev().filter(|(_, count)| *count > 0);
    let levels: Vec<String> = levels.map(|(name, count)| format!("{} {name}", grouped(count))).collect();
    let at = |at: Timestamp| at.with_timezone(&Local).format("%Y-%m-%d %H:%M:%S").to_string();
    let zone = last.with_timezone(&Local).format("%:z");
    let text = format!(
        "{}, from {} to {} (UTC{zone}): {}",
        counted(summary.lines, "line"),
        at(first),
        at(last),
        levels.join(", ")
    );
    style.width.map_or_else(|| format!("{text}\n"), |width| wrapped(&text, width, ""))
}

/// The histogram of all lines, with its scale below.
fn over_time(summary: &JournalSummary, first: Timestamp, last: Timestamp, style: &SummaryStyle) -> String {
    let bars = summary.histogram.bars(first, last, style.width.unwrap_or(HISTOGRAM_WIDTH).clamp(10, HISTOGRAM_WIDTH));
    let most = bars.counts.iter().copied().max().unwrap_or_default();
    let histogram = histogram(&bars.counts, style.charset);
    let from = bars.from.with_timezone(&Local).format("%H:%M:%S").to_string();
    let scale = format!("from {from}, each {}, the highest {}", Span::seconds(bars.width), grouped(most));
    format!("{histogram}\n{}", style.width.map_or_else(|| format!("{scale}\n"), |width| wrapped(&scale, width, "")))
}

fn services(summary: &JournalSummary, first: Timestamp, last: Timestamp, style: &SummaryStyle) -> String {
    let mut table = Table::new(["SERVICE", "LINES", "ERRORS", "OVER TIME"]);
    let services = summary.by_lines();
    let columns = |counts: &[u64]| histogram(counts, style.charset);
    for (name, service) in services.iter().take(SERVICE_LIMIT) {
        let bars = service.histogram.bars(first, last, SERVICE_HISTOGRAM_WIDTH);
        table.row([(*name).to_owned(), grouped(service.lines), grouped(service.errors), columns(&bars.counts)]);
    }
    let more = services.len().saturating_sub(SERVICE_LIMIT);
    let rest = if more > 0 { format!("and {}\n", counted(more as u64, "further service")) } else { String::new() };
    table.render(style.width) + &rest
}

fn messages(summary: &JournalSummary, first: Timestamp, last: Timestamp, style: &SummaryStyle) -> String {
    let mut table = Table::new(["MESSAGE", "COUNT", "LEVEL", "FIRST", "LAST", "SERVICES"]);
    let one_day = first.with_timezone(&Local).date_naive() == last.with_timezone(&Local).date_naive();
    let form = if one_day { "%H:%M:%S" } else { "%m-%d %H:%M" };
    let at = |at: Timestamp| at.with_timezone(&Local).format(form).to_string();
    for group in summary.commonest(MESSAGE_LIMIT) {
        let level = group.level.name().to_uppercase();
        table.row([group.shape.clone(), grouped(group.count), level, at(group.first), at(group.last), writers(group)]);
    }
    let more = summary.shapes().saturating_sub(MESSAGE_LIMIT);
    let rest = if more > 0 { format!("and {}\n", counted(more as u64, "further message")) } else { String::new() };
    table.render(style.width) + &rest
}

/// The services that wrote a message, at most three by name.
fn writers(group: &MessageGroup) -> String {
    let mut services: Vec<(&String, &u64)> = group.services.iter().collect();
    services.sort_by_key(|(name, count)| (std::cmp::Reverse(**count), *name));
    let mut names: Vec<String> = services.iter().take(3).map(|(name, _)| (*name).clone()).collect();
    if services.len() > 3 {
        names.push(format!("{} more", services.len() - 3));
    }
    names.join(", ")
}

/// A number and a noun in the singular or plural.
pub(super) fn counted(number: u64, noun: &str) -> String {
    format!("{} {noun}{}", grouped(number), if number == 1 { "" } else { "s" })
}

/// One character per count, scaled to the highest count. A count above zero never has the character of zero.
fn histogram(counts: &[u64], charset: CharacterSet) -> String {
    let steps: Vec<char> = match charset {
        CharacterSet::Unicode => "·▁▂▃▄▅▆▇█".chars().collect(),
        CharacterSet::Ascii => ".:-=+*#%@".chars().collect(),
    };
    let most = counts.iter().copied().max().unwrap_or_default().max(1);
    let step = |count: &u64| (*count * (steps.len() as u64 - 1)).div_ceil(most) as usize;
    let histogram: String = counts.iter().map(|count| steps[step(count)]).collect();
    debug_assert_eq!(histogram.width(), counts.len(), "one column per count");
    histogram
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_count_is_distinguished_from_zero() {
        assert_eq!(histogram(&[0, 1, 1000], CharacterSet::Unicode), "·▁█");
        assert_eq!(histogram(&[0, 0], CharacterSet::Ascii), "..");
    }
}
