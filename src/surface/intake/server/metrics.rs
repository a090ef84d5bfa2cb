//! Counters of the intake, in Prometheus' text format.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Mutex;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU64};

use crate::engine::dispatcher;
use crate::sync::lock;

/// How a request was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum PostOutcome {
    /// 2xx: its alerts are in the log.
    Taken,
    /// 4xx.
    Rejected,
    /// 503.
    Unavailable,
}

impl PostOutcome {
    fn code(self) -> &'static str {
        match self {
            Self::Taken => "taken",
            Self::Rejected => "rejected",
            Self::Unavailable => "unavailable",
        }
    }
}

/// The counters.
#[derive(Debug)]
pub(super) struct IntakeMetrics {
    /// Requests by sender and outcome. Unknown senders are counted together, so that they cannot enlarge the table.
    posts: Mutex<BTreeMap<(String, PostOutcome), u64>>,
    /// Whether the last reload succeeded.
    reloaded: AtomicBool,
    /// Reloads of the project's files since the start.
    reloads: AtomicU64,
}

impl Default for IntakeMetrics {
    fn default() -> Self {
        Self { posts: Mutex::default(), reloaded: AtomicBool::new(true), reloads: AtomicU64::new(0) }
    }
}

impl IntakeMetrics {
    pub(super) fn count(&self, sender: &str, outcome: PostOutcome) {
        let mut posts = lock(&self.posts);
        match posts.get_mut(&(sender.to_owned(), outcome)) {
            Some(count) => *count += 1,
            None => drop(posts.insert((sender.to_owned(), outcome), 1)),
        }
    }

    pub(super) fn reloaded(&self, succeeded: bool) {
        self.reloads.fetch_add(1, Relaxed);
        self.reloaded.store(succeeded, Relaxed);
    }

    /// All metrics in Prometheus' text format, version 0.0.4.
    pub(super) fn text(&self, dispatcher: &dispatcher::DispatcherMetrics) -> String {
        let mut out = String::new();
        let mut one = |name: &str, kind: &str, help: &str, value: u64| {
            let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}");
        };
        one(
            "runbook_incidents_live",
            "gauge",
            "Incidents that the dispatcher supervises.",
            dispatcher.live.load(Relaxed),
        );
        one("runbook_incidents_at_work", "gauge", "Incidents that are worked on.", dispatcher.at_work.load(Relaxed));
        one("runbook_alerts_firing", "gauge", "Firing alerts of live incidents.", dispatcher.firing.load(Relaxed));
        one(
            "runbook_incidents_opened_total",
            "counter",
            "Incidents that alerts opened.",
            dispatcher.opened.load(Relaxed),
        );
        one(
            "runbook_batches_total",
            "counter",
            "Transactions in which alerts were written.",
            dispatcher.batches.load(Relaxed),
        );
        one(
            "runbook_refused_total",
            "counter",
            "Incident writes that failed for any reason but a conflict.",
            dispatcher.refused.load(Relaxed),
        );
        one("runbook_reloads_total", "counter", "Reloads of the project's files.", self.reloads.load(Relaxed));
        one(
            "runbook_last_reload_successful",
            "gauge",
            "Whether the last reload of the project's files succeeded.",
            u64::from(self.reloaded.load(Relaxed)),
        );
        out.push_str("# HELP runbook_posts_total Requests of senders by answer.\n# TYPE runbook_posts_total counter\n");
        for ((sender, outcome), count) in &*lock(&self.posts) {
            let _ = writeln!(out, "runbook_posts_total{{sender=\"{sender}\",answer=\"{}\"}} {count}", outcome.code());
        }
        out
    }
}
