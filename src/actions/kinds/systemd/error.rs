//! Classifies errors of requests to systemd, with messages that name the remedy.

use serde_json::{Value, json};

use super::unit::{ProcessExit, Unit};
use super::verb::{UnitOperation, UnitVerb};
use crate::domain::core::reason::{Reason, ReasonCode};
use crate::domain::core::suggest::{or_did_you_mean, several_nearest};

/// The code for a unit that ends again and again.
pub(super) const CRASH_LOOP: &str = "crash_loop";

/// Similar names that are suggested.
const SUGGESTIONS: usize = 3;

/// An error with a code and a message.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct SystemdError {
    /// Such as `start_limit_hit` or `access_denied`.
    pub kind: &'static str,
    pub message: String,
    /// Whether systemd may have acted despite the error.
    pub uncertain: bool,
    /// Further fields of the error, for programs.
    pub fields: Value,
}

impl From<Reason> for SystemdError {
    fn from(reason: Reason) -> Self {
        Self::new(reason.code.as_str(), reason.text)
    }
}

impl SystemdError {
    /// An error of this kind, without further fields.
    pub fn new(kind: &'static str, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), uncertain: false, fields: Value::Null }
    }

    /// Sets the further fields.
    pub fn with(self, fields: Value) -> Self {
        Self { fields, ..self }
    }

    /// The error as the output `trouble`.
    pub fn output(&self) -> Value {
        let mut error = json!({ "kind": self.kind, "message": self.message });
        if let (Value::Object(error), Value::Object(fields)) = (&mut error, self.fields.clone()) {
            error.extend(fields);
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

    fn unknown_unit(kind: &'static str, problem: &str, name: &str, known: &[String]) -> Self {
        let nearest = several_nearest(name, known.iter().map(String::as_str), SUGGESTIONS);
        let message = format!("{problem} `{name}`{}", or_did_you_mean(nearest.iter().copied()));
        Self::new(kind, message).with(json!({ "nearest": nearest }))
    }

    /// The error for a failed request.
    pub fn of_bus(operation: UnitOperation<'_>, error: &zbus::Error) -> Self {
        match error {
            zbus::Error::MethodError(name, message, _) => {
                Self::of_reply(operation, name.as_str(), message.as_deref().unwrap_or_default())
            }
            zbus::Error::FDO(error) => {
                let name = zbus::DBusError::name(&**error).to_string();
                Self::of_reply(operation, &name, zbus::DBusError::description(&**error).unwrap_or_default())
            }
            // The request may have arrived before the connection broke.
            other => {
                let message = format!("the connection to systemd broke during the request to {operation}: {other}");
                Self { uncertain: true, ..Self::new(ReasonCode::CONNECTION_LOST.as_str(), message) }
            }
        }
    }

    /// The error for an error reply: its D-Bus name and message.
    fn of_reply(operation: UnitOperation<'_>, name: &str, message: &str) -> Self {
        use UnitOperation::{Change, Read};
        let short = name.rsplit('.').next().unwrap_or(name);
        match (short, operation) {
            ("NoSuchUnit", Read(unit) | Change(_, unit)) => Self::no_such_unit(unit, &[]),
            ("UnitMasked", Read(unit) | Change(_, unit)) => Self::new("masked", format!("`{unit}` is masked")),
            ("JobTypeNotApplicable", Change(verb, unit)) => {
                let message =
                    format!("`{unit}` cannot be {}: its type or its unit file does not allow it", verb.past());
                Self::new("not_applicable", message)
            }
            ("AccessDenied" | "InteractiveAuthorizationRequired" | "AuthFailed", _) => Self::access_denied(operation),
            ("NoReply" | "Timeout" | "TimedOut" | "Disconnected", _) => {
                let message = format!("systemd did not answer the request to {operation}: {message}");
                Self { uncertain: true, ..Self::new("no_answer", message) }
            }
            _ => {
                let message = format!("systemd refused to {operation}: {message}");
                Self::new("refused", message).with(json!({ "name": name }))
            }
        }
    }

    fn access_denied(operation: UnitOperation<'_>) -> Self {
        let Some(action) = operation.polkit_action() else {
            return Self::new("access_denied", format!("this account may not {operation}"));
        };
        let message =
            format!("polkit does not let this account {operation} (`{action}`); `runbook unit polkit` prints the rule");
        Self::new("access_denied", message).with(json!({ "action": action }))
    }

    /// The error for a job's result, unless it is `done`. `unit` is the state after the job.
    pub fn of_job(verb: UnitVerb, unit: &Unit, result: &str) -> Option<Self> {
        let (name, job) = (&unit.name, verb.code());
        let error = match result {
            "done" => return None,
            "failed" => return Some(Self::of_unit(verb, unit)),
            "canceled" => Self::new("job_canceled", format!("another job replaced the job to {job} `{name}`")),
            "timeout" => Self::new("job_timeout", format!("systemd gave up waiting for `{name}` to {job}")),
            "dependency" => {
                let message =
                    format!("a unit that `{name}` needs did not start; see `systemctl list-dependencies {name}`");
                Self::new("job_dependency", message)
            }
            "skipped" => Self::new("job_skipped", format!("`{name}` is in no state in which it could {job}")),
            other => Self::new("job_failed", format!("the job to {job} `{name}` ended with `{other}`")),
        };
        Some(error)
    }

    /// Why a unit is not up, from its properties.
    pub fn of_unit(verb: UnitVerb, unit: &Unit) -> Self {
        let name = &unit.name;
        let result = unit.result.as_deref().unwrap_or("unknown");
        let exit = unit.exit.map_or_else(|| "an unknown status".to_owned(), explained);
        let error = match result {
            "start-limit-hit" => return Self::start_limit(unit),
            "exit-code" if verb == UnitVerb::Reload => Self::new("reload_failed", format!("`{name}` could not reload")),
            "exit-code" | "signal" | "core-dump" => {
                Self::new("start_failed", format!("`{name}` did not stay up: {exit}"))
            }
            "timeout" => Self::new("start_timeout", format!("`{name}` did not become ready in time")),
            "oom-kill" => Self::new("out_of_memory", format!("`{name}` was killed: out of memory")),
            "success" => Self::new("ended", format!("`{name}` ended at once ({exit}) and is {}", unit.state())),
            other => Self::new("start_failed", format!("`{name}` is {}: {other}", unit.state())),
        };
        error.with(json!({ "result": result, "exit": unit.exit }))
    }

    /// systemd refuses further starts, because the unit was started too often.
    ///
    /// The property `Result` shows this only if no earlier error is recorded, so callers check other properties too.
    pub fn start_limit(unit: &Unit) -> Self {
        let name = &unit.name;
        let exit = unit.exit.map_or_else(String::new, |exit| format!(" (last: {})", explained(exit)));
        let message = format!(
            "`{name}` was started too often and systemd has given up on it{exit}; \
             `systemctl reset-failed {name}` lets it start again"
        );
        Self::new("start_limit_hit", message)
            .with(json!({ "result": unit.result, "exit": unit.exit, "n_restarts": unit.n_restarts }))
    }

    /// The unit ends again and again, and systemd restarts it each time.
    pub fn crash_loop(unit: &Unit) -> Self {
        let exit = unit.exit.map_or_else(String::new, |exit| format!(" ({})", explained(exit)));
        let count = unit.n_restarts.unwrap_or(0);
        let message = match count {
            0 => format!("`{}` ended at once{exit}; systemd will start it again", unit.name),
            1 => format!("`{}` ended at once{exit} and was started again by systemd", unit.name),
            _ => format!("`{}` keeps ending{exit}; systemd has started it again {count} times", unit.name),
        };
        Self::new(CRASH_LOOP, message).with(json!({ "n_restarts": count, "exit": unit.exit }))
    }
}

/// The end of a process, with the meaning of the exit codes by which systemd reports that it could not run the program;
/// see `systemd.exec(5)`.
fn explained(exit: ProcessExit) -> String {
    let meaning = match exit {
        ProcessExit::Exited(200) => "its working directory is missing",
        ProcessExit::Exited(203) => "its program cannot be run",
        ProcessExit::Exited(216) => "its group is unknown",
        ProcessExit::Exited(217) => "its user is unknown",
        ProcessExit::Exited(226) => "its namespaces could not be set up",
        _ => return exit.to_string(),
    };
    format!("{exit}: {meaning}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_by_polkit_names_the_action() {
        let denied = |operation| {
            let error = SystemdError::of_reply(operation, "org.freedesktop.DBus.Error.AccessDenied", "Access denied");
            assert_eq!(error.kind, "access_denied");
            error
        };
        let action = |operation| denied(operation).fields["action"].clone();
        assert_eq!(
            action(UnitOperation::Change(UnitVerb::Restart, "a.service")),
            "org.freedesktop.systemd1.manage-units"
        );
        assert_eq!(
            action(UnitOperation::Change(UnitVerb::Enable, "a.service")),
            "org.freedesktop.systemd1.manage-unit-files"
        );
        assert_eq!(action(UnitOperation::ReloadUnitFiles), "org.freedesktop.systemd1.reload-daemon");
        assert_eq!(
            denied(UnitOperation::ReloadUnitFiles).message,
            "polkit does not let this account reload the unit files (`org.freedesktop.systemd1.reload-daemon`); \
             `runbook unit polkit` prints the rule"
        );
        let read = denied(UnitOperation::Read("a.service, b.service"));
        assert_eq!(read.message, "this account may not read the state of `a.service, b.service`");
        let interactive = "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired";
        let stop = UnitOperation::Change(UnitVerb::Stop, "a.service");
        assert_eq!(SystemdError::of_reply(stop, interactive, "").kind, "access_denied");
    }

    #[test]
    fn similar_names_are_suggested() {
        let known = ["pakashop-gateway.service", "pakashop-search.service"].map(str::to_owned);
        let error = SystemdError::no_such_unit("search.service", &known);
        assert_eq!(error.message, "there is no unit `search.service`; did you mean `pakashop-search.service`?");
        assert_eq!(error.fields, json!({ "nearest": ["pakashop-search.service"] }));
        assert_eq!(SystemdError::no_such_unit("nginx.service", &known).message, "there is no unit `nginx.service`");
    }

    #[test]
    fn a_start_limit_differs_from_a_failed_start() {
        let unit = |result: &str, code: i32| Unit {
            name: "a.service".to_owned(),
            result: Some(result.to_owned()),
            exit: Some(ProcessExit::Exited(code)),
            ..Unit::default()
        };
        assert_eq!(SystemdError::of_unit(UnitVerb::Start, &unit("start-limit-hit", 1)).kind, "start_limit_hit");
        let failed = SystemdError::of_unit(UnitVerb::Start, &unit("exit-code", 203));
        assert_eq!(failed.kind, "start_failed");
        assert_eq!(failed.message, "`a.service` did not stay up: exited 203: its program cannot be run");
    }
}
