//! The alerts of one incident: which of them fire, and when all have been quiet for long enough.
//!
//! An alert's content is only in the log. In an alert storm an incident has thousands of alerts, so each takes a few dozen bytes.

#![deny(clippy::wildcard_enum_match_arm)]

use std::collections::BTreeMap;

use super::event::AlertEvent;
use crate::domain::alert::{AlertKey, AlertStatus};
use crate::domain::core::time::Timestamp;

/// The most alerts of one incident. Further alerts open another incident.
pub const ALERT_LIMIT: usize = 10_000;

/// The alerts of one incident.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Alerts {
    states: BTreeMap<AlertKey, AlertState>,
    firing: usize,
    repeats: u64,
    fired_at: Option<Timestamp>,
    quiet_until: Option<Timestamp>,
}

/// The state of one alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AlertState {
    pub status: AlertStatus,
    /// How many repetitions are recorded.
    pub repeats: u32,
}

impl Alerts {
    /// Whether the incident has no alerts.
    pub fn is_empty(&self) -> bool {
        self.states.is_empty()
    }

    /// The number of alerts, firing and resolved.
    pub fn len(&self) -> usize {
        self.states.len()
    }

    /// The number of alerts that fire.
    pub fn firing(&self) -> usize {
        self.firing
    }

    /// The number of recorded repetitions of all alerts.
    pub fn repeats(&self) -> u64 {
        self.repeats
    }

    /// The state of an alert; none if it is not in this incident.
    pub fn state(&self, key: &AlertKey) -> Option<AlertState> {
        self.states.get(key).copied()
    }

    /// Every alert and its status.
    pub fn keys(&self) -> impl Iterator<Item = (&AlertKey, AlertStatus)> {
        self.states.iter().map(|(key, state)| (key, state.status))
    }

    /// When the most recent alert began to fire.
    pub fn fired_at(&self) -> Option<Timestamp> {
        self.fired_at
    }

    /// Whether the incident has alerts and none of them fires.
    pub fn are_resolved(&self) -> bool {
        self.firing == 0 && !self.states.is_empty()
    }

    /// When all alerts will have been quiet for long enough; none while one fires.
    pub fn quiet_until(&self) -> Option<Timestamp> {
        self.quiet_until.filter(|_| self.are_resolved())
    }

    /// Applies an event of an alert; the error is the reason why it is illegal.
    pub(crate) fn apply(&mut self, event: &AlertEvent, at: Timestamp) -> Result<(), String> {
        match event {
            AlertEvent::Fired { key, .. } => self.fire(*key, at),
            AlertEvent::Repeated { key, times } => {
                let state = self.states.get_mut(key).ok_or_else(|| unknown(key))?;
                state.repeats = state.repeats.saturating_add(*times);
                self.repeats = self.repeats.saturating_add(u64::from(*times));
                Ok(())
            }
            AlertEvent::Resolved { key, quiet_until, .. } => {
                let state = self.states.get_mut(key).ok_or_else(|| unknown(key))?;
                if std::mem::replace(&mut state.status, AlertStatus::Resolved) == AlertStatus::Resolved {
                    return Err(format!("alert {key} is resolved already"));
                }
                self.firing -= 1;
                self.quiet_until = Some(*quiet_until);
                Ok(())
            }
        }
    }

    fn fire(&mut self, key: AlertKey, at: Timestamp) -> Result<(), String> {
        let state = AlertState { status: AlertStatus::Firing, repeats: 0 };
        if self.states.insert(key, state).is_some() {
            return Err(format!("alert {key} has fired already"));
        }
        self.firing += 1;
        self.fired_at = Some(at);
        self.quiet_until = None;
        Ok(())
    }
}

fn unknown(key: &AlertKey) -> String {
    format!("there is no alert {key}")
}
