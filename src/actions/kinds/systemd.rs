//! The kind `systemd`: reads the state of units, and starts, stops, restarts, reloads, enables and disables them over
//! D-Bus.
//!
//! A change waits for the result of systemd's job. After a start, the unit is watched for a while, because the job of a
//! service that ends at once is `done` too.
//!
//! **Invariant:** an attempt requests each change at most once, and only after the state before it is known.
//!
//! Not here: `systemctl`, transient units (which would let a runbook run anything as root), and changes to units
//! outside the estate.

mod change;
mod dbus;
mod error;
pub mod inventory;
mod job;
pub mod list;
mod names;
pub mod permissions;
mod reconcile;
mod status;
mod unit;
mod unit_files;
mod verb;
pub mod watch;

use std::time::Duration;

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::{Value, json};

use self::error::SystemdError;
use self::verb::UnitVerb;
use super::support::one_or_many::OneOrMany;
use crate::actions::{Context, Kind, Reconciled, effect_of_verb};
use crate::domain::config::kind_schema::{Field, KindForm, OutputField, Shape, Verb as FormVerb};
use crate::domain::core::effect::EffectClass;
use crate::domain::core::time::Span;
use crate::domain::incident::outcome::Outcome;
use crate::domain::incident::plan::PlannedChange;

/// Default and maximum of `settle`. Most programs that cannot run end within the default; for more than the maximum, use
/// `verify` with `hold`.
const SETTLE: Duration = Duration::from_secs(2);
const LONGEST_SETTLE: Duration = Duration::from_secs(60);

/// Implements the kind `systemd`.
#[derive(Debug)]
pub struct Systemd;

const UNITS: Shape = Shape::OneOrMany(&Shape::Unit);

const fn verb(name: &'static str, effect: EffectClass, help: &'static str) -> FormVerb {
    FormVerb { field: Field::optional(name, UNITS, help), effect }
}

static FORM: KindForm = KindForm {
    name: "systemd",
    summary: "Reads the state of systemd units or changes them; waits for the result, and for the unit to stay up.",
    shorthand: None,
    verbs: &[
        verb("status", EffectClass::Read, "Units, services or patterns such as `shop-*` to read."),
        verb("start", EffectClass::Repeatable, "Units to start, one after the other."),
        verb("stop", EffectClass::Repeatable, "Units to stop, one after the other."),
        verb("restart", EffectClass::Once, "Units to restart, one after the other."),
        verb("reload", EffectClass::Repeatable, "Units that read their configuration again."),
        verb("enable", EffectClass::Repeatable, "Units to start at boot."),
        verb("disable", EffectClass::Repeatable, "Units to start at boot no longer."),
        FormVerb {
            field: Field::optional("daemon_reload", Shape::Boolean, "`true`: read all unit files again."),
            effect: EffectClass::Repeatable,
        },
    ],
    fields: &[
        Field::optional(
            "expect",
            Shape::OneOf(&["active", "inactive"]),
            "With `status`: the state that every unit must have; otherwise the step fails and names the others.",
        ),
        Field::optional(
            "settle",
            Shape::Duration,
            "With `start` and `restart`: how long the unit must stay up; 2s unless given, 60s at most.",
        ),
    ],
    effect: |spec| effect_of_verb(&FORM, spec),
    outputs: &[
        OutputField {
            name: "units",
            help: "Each unit: `{name, active, sub, load, result, since, n_restarts, invocation_id, memory (bytes), \
                   main_pid, exit, type}`.",
        },
        OutputField {
            name: "counts",
            help: "With `status`: how many units are in each state, such as `{active: 18, failed: 1}`.",
        },
        OutputField {
            name: "failing",
            help: "With `status`: the names of the units that are not in the expected state.",
        },
        OutputField { name: "before", help: "With a change of one unit: the unit before it." },
        OutputField { name: "after", help: "With a change of one unit: the unit after it." },
        OutputField {
            name: "trouble",
            help: "When it failed: `{kind, message}`; kinds: no_such_unit, outside_estate, access_denied, start_failed, \
                   start_limit_hit, crash_loop, ended, masked, job_timeout, job_dependency, job_canceled, …",
        },
    ],
    example: "systemd:\n  restart: \"{{ services[params.service].unit }}\"\n",
};

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Spec {
    status: Option<OneOrMany>,
    start: Option<OneOrMany>,
    stop: Option<OneOrMany>,
    restart: Option<OneOrMany>,
    reload: Option<OneOrMany>,
    enable: Option<OneOrMany>,
    disable: Option<OneOrMany>,
    daemon_reload: Option<bool>,
    expect: Option<String>,
    settle: Option<Span>,
}

#[derive(Debug, PartialEq)]
enum Request {
    Status { units: Vec<String>, expect: Option<String> },
    Change { verb: UnitVerb, units: Vec<String>, settle: Duration },
    DaemonReload,
}

impl Request {
    fn read(spec: &Value) -> Result<Self, SystemdError> {
        let invalid = |message: String| SystemdError::new("spec", format!("systemd: {message}"));
        let spec = Spec::deserialize(spec).map_err(|error| invalid(error.to_string()))?;
        let settle = spec.settle.map_or(SETTLE, |settle| settle.0).min(LONGEST_SETTLE);
        if let Some(units) = spec.status {
            return Ok(Self::Status { units: units.into(), expect: spec.expect });
        }
        let changes = [
            (UnitVerb::Start, spec.start),
            (UnitVerb::Stop, spec.stop),
            (UnitVerb::Restart, spec.restart),
            (UnitVerb::Reload, spec.reload),
            (UnitVerb::Enable, spec.enable),
            (UnitVerb::Disable, spec.disable),
        ];
        for (verb, units) in changes {
            if let Some(units) = units {
                return Ok(Self::Change { verb, units: units.into(), settle });
            }
        }
        match spec.daemon_reload {
            Some(true) => Ok(Self::DaemonReload),
            _ => Err(invalid("nothing is asked for".to_owned())),
        }
    }
}

#[async_trait]
impl Kind for Systemd {
    fn form(&self) -> &'static KindForm {
        &FORM
    }

    fn describe(&self, spec: &Value) -> PlannedChange {
        let (what, undo) = match Request::read(spec) {
            Ok(Request::Status { units, .. }) => (format!("read the state of {}", units.join(", ")), None),
            Ok(Request::DaemonReload) => ("read all unit files again".to_owned(), None),
            Ok(Request::Change { verb, units, .. }) => {
                let units = units.join(", ");
                (format!("{} {units}", verb.code()), verb.undo().map(|undo| format!("{} {units}", undo.code())))
            }
            Err(error) => (error.message, None),
        };
        PlannedChange { what, place: "this host's systemd".to_owned(), undo, ..PlannedChange::default() }
    }

    async fn observe(&self, spec: &Value, context: &Context) -> Value {
        let Ok(Request::Change { units, .. }) = Request::read(spec) else { return Value::Null };
        let Ok(units) = names::named(&units, &context.estate) else { return Value::Null };
        change::snapshot(&units, context).await.unwrap_or(Value::Null)
    }

    async fn perform(&self, spec: &Value, context: &Context) -> Outcome {
        let outcome = match Request::read(spec) {
            Ok(Request::Status { units, expect }) => status::status(&units, expect.as_deref(), context).await,
            Ok(Request::Change { verb, units, settle }) => change::change(verb, &units, settle, context).await,
            Ok(Request::DaemonReload) => unit_files::daemon_reload(context).await,
            Err(error) => Err(error),
        };
        outcome.unwrap_or_else(|error| change::failed(&error, json!({})))
    }

    async fn reconcile(&self, spec: &Value, before: &Value, context: &Context) -> Reconciled {
        match Request::read(spec) {
            Ok(Request::Change { verb, units, .. }) => reconcile::reconcile(verb, &units, before, context).await,
            Ok(_) => Reconciled::DidNotHappen("the step can be repeated without harm".to_owned()),
            Err(error) => Reconciled::CannotTell(error.message),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_restart_happens_once_and_a_start_is_repeatable() {
        assert_eq!((FORM.effect)(&json!({"restart": "a.service"})), EffectClass::Once);
        assert_eq!((FORM.effect)(&json!({"status": "a-*", "expect": "active"})), EffectClass::Read);
        assert_eq!((FORM.effect)(&json!({"settle": "3s", "start": ["{{ item }}"]})), EffectClass::Repeatable);
    }

    #[test]
    fn the_description_of_a_change_has_its_undo() {
        let change = Systemd.describe(&json!({"stop": ["a.service", "b.service"]}));
        assert_eq!(change.what, "stop a.service, b.service");
        assert_eq!(change.undo.as_deref(), Some("start a.service, b.service"));
        assert_eq!(Systemd.describe(&json!({"restart": "a.service"})).undo, None);
    }

    #[test]
    fn an_unknown_key_is_refused() {
        let refused = Request::read(&json!({"restart": "a.service", "force": true})).unwrap_err();
        assert!(refused.message.contains("force"), "{}", refused.message);
    }
}
