//! Renders statistics as two tables for 80 columns: response times, and deadlines met.

use std::time::Duration;

use crate::domain::core::time::Span;
use crate::domain::report::stats::quantile::Quantiles;
use crate::domain::report::stats::summary::{IncidentGroup, StatsSummary};
use crate::domain::report::stats::{DeadlineCounts, DeadlineKind, Phase};
use crate::surface::cli::output::table::Table;

/// The cell for an unknown value.
const UNKNOWN: &str = "-";

/// Both tables, each below a line that explains its cells.
pub fn text(summary: &StatsSummary, width: Option<usize>) -> String {
    let heading = summary.by.code().to_uppercase();
    let mut times = Table::new([&heading, "COUNT", "DETECT", "ACK", "NOTIFY", "MITIGATE", "RESOLVE"]);
    let mut deadlines = Table::new([&heading, "ALERTS", "RUNS", "AUTO", "NOTIFY", "UPDATE", "ROLE", "POST-MORTEM"]);
    for group in rows(summary) {
        let [detect, acknowledge, notify, mitigate, resolve] =
            Phase::ALL.map(|phase| median_and_p90(&group.times[&phase]));
        let count = group.incidents.to_string();
        times.row([group.key.clone(), count, detect, acknowledge, notify, mitigate, resolve]);
        let [first, update, role, postmortem] = DeadlineKind::ALL.map(|kind| met_ratio(group.deadlines[&kind]));
        let (alerts, runs, automatic) = (group.alerts, group.runs, group.automatic_runs);
        let [alerts, runs, automatic] = [alerts, runs, automatic].map(|count| count.to_string());
        deadlines.row([group.key.clone(), alerts, runs, automatic, first, update, role, postmortem]);
    }
    let [detect, acknowledge, notify, mitigate, resolve] = Phase::ALL.map(|phase| known(&summary.all.times[&phase]));
    times.row(["known".to_owned(), summary.all.incidents.to_string(), detect, acknowledge, notify, mitigate, resolve]);
    format!(
        "Time to: median / 90th percentile of the known times\n\n{}\nDeadlines: met of those that are over\n\n{}",
        times.render(width),
        deadlines.render(width)
    )
}

/// The groups, and the total if there is more than one group.
fn rows(summary: &StatsSummary) -> impl Iterator<Item = &IncidentGroup> {
    let total = (summary.groups.len() > 1).then_some(&summary.all);
    summary.groups.iter().chain(total)
}

fn median_and_p90(quantiles: &Quantiles) -> String {
    match (quantiles.median, quantiles.p90) {
        (Some(median), Some(p90)) => format!("{} / {}", short(median), short(p90)),
        _ => UNKNOWN.to_owned(),
    }
}

fn known(quantiles: &Quantiles) -> String {
    quantiles.known.to_string()
}

fn met_ratio(counts: DeadlineCounts) -> String {
    match counts.met + counts.missed {
        0 => UNKNOWN.to_owned(),
        over => format!("{} of {over}", counts.met),
    }
}

/// A duration in one unit with at most three digits: `42s`, `4.2m`, `1.5h`, `12d`.
pub fn short(span: Span) -> String {
    /// For each unit: its seconds, the least duration for which it is used, and its letter.
    const UNITS: [(f64, f64, &str); 4] =
        [(86_400.0, 86_400.0, "d"), (3_600.0, 3_600.0, "h"), (60.0, 60.0, "m"), (1.0, 0.0, "s")];
    let Span(length) = span;
    let seconds = Duration::as_secs_f64(&length);
    if seconds > 0.0 && seconds < 0.05 {
        return "<0.1s".to_owned();
    }
    let (size, _, unit) = UNITS.into_iter().find(|(_, from, _)| seconds >= *from).unwrap_or(UNITS[3]);
    let count = seconds / size;
    // A tenth is shown only for small numbers, and only if it is not zero.
    let digits = usize::from(count < 9.95 && (count - count.round()).abs() >= 0.05);
    format!("{count:.digits$}{unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_has_at_most_three_digits() {
        let of = |millis| short(Span(Duration::from_millis(millis)));
        assert_eq!(of(0), "0s");
        assert_eq!(of(3), "<0.1s");
        assert_eq!(of(180), "0.2s");
        assert_eq!(of(42_000), "42s");
        assert_eq!(of(252_000), "4.2m");
        assert_eq!(of(720_000), "12m");
        assert_eq!(of(5_400_000), "1.5h");
        assert_eq!(of(7_200_000), "2h");
        assert_eq!(of(12 * 86_400_000), "12d");
    }
}
