//! What is counted at the door, in Prometheus' text format.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Mutex, PoisonError};

use crate::engine::duty;

/// How a post was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Outcome {
    /// With 2xx: the log has it.
    Taken,
    /// With 4xx.
    Rejected,
    /// With 503.
    Unavailable,
}

impl Outcome {
    fn word(self) -> &'static str {
        match self {
            Self::Taken => "taken",
            Self::Rejected => "rejected",
            Self::Unavailable => "unavailable",
        }
    }
}

/// Posts by sender and answer. Senders are those of the estate, so that no stranger can make the table grow.
#[derive(Debug, Default)]
pub(super) struct Figures(Mutex<BTreeMap<(String, Outcome), u64>>);

impl Figures {
    pub(super) fn count(&self, sender: &str, outcome: Outcome) {
        let mut posts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match posts.get_mut(&(sender.to_owned(), outcome)) {
            Some(count) => *count += 1,
            None => drop(posts.insert((sender.to_owned(), outcome), 1)),
        }
    }

    /// Everything in Prometheus' text format, version 0.0.4.
    pub(super) fn text(&self, duty: &duty::Figures) -> String {
        use std::sync::atomic::Ordering::Relaxed;
        let mut out = String::new();
        let mut one = |name: &str, kind: &str, help: &str, value: u64| {
            let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}");
        };
        one("runbook_incidents_live", "gauge", "Incidents of which something may be owed.", duty.live.load(Relaxed));
        one("runbook_incidents_at_work", "gauge", "Incidents that are worked on.", duty.at_work.load(Relaxed));
        one("runbook_alerts_firing", "gauge", "Alerts that fire.", duty.firing.load(Relaxed));
        one("runbook_incidents_opened_total", "counter", "Incidents that alerts opened.", duty.opened.load(Relaxed));
        one(
            "runbook_batches_total",
            "counter",
            "Transactions that alerts were written in.",
            duty.batches.load(Relaxed),
        );
        one("runbook_refused_total", "counter", "Writes that the log refused.", duty.refused.load(Relaxed));
        out.push_str("# HELP runbook_posts_total Posts of senders by answer.\n# TYPE runbook_posts_total counter\n");
        for ((sender, outcome), count) in &*self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            let _ = writeln!(out, "runbook_posts_total{{sender=\"{sender}\",answer=\"{}\"}} {count}", outcome.word());
        }
        out
    }
}
