//! What can be wrong with a request to systemd, told apart so that a person knows what to do.

use serde_json::{Value, json};

use super::unit::Unit;
use crate::domain::core::reason::{Reason, ReasonCode};
use crate::domain::core::suggest::{or_did_you_mean, several_nearest};

/// The code for a unit that ends again and again.
pub(super) const CRASH_LOOP: &str = "crash_loop";

/// Similar names that are suggested.
const OFFERED: usize = 3;

/// An error with a code and a message.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct SystemdError {
    /// Such as `start_limit_hit` or `access_denied`.
    pub kind: &'static str,
    pub message: String,
    /// Whether systemd may have acted despite the error.
    pub uncertain: bool,
    /// More fields for programs.
    pub more: Value,
}

impl From<Reason> for SystemdError {
    fn from(reason: Reason) -> Self {
        Self::new(reason.code.as_str(), reason.text)
    }
}

impl SystemdError {
    /// An error of this kind, without more fields.
    pub fn new(kind: &'static str, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), uncertain: false, more: Value::Null }
    }

    /// Adds fields for programs.
    pub fn with(self, more: Value) -> Self {
        Self { more, ..self }
    }

    /// The error as `output.trouble`.
    pub fn output(&self) -> Value {
        let mut error = json!({ "kind": self.kind, "message": self.message });
        if let (Value::Object(error), Value::Object(more)) = (&mut error, self.more.clone()) {
            error.extend(more);
        }
        error
    }

    /// The unit does not exist; `known` are the names to suggest from.
    pub fn no_such_unit(name: &str, known: &[String]) -> Self {
        Self::unknown_unit("no_such_unit", "there is no unit", name, known)
    }

    /// The unit is not in the estate; `known` are the units of the estate.
    pub fn outside_estate(name: &str, known: &[String]) -> Self {
        Self::unknown_unit("outside_estate", "the estate has no unit", name, known)
    }

    fn unknown_unit(kind: &'static str, front: &str, name: &str, known: &[String]) -> Self {
        let nearest = several_nearest(name, known.iter().map(String::as_str), OFFERED);
        let message = format!("{front} `{name}`{}", or_did_you_mean(nearest.iter().copied()));
        Self::new(kind, message).with(json!({ "nearest": nearest }))
    }

    /// An error of the bus for the request to `verb` a unit.
    pub fn of_bus(verb: &str, unit: &str, error: &zbus::Error) -> Self {
        match error {
            zbus::Error::MethodError(name, message, _) => {
                Self::of_error(verb, unit, name.as_str(), message.as_deref().unwrap_or_default())
            }
            zbus::Error::FDO(error) => {
                let name = zbus::DBusError::name(&**error).to_string();
                Self::of_error(verb, unit, &name, zbus::DBusError::description(&**error).unwrap_or_default())
            }
            // The request may have arrived before the connection broke.
            other => {
                let message = format!("the connection to systemd broke while `{unit}` was to {verb}: {other}");
                Self { uncertain: true, ..Self::new(ReasonCode::CONNECTION_LOST.as_str(), message) }
            }
        }
    }

    fn of_error(verb: &str, unit: &str, name: &str, message: &str) -> Self {
        let short = name.rsplit('.').next().unwrap_or(name);
        match short {
            "NoSuchUnit" => Self::no_such_unit(unit, &[]),
            "AccessDenied" | "InteractiveAuthorizationRequired" | "AuthFailed" => Self::access_denied(verb, unit),
            "UnitMasked" => Self::new("masked", format!("`{unit}` is masked")),
            "JobTypeNotApplicable" => {
                Self::new("not_applicable", format!("`{unit}` cannot {verb}: its unit file does not say how"))
            }
            "NoReply" | "Timeout" | "TimedOut" | "Disconnected" => {
                let message = format!("systemd did not answer when `{unit}` was to {verb}: {message}");
                Self { uncertain: true, ..Self::new("no_answer", message) }
            }
            _ => {
                let message = format!("systemd refused to {verb} `{unit}`: {message}");
                Self::new("refused", message).with(json!({ "name": name }))
            }
        }
    }

    fn access_denied(verb: &str, unit: &str) -> Self {
        let action = polkit_action(verb);
        let message = format!(
            "polkit does not let this account {verb} `{unit}` (`{action}`); `runbook unit polkit` prints the rule"
        );
        Self::new("access_denied", message).with(json!({ "action": action }))
    }

    /// The error for a job's result, unless it is `done`. `unit` is the state after the job.
    pub fn of_job(verb: &str, unit: &Unit, result: &str) -> Option<Self> {
        let name = &unit.name;
        let trouble = match result {
            "done" => return None,
            "failed" => return Some(Self::of_unit(verb, unit)),
            "canceled" => {
                let message = format!("another request took the place of the one to {verb} `{name}`");
                Self::new("job_canceled", message)
            }
            "timeout" => Self::new("job_timeout", format!("systemd gave up waiting for `{name}` to {verb}")),
            "dependency" => {
                let message =
                    format!("a unit that `{name}` needs did not start; see `systemctl list-dependencies {name}`");
                Self::new("job_dependency", message)
            }
            "skipped" => Self::new("job_skipped", format!("`{name}` is in no state in which it could {verb}")),
            other => Self::new("job_failed", format!("the job to {verb} `{name}` ended with `{other}`")),
        };
        Some(trouble)
    }

    /// Why a unit is not up, from its properties.
    pub fn of_unit(verb: &str, unit: &Unit) -> Self {
        let name = &unit.name;
        let result = unit.result.as_deref().unwrap_or("unknown");
        let exit = unit.exit.as_deref().unwrap_or("an unknown status");
        let trouble = match result {
            "start-limit-hit" => return Self::start_limit(unit),
            "exit-code" if verb == "reload" => Self::new("reload_failed", format!("`{name}` could not reload")),
            "exit-code" => Self::new("start_failed", format!("`{name}` did not stay up: {}", why_exited(exit))),
            "signal" | "core-dump" => Self::new("start_failed", format!("`{name}` did not stay up: {exit}")),
            "timeout" => Self::new("start_timeout", format!("`{name}` did not become ready in its time")),
            "oom-kill" => Self::new("out_of_memory", format!("`{name}` was killed for want of memory")),
            "success" => Self::new("ended", format!("`{name}` ended at once ({exit}) and is {}", unit.state())),
            other => Self::new("start_failed", format!("`{name}` is {}: {other}", unit.state())),
        };
        trouble.with(json!({ "result": result, "exit": unit.exit }))
    }

    /// systemd refuses further starts, because the unit was started too often.
    ///
    /// `Result` shows this only if there was no earlier error; callers use other signs too.
    pub fn start_limit(unit: &Unit) -> Self {
        let name = &unit.name;
        let exit = unit.exit.as_deref().map_or_else(String::new, |exit| format!(" (last: {})", why_exited(exit)));
        let message = format!(
            "`{name}` was started too often and systemd has given up on it{exit}; \
             `systemctl reset-failed {name}` lets it start again"
        );
        Self::new("start_limit_hit", message)
            .with(json!({ "result": unit.result, "exit": unit.exit, "n_restarts": unit.n_restarts }))
    }

    /// The unit ends again and again, and systemd restarts it each time.
    pub fn crash_loop(unit: &Unit) -> Self {
        let exit = unit.exit.as_deref().map_or_else(String::new, |exit| format!(" ({})", why_exited(exit)));
        let count = unit.n_restarts.unwrap_or(0);
        let message = match count {
            0 => format!("`{}` ended at once{exit}; systemd will start it again", unit.name),
            1 => format!("`{}` ended at once{exit} and was started again by systemd", unit.name),
            _ => format!("`{}` keeps ending{exit}; systemd has started it again {count} times", unit.name),
        };
        Self::new(CRASH_LOOP, message).with(json!({ "n_restarts": count, "exit": unit.exit }))
    }
}

/// The polkit action that a verb needs.
fn polkit_action(verb: &str) -> &'static str {
    match verb {
        "enable" | "disable" => "org.freedesktop.systemd1.manage-unit-files",
        "reload the unit files of" => "org.freedesktop.systemd1.reload-daemon",
        _ => "org.freedesktop.systemd1.manage-units",
    }
}

/// Explains the exit codes by which systemd reports that it could not run the program; see `systemd.exec(5)`.
fn why_exited(exit: &str) -> String {
    let meaning = match exit {
        "exited 200" => "its working directory is missing",
        "exited 203" => "its program cannot be run",
        "exited 216" => "its group is unknown",
        "exited 217" => "its user is unknown",
        "exited 226" => "its name spaces could not be made",
        _ => return exit.to_owned(),
    };
    format!("{exit}: {meaning}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_by_polkit_names_the_action() {
        let denied = "org.freedesktop.DBus.Error.AccessDenied";
        let of = |verb| SystemdError::of_error(verb, "a.service", denied, "Access denied").more["action"].clone();
        assert_eq!(of("restart"), "org.freedesktop.systemd1.manage-units");
        assert_eq!(of("enable"), "org.freedesktop.systemd1.manage-unit-files");
        let interactive = "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired";
        assert_eq!(SystemdError::of_error("stop", "a.service", interactive, "").kind, "access_denied");
    }

    #[test]
    fn the_nearest_names_are_offered() {
        let known = ["pakashop-gateway.service", "pakashop-search.service"].map(str::to_owned);
        let error = SystemdError::no_such_unit("search.service", &known);
        assert_eq!(error.message, "there is no unit `search.service`; did you mean `pakashop-search.service`?");
        assert_eq!(error.more, json!({ "nearest": ["pakashop-search.service"] }));
        assert_eq!(SystemdError::no_such_unit("nginx.service", &known).message, "there is no unit `nginx.service`");
    }

    #[test]
    fn a_start_limit_and_a_failed_start_are_told_apart() {
        let unit = |result: &str, exit: &str| Unit {
            name: "a.service".to_owned(),
            result: Some(result.to_owned()),
            exit: Some(exit.to_owned()),
            ..Unit::default()
        };
        assert_eq!(SystemdError::of_unit("start", &unit("start-limit-hit", "exited 1")).kind, "start_limit_hit");
        let failed = SystemdError::of_unit("start", &unit("exit-code", "exited 203"));
        assert_eq!(failed.kind, "start_failed");
        assert!(failed.message.contains("cannot be run"), "{}", failed.message);
    }
}
