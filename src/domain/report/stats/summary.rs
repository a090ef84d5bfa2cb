//! Measures of many incidents, put together by what they have in common.
//!
//! **Invariant:** an incident is counted once in [`StatsSummary::all`], and once in each group that it belongs to: one that
//! concerned two services stands under both.

use std::collections::BTreeMap;

use serde::Serialize;

use super::quantile::Quantiles;
use super::{DeadlineCounts, DeadlineKind, Measure, Phase};

/// The group of incidents that belong to none: no service was named, or no runbook ran.
pub const NONE: &str = "(none)";

/// What incidents are put together by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum By {
    /// As last graded.
    Severity,
    /// The services that alerts, parameters and changes name.
    Service,
    /// The runbooks that ran.
    Runbook,
    /// The month of the opening, in UTC.
    Month,
    /// Where.
    Environment,
}

impl By {
    /// The word for people.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Severity => "severity",
            Self::Service => "service",
            Self::Runbook => "runbook",
            Self::Month => "month",
            Self::Environment => "environment",
        }
    }

    /// The groups that an incident belongs to, at least one.
    fn keys(self, measure: &Measure) -> Vec<String> {
        let named = |names: &std::collections::BTreeSet<String>| match names.is_empty() {
            true => vec![NONE.to_owned()],
            false => names.iter().cloned().collect(),
        };
        match self {
            Self::Severity => vec![measure.severity.to_string()],
            Self::Service => named(&measure.services),
            Self::Runbook => named(&measure.runbooks),
            Self::Month => vec![measure.opened.format("%Y-%m").to_string()],
            Self::Environment => vec![measure.environment.clone()],
        }
    }
}

/// What some incidents have in common.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct IncidentGroup {
    /// What they have in common.
    pub key: String,
    /// How many there are.
    pub incidents: u64,
    /// How many of them are not resolved.
    pub open: u64,
    /// How many alerts fired.
    pub alerts: u64,
    /// How many runs there were.
    pub runs: u64,
    /// How many of them neither a person nor another run started.
    pub automatic_runs: u64,
    /// What they took.
    pub times: BTreeMap<Phase, Quantiles>,
    /// How their deadlines ended.
    pub deadlines: BTreeMap<DeadlineKind, DeadlineCounts>,
}

/// Every group, in the order of its key, and all incidents together.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StatsSummary {
    /// What they are put together by.
    pub by: By,
    /// All of them.
    pub all: IncidentGroup,
    /// The groups.
    pub groups: Vec<IncidentGroup>,
}

impl StatsSummary {
    /// The summary of these incidents.
    pub fn of(measures: &[Measure], by: By) -> Self {
        let mut groups: BTreeMap<String, Vec<&Measure>> = BTreeMap::new();
        for measure in measures {
            for key in by.keys(measure) {
                groups.entry(key).or_default().push(measure);
            }
        }
        let groups = groups.into_iter().map(|(key, measures)| group(key, &measures)).collect();
        Self { by, all: group("all".to_owned(), &measures.iter().collect::<Vec<_>>()), groups }
    }
}

fn group(key: String, measures: &[&Measure]) -> IncidentGroup {
    let sum = |of: fn(&Measure) -> u64| measures.iter().map(|measure| of(measure)).sum();
    let times = |phase: Phase| Quantiles::of(measures.iter().map(|measure| measure.times.get(&phase).copied()));
    let mut deadlines: BTreeMap<DeadlineKind, DeadlineCounts> =
        DeadlineKind::ALL.into_iter().map(|duty| (duty, DeadlineCounts::default())).collect();
    for (duty, kept) in measures.iter().flat_map(|measure| &measure.deadlines) {
        deadlines.entry(*duty).or_default().add(*kept);
    }
    IncidentGroup {
        key,
        incidents: measures.len() as u64,
        open: sum(|measure| u64::from(measure.open)),
        alerts: sum(|measure| measure.alerts),
        runs: sum(|measure| measure.runs),
        automatic_runs: sum(|measure| measure.automatic),
        times: Phase::ALL.into_iter().map(|phase| (phase, times(phase))).collect(),
        deadlines,
    }
}
