//! The changes to a unit, and the requests to systemd, with their names for runbooks, messages and polkit.

use std::fmt;

use super::permissions::{MANAGE_UNIT_FILES, MANAGE_UNITS, RELOAD_DAEMON};

/// A change to a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum UnitVerb {
    Start,
    Stop,
    Restart,
    Reload,
    Enable,
    Disable,
}

impl UnitVerb {
    /// The verb as in a runbook.
    pub fn code(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Restart => "restart",
            Self::Reload => "reload",
            Self::Enable => "enable",
            Self::Disable => "disable",
        }
    }

    /// The past participle, for summaries.
    pub fn past(self) -> &'static str {
        match self {
            Self::Start => "started",
            Self::Stop => "stopped",
            Self::Restart => "restarted",
            Self::Reload => "reloaded",
            Self::Enable => "enabled",
            Self::Disable => "disabled",
        }
    }

    /// The verb that undoes this one.
    pub fn undo(self) -> Option<Self> {
        match self {
            Self::Start => Some(Self::Stop),
            Self::Stop => Some(Self::Start),
            Self::Enable => Some(Self::Disable),
            Self::Disable => Some(Self::Enable),
            Self::Restart | Self::Reload => None,
        }
    }

    /// Whether it changes what starts at boot, not what runs.
    pub fn is_about_files(self) -> bool {
        matches!(self, Self::Enable | Self::Disable)
    }
}

/// A request to systemd, for the message and the fields of its error. The units are one name or a list of names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum UnitOperation<'u> {
    /// Read the state of units.
    Read(&'u str),
    Change(UnitVerb, &'u str),
    /// Read all unit files again.
    ReloadUnitFiles,
}

impl UnitOperation<'_> {
    /// The polkit action that permits the request. `None` for a request that needs no permission.
    pub fn polkit_action(self) -> Option<&'static str> {
        match self {
            Self::Read(_) => None,
            Self::Change(verb, _) if verb.is_about_files() => Some(MANAGE_UNIT_FILES),
            Self::Change(..) => Some(MANAGE_UNITS),
            Self::ReloadUnitFiles => Some(RELOAD_DAEMON),
        }
    }
}

/// The request as an infinitive: "restart `a.service`".
impl fmt::Display for UnitOperation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read(units) => write!(f, "read the state of `{units}`"),
            Self::Change(verb, units) => write!(f, "{} `{units}`", verb.code()),
            Self::ReloadUnitFiles => f.write_str("reload the unit files"),
        }
    }
}
