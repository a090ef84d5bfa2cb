//! The alerts of one incident: which are firing, and when all have been quiet long enough.
//!
//! The contents of alerts are in the log only: an incident in a storm holds thousands of entries, so each takes a few dozen bytes.

#![deny(clippy::wildcard_enum_match_arm)]

use std::collections::BTreeMap;

use super::event::AlertEvent;
use crate::domain::alert::{AlertKey, AlertStatus};
use crate::domain::core::time::Timestamp;

/// The most alerts that one incident gathers: a storm that goes on opens another.
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

/// One alert, as far as it has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AlertState {
    /// How it stands.
    pub status: AlertStatus,
    /// How often it was reported again, as far as that is recorded.
    pub repeats: u32,
}

impl Alerts {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.states.is_empty()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.states.len()
    }

    /// How many fire.
    pub fn firing(&self) -> usize {
        self.firing
    }

    /// How often any of them was reported again.
    pub fn repeats(&self) -> u64 {
        self.repeats
    }

    /// How a firing stands; none when it is not of this incident.
    pub fn state(&self, key: &AlertKey) -> Option<AlertState> {
        self.states.get(key).copied()
    }

    /// Every firing.
    pub fn keys(&self) -> impl Iterator<Item = (&AlertKey, AlertStatus)> {
        self.states.iter().map(|(key, state)| (key, state.status))
    }

    /// When the last of them began to fire here.
    pub fn fired_at(&self) -> Option<Timestamp> {
        self.fired_at
    }

    /// Whether there have been alerts and none of them fires.
    pub fn are_resolved(&self) -> bool {
        self.firing == 0 && !self.states.is_empty()
    }

    /// When it has been quiet for long enough, if nothing fires again.
    pub fn quiet_until(&self) -> Option<Timestamp> {
        self.quiet_until.filter(|_| self.are_resolved())
    }

    /// Applies an alert's event; the reason when it does not fit.
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
