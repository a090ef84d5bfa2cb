//! Checks whether an interrupted change happened.
//!
//! Every start of a unit gets a new invocation id. A unit that still has the recorded id was not started since. A new id
//! also comes from an automatic restart by systemd, but systemd counts those. The count begins at zero again when
//! somebody restarts the unit.

use serde_json::{Value, json};

use super::change;
use super::dbus;
use super::dbus::ManagerProxy;
use super::error::SystemdError;
use super::unit::Unit;
use super::verb::UnitVerb;
use super::{job, names, unit_files};
use crate::actions::{Context, Reconciled};
use crate::domain::incident::outcome::Outcome;

/// The finding for one unit.
#[derive(Debug, PartialEq)]
enum UnitFinding {
    Happened,
    DidNotHappen(String),
    CannotTell(String),
}

/// Checks every unit of a change. Decides only if all findings agree.
pub(super) async fn reconcile(verb: UnitVerb, names: &[String], before: &Value, context: &Context) -> Reconciled {
    let units = match names::named(names, &context.estate) {
        Ok(units) => units,
        // A change that is refused before any request cannot have happened.
        Err(error) => return Reconciled::DidNotHappen(error.message),
    };
    let Some(recorded) = recorded(&units, before) else {
        return Reconciled::CannotTell("the state before the change was not recorded".to_owned());
    };
    match find_units(verb, recorded, before, context).await {
        Ok(findings) => combined(verb, findings),
        Err(reason) => Reconciled::CannotTell(reason),
    }
}

/// The recorded state of each unit. `None` if one is missing.
fn recorded(units: &[String], before: &Value) -> Option<Vec<Unit>> {
    let recorded: Vec<Unit> = serde_json::from_value(before.get("units")?.clone()).ok()?;
    units.iter().map(|name| recorded.iter().find(|unit| unit.name == *name).cloned()).collect()
}

/// Each unit as it was recorded, as it is now, and the finding.
type UnitFindings = Vec<(Unit, Unit, UnitFinding)>;

async fn find_units(
    verb: UnitVerb,
    recorded: Vec<Unit>,
    before: &Value,
    context: &Context,
) -> Result<UnitFindings, String> {
    let manager = dbus::manager(context).await.map_err(|reason| reason.text)?;
    let mut findings = Vec::new();
    for was in recorded {
        let now = job::without_job(&manager, &was.name, context).await.map_err(|error| error.to_string())?;
        let finding = if now.job != 0 {
            UnitFinding::CannotTell(format!("systemd is still working on `{}`", now.name))
        } else if verb.is_about_files() {
            find_file_change(&manager, verb, &was, before).await
        } else {
            find_change(verb, &was, &now)
        };
        findings.push((was, now, finding));
    }
    Ok(findings)
}

/// The finding for `enable` or `disable`.
async fn find_file_change(manager: &ManagerProxy<'_>, verb: UnitVerb, was: &Unit, before: &Value) -> UnitFinding {
    let now = unit_files::state(manager, &was.name).await.unwrap_or_default();
    let wanted = if verb == UnitVerb::Enable { "enabled" } else { "disabled" };
    if now == wanted && before["files"][&was.name] != json!(now) {
        return UnitFinding::Happened;
    }
    UnitFinding::DidNotHappen(format!("`{}` is {now}", was.name))
}

/// The finding for a verb that changes what runs.
fn find_change(verb: UnitVerb, was: &Unit, now: &Unit) -> UnitFinding {
    let same = was.invocation_id == now.invocation_id;
    let restarted_by_systemd = now.n_restarts.unwrap_or(0) > was.n_restarts.unwrap_or(0);
    let name = &now.name;
    match verb {
        UnitVerb::Start if same && now.is_up() => UnitFinding::Happened,
        UnitVerb::Start | UnitVerb::Restart if same => {
            UnitFinding::DidNotHappen(format!("`{name}` has not been started since"))
        }
        UnitVerb::Start | UnitVerb::Restart if restarted_by_systemd => {
            UnitFinding::CannotTell(format!("`{name}` was started again since, maybe by systemd, which restarts it"))
        }
        UnitVerb::Start | UnitVerb::Restart => UnitFinding::Happened,
        UnitVerb::Stop if matches!(now.active.as_str(), "inactive" | "failed") => UnitFinding::Happened,
        UnitVerb::Stop if same => UnitFinding::DidNotHappen(format!("`{name}` still runs")),
        UnitVerb::Stop => UnitFinding::CannotTell(format!("`{name}` runs, but was started again since")),
        UnitVerb::Reload | UnitVerb::Enable | UnitVerb::Disable => {
            UnitFinding::CannotTell(format!("nothing shows whether `{name}` was {}", verb.past()))
        }
    }
}

/// The result for all units. It is unknown if the findings differ.
fn combined(verb: UnitVerb, findings: UnitFindings) -> Reconciled {
    let all = findings.len();
    let mut reasons: Vec<(bool, String)> = Vec::new();
    let mut done: Vec<(Unit, Unit)> = Vec::new();
    for (was, now, finding) in findings {
        match finding {
            UnitFinding::Happened => done.push((was, now)),
            UnitFinding::DidNotHappen(reason) => reasons.push((true, reason)),
            UnitFinding::CannotTell(reason) => reasons.push((false, reason)),
        }
    }
    if reasons.is_empty() {
        return Reconciled::Happened(outcome(verb, &done));
    }
    let text = reasons.iter().map(|(_, reason)| reason.as_str()).collect::<Vec<_>>().join("; ");
    if reasons.len() == all && reasons.iter().all(|(did_not_happen, _)| *did_not_happen) {
        return Reconciled::DidNotHappen(text);
    }
    let happened: Vec<&str> = done.iter().map(|(_, now)| now.name.as_str()).collect();
    let done = if happened.is_empty() { String::new() } else { format!("it happened to {}; ", happened.join(", ")) };
    Reconciled::CannotTell(done + &text)
}

/// The outcome of a change that happened, from the present state of the units.
fn outcome(verb: UnitVerb, done: &[(Unit, Unit)]) -> Outcome {
    let output = change::output(done);
    let failed = done.iter().find(|(_, now)| matches!(verb, UnitVerb::Start | UnitVerb::Restart) && !now.is_up());
    match failed {
        Some((_, now)) if now.sub.starts_with("auto-restart") => change::failed(&SystemdError::crash_loop(now), output),
        Some((_, now)) => change::failed(&SystemdError::of_unit(verb, now), output),
        None => Outcome::succeeded(change::summary(verb, done), output),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit(invocation: &str, active: &str, restarts: u32) -> Unit {
        Unit {
            name: "a.service".to_owned(),
            invocation_id: invocation.to_owned(),
            active: active.to_owned(),
            n_restarts: Some(restarts),
            ..Unit::default()
        }
    }

    #[test]
    fn a_new_invocation_is_a_restart_unless_systemd_counted_one() {
        let was = unit("a1", "active", 0);
        let restart = |now: &Unit| find_change(UnitVerb::Restart, &was, now);
        assert_eq!(restart(&unit("b2", "active", 0)), UnitFinding::Happened);
        assert!(matches!(restart(&unit("a1", "active", 0)), UnitFinding::DidNotHappen(_)));
        assert!(matches!(restart(&unit("b2", "active", 1)), UnitFinding::CannotTell(_)));
    }

    #[test]
    fn a_restart_of_a_unit_in_a_crash_loop_resets_the_count() {
        let (was, now) = (unit("a1", "activating", 7), unit("c3", "active", 0));
        assert_eq!(find_change(UnitVerb::Restart, &was, &now), UnitFinding::Happened);
    }

    #[test]
    fn different_findings_are_an_unknown_result() {
        let (was, now) = (unit("a1", "active", 0), unit("b2", "active", 0));
        let findings = vec![
            (was.clone(), now, UnitFinding::Happened),
            (was.clone(), was, UnitFinding::DidNotHappen("not".to_owned())),
        ];
        let Reconciled::CannotTell(reason) = combined(UnitVerb::Restart, findings) else { panic!("it is unknown") };
        assert_eq!(reason, "it happened to a.service; not");
    }
}
