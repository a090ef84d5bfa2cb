//! Measures of many incidents, grouped by a common property.
//!
//! **Invariant:** an incident is counted once in [`StatsSummary::all`], and once in each group that it belongs to: an incident
//! of two services is in both groups.

use std::collections::BTreeMap;

use serde::Serialize;

use super::quantile::Quantiles;
use super::{DeadlineCounts, DeadlineKind, Measure, Phase};

/// The group of incidents without a service or without a run.
pub const NONE: &str = "(none)";

/// The property by which incidents are grouped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum By {
    /// The latest severity.
    Severity,
    /// The services that alerts, parameters and changes name.
    Service,
    /// The runbooks that ran.
    Runbook,
    /// The month of the opening, in UTC.
    Month,
    Environment,
}

impl By {
    /// The name in options and tables.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Severity => "severity",
            Self::Service => "service",
            Self::Runbook => "runbook",
            Self::Month => "month",
            Self::Environment => "environment",
        }
    }

    /// The keys of an incident's groups, at least one.
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

/// The incidents of one group, or of all.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct IncidentGroup {
    /// The common value of the property.
    pub key: String,
    pub incidents: u64,
    /// How many of the incidents are unresolved.
    pub open: u64,
    pub alerts: u64,
    pub runs: u64,
    /// How many runs were started by neither a person nor another run.
    pub automatic_runs: u64,
    pub times: BTreeMap<Phase, Quantiles>,
    pub deadlines: BTreeMap<DeadlineKind, DeadlineCounts>,
}

/// All incidents, and their groups in the order of their keys.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StatsSummary {
    pub by: By,
    pub all: IncidentGroup,
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
        DeadlineKind::ALL.into_iter().map(|kind| (kind, DeadlineCounts::default())).collect();
    for (kind, counts) in measures.iter().flat_map(|measure| &measure.deadlines) {
        deadlines.entry(*kind).or_default().add(*counts);
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
