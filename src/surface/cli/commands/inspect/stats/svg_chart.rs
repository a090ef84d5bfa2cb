//! Renders statistics as an SVG without scripts, fonts or links. It follows the reader's light or dark theme.
//!
//! Positions are in per cent and text keeps its size, so the picture is readable from 400 to 1,200 pixels. No meaning
//! depends on colour alone: each bar has figures.
//!
//! **Invariant:** every text passes through [`escaped`], so no service name can become markup.

use std::fmt::Write as _;

use super::tables::short;
use crate::domain::core::text::{one_line, printable};
use crate::domain::core::time::{Span, Timestamp};
use crate::domain::report::stats::quantile::Quantiles;
use crate::domain::report::stats::summary::{IncidentGroup, StatsSummary};
use crate::domain::report::stats::{DeadlineCounts, DeadlineKind, Phase};

/// Maximum number of groups drawn; a line of text counts the others.
const GROUP_LIMIT: usize = 12;
/// Maximum length of a group's name in characters, so that it fits beside the figures at 400 pixels.
const NAME_LIMIT: usize = 20;
/// The height of a row in pixels: a line of text and a bar.
const ROW: u32 = 34;
/// The height of a section heading in pixels.
const HEADING: u32 = 40;

const STYLE: &str = "\
text{font:13px system-ui,-apple-system,'Segoe UI',sans-serif;fill:#1f2328}\
.title{font-size:17px;font-weight:600}.section{font-size:14px;font-weight:600}.quiet{fill:#59636e}.end{text-anchor:end}\
.ground{fill:#fff}.track{fill:#eaeef2}.p90{fill:#9cc2ef}.median{fill:#1f6feb}.kept{fill:#2da44e}.missed{fill:#cf222e}\
@media (prefers-color-scheme:dark){text{fill:#e6edf3}.quiet{fill:#9198a1}.ground{fill:#0d1117}.track{fill:#21262d}\
.p90{fill:#1f4a86}.median{fill:#58a6ff}.kept{fill:#3fb950}.missed{fill:#f85149}}";

/// A picture that grows downwards.
struct Drawing {
    body: String,
    y: u32,
}

impl Drawing {
    fn text(&mut self, class: &str, x: &str, y: u32, text: &str) {
        let _ = writeln!(self.body, r#"<text class="{class}" x="{x}" y="{y}">{}</text>"#, escaped(text));
    }

    /// A bar from `start`, `width` wide, both in per cent.
    fn bar(&mut self, class: &str, start: f64, width: f64, y: u32) {
        if width > 0.0 {
            let _ = writeln!(
                self.body,
                r#"<rect class="{class}" x="{start:.2}%" y="{y}" width="{width:.2}%" height="9" rx="2"/>"#
            );
        }
    }

    fn heading(&mut self, left: &str, right: &str) {
        let y = self.y + 24;
        self.text("section", "0", y, left);
        self.text("quiet end", "100%", y, right);
        self.y += HEADING;
    }

    /// Draws a name, its figures and an empty bar; returns the bar's position.
    fn row(&mut self, name: &str, figures: &str) -> u32 {
        let (text, bar) = (self.y + 11, self.y + 17);
        self.text("name", "0", text, &one_line(name, NAME_LIMIT));
        self.text("quiet end", "100%", text, figures);
        self.bar("track", 0.0, 100.0, bar);
        self.y += ROW;
        bar
    }
}

/// Renders a summary.
pub fn svg(summary: &StatsSummary, since: Timestamp, until: Timestamp) -> String {
    let groups = largest_groups(summary);
    let mut drawing = Drawing { body: String::new(), y: 0 };
    let title = format!("Incidents by {}", summary.by.code());
    drawing.text("title", "0", 20, &title);
    let days = format!("{} to {}", since.format("%Y-%m-%d"), until.format("%Y-%m-%d"));
    let all = &summary.all;
    let automatic = format!("{} runs, {} of them automatic", all.runs, all.automatic_runs);
    drawing.text("quiet", "0", 40, &format!("{days}: {} incidents, {} open", all.incidents, all.open));
    drawing.text("quiet", "0", 58, &format!("{} alerts, {automatic}", all.alerts));
    drawing.y = 64;
    Phase::ALL.into_iter().for_each(|phase| times(&mut drawing, phase, &groups));
    DeadlineKind::ALL.into_iter().for_each(|kind| deadlines(&mut drawing, kind, &groups));
    let left = summary.groups.len().saturating_sub(groups.len());
    if left > 0 {
        drawing.y += 16;
        let y = drawing.y;
        drawing.text("quiet", "0", y, &format!("{left} more with fewer incidents are not drawn"));
    }
    document(&title, &drawing)
}

/// The groups with the most incidents, in their original order.
fn largest_groups(summary: &StatsSummary) -> Vec<&IncidentGroup> {
    let mut groups: Vec<(usize, &IncidentGroup)> = summary.groups.iter().enumerate().collect();
    groups.sort_by_key(|(place, group)| (std::cmp::Reverse(group.incidents), *place));
    groups.truncate(GROUP_LIMIT);
    groups.sort_by_key(|(place, _)| *place);
    groups.into_iter().map(|(_, group)| group).collect()
}

/// Draws one section: for each group a bar to the median over a paler bar to the 90th percentile, all on one scale.
fn times(drawing: &mut Drawing, phase: Phase, groups: &[&IncidentGroup]) {
    let longest = groups.iter().filter_map(|group| group.times.get(&phase)?.p90).max();
    let heading = format!("Time to {}", phase.code());
    let Some(longest) = longest else { return drawing.heading(&heading, "none known") };
    drawing.heading(&heading, &format!("bars to {}", short(longest)));
    let share = |span: Option<Span>| match (span, longest.0.as_secs_f64()) {
        (Some(span), longest) if longest > 0.0 => 100.0 * span.0.as_secs_f64() / longest,
        _ => 0.0,
    };
    for group in groups {
        let quantiles = &group.times[&phase];
        let bar = drawing.row(&group.key, &figures(quantiles));
        drawing.bar("p90", 0.0, share(quantiles.p90), bar);
        drawing.bar("median", 0.0, share(quantiles.median), bar);
    }
}

fn figures(quantiles: &Quantiles) -> String {
    let of = quantiles.known + quantiles.unknown;
    match (quantiles.median, quantiles.p90) {
        (Some(median), Some(p90)) => {
            format!("median {} · p90 {} · {} of {of} known", short(median), short(p90), quantiles.known)
        }
        _ => format!("none of {of} known"),
    }
}

/// Draws one section: for each group the shares of deadlines met and missed. Running deadlines do not count.
fn deadlines(drawing: &mut Drawing, kind: DeadlineKind, groups: &[&IncidentGroup]) {
    let over = |counts: &DeadlineCounts| counts.met + counts.missed;
    let with_deadlines: Vec<_> = groups.iter().filter(|group| over(&group.deadlines[&kind]) > 0).collect();
    if with_deadlines.is_empty() {
        return;
    }
    drawing.heading(&format!("Deadlines: {}", kind.code()), "of those that are over");
    for group in with_deadlines {
        let counts = group.deadlines[&kind];
        let bar = drawing.row(&group.key, &format!("{} met · {} missed", counts.met, counts.missed));
        let share = 100.0 * counts.met as f64 / over(&counts) as f64;
        drawing.bar("kept", 0.0, share, bar);
        drawing.bar("missed", share, 100.0 - share, bar);
    }
}

/// The document with its title and style.
fn document(title: &str, drawing: &Drawing) -> String {
    let height = drawing.y + 28;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"100%\" height=\"{height}\" role=\"img\" aria-label=\"{title}\">\n\
         <title>{title}</title>\n<style>{STYLE}</style>\n<rect class=\"ground\" width=\"100%\" height=\"100%\"/>\n\
         <svg x=\"3%\" y=\"10\" width=\"94%\">\n{}</svg>\n</svg>\n",
        drawing.body
    )
}

/// Text escaped for XML.
fn escaped(text: &str) -> String {
    printable(text).replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::report::stats::summary::By;

    fn group(key: &str, incidents: u64) -> IncidentGroup {
        let times = Phase::ALL.map(|phase| (phase, Quantiles::of([Some(Span::seconds(90 * incidents)), None])));
        let counts = DeadlineCounts { met: incidents, missed: 1, running: 0 };
        let deadlines = DeadlineKind::ALL.map(|kind| (kind, counts));
        let (times, deadlines) = (times.into_iter().collect(), deadlines.into_iter().collect());
        IncidentGroup { key: key.to_owned(), incidents, times, deadlines, ..IncidentGroup::default() }
    }

    fn svg_of(groups: Vec<IncidentGroup>) -> String {
        let summary = StatsSummary { by: By::Service, all: group("all", 1), groups };
        svg(&summary, Timestamp::UNIX_EPOCH, Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn a_name_cannot_become_markup() {
        let picture = svg_of(vec![group("<b>\"&\u{1b}", 1)]);
        assert!(picture.contains("&lt;b&gt;&quot;&amp;"), "{picture}");
        assert!(!picture.contains("<b>") && !picture.contains('\u{1b}'), "{picture}");
    }

    #[test]
    fn the_groups_with_the_most_incidents_are_drawn_and_the_rest_is_counted() {
        let picture = svg_of((1..=14).map(|count| group(&format!("service-{count:02}"), count)).collect());
        assert!(!picture.contains("service-02") && picture.contains("service-03"), "{picture}");
        assert!(picture.contains("2 more with fewer incidents are not drawn"), "{picture}");
    }

    #[test]
    fn without_incidents_the_picture_has_no_bars() {
        let picture = svg_of(Vec::new());
        assert!(picture.contains("none known") && picture.ends_with("</svg>\n"), "{picture}");
    }
}
