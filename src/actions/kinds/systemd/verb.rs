//! What a step does to a unit: the verb as a runbook writes it, and as people read it.

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

    /// As it is told when it is done.
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
    pub fn undo(self) -> Option<&'static str> {
        match self {
            Self::Start => Some("stop"),
            Self::Stop => Some("start"),
            Self::Enable => Some("disable"),
            Self::Disable => Some("enable"),
            Self::Restart | Self::Reload => None,
        }
    }

    /// Whether it changes what starts at boot, not what runs.
    pub fn is_about_files(self) -> bool {
        matches!(self, Self::Enable | Self::Disable)
    }
}
