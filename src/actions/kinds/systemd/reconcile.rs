//! Whether a change that was cut off has happened.
//!
//! Every start of a unit has an invocation id of its own. A unit whose id is the one recorded before was not started
//! since; one with another id was. Only systemd's own restarts can be mistaken for ours, and those it counts; the count
//! starts anew when somebody restarts the unit.

use serde_json::{Value, json};

use super::change::{self, UnitVerb};
use super::dbus;
use super::dbus::ManagerProxy;
use super::error::SystemdError;
use super::unit::Unit;
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
pub(super) async fn reconcile(verb: UnitVerb, words: &[String], before: &Value, context: &Context) -> Reconciled {
    let units = match names::named(words, &context.estate) {
        Ok(units) => units,
        // A change that is refused before any request cannot have happened.
        Err(trouble) => return Reconciled::DidNotHappen(trouble.message),
    };
    let Some(recorded) = recorded(&units, before) else {
        return Reconciled::CannotTell("how it was before was not recorded".to_owned());
    };
    match find_units(verb, recorded, before, context).await {
        Ok(found) => concluded(verb, found),
        Err(reason) => Reconciled::CannotTell(reason),
    }
}

fn recorded(units: &[String], before: &Value) -> Option<Vec<Unit>> {
    let seen: Vec<Unit> = serde_json::from_value(before.get("units")?.clone()).ok()?;
    units.iter().map(|name| seen.iter().find(|unit| unit.name == *name).cloned()).collect()
}

type UnitFindings = Vec<(Unit, Unit, UnitFinding)>;

async fn find_units(
    verb: UnitVerb,
    recorded: Vec<Unit>,
    before: &Value,
    context: &Context,
) -> Result<UnitFindings, String> {
    let manager = dbus::manager(context).await.map_err(|reason| reason.text)?;
    let mut looked = Vec::new();
    for was in recorded {
        let now = job::quiet(&manager, &was.name, context).await.map_err(|error| error.to_string())?;
        let found = if now.job != 0 {
            UnitFinding::CannotTell(format!("systemd is still working on `{}`", now.name))
        } else if verb.is_about_files() {
            file(&manager, verb, &was, before).await
        } else {
            found(verb, &was, &now)
        };
        looked.push((was, now, found));
    }
    Ok(looked)
}

async fn file(manager: &ManagerProxy<'_>, verb: UnitVerb, was: &Unit, before: &Value) -> UnitFinding {
    let now = unit_files::state(manager, &was.name).await.unwrap_or_default();
    let wanted = if verb == UnitVerb::Enable { "enabled" } else { "disabled" };
    if now == wanted && before["files"][&was.name] != json!(now) {
        return UnitFinding::Happened;
    }
    UnitFinding::DidNotHappen(format!("`{}` is {now}", was.name))
}

/// The finding for a unit and a verb.
fn found(verb: UnitVerb, was: &Unit, now: &Unit) -> UnitFinding {
    let same = was.invocation_id == now.invocation_id;
    let by_itself = now.n_restarts.unwrap_or(0) > was.n_restarts.unwrap_or(0);
    let name = &now.name;
    match verb {
        UnitVerb::Start | UnitVerb::Restart if same && verb == UnitVerb::Start && now.is_up() => UnitFinding::Happened,
        UnitVerb::Start | UnitVerb::Restart if same => {
            UnitFinding::DidNotHappen(format!("`{name}` is still in the invocation that it was in before"))
        }
        UnitVerb::Start | UnitVerb::Restart if by_itself => {
            UnitFinding::CannotTell(format!("`{name}` was started again since, and systemd restarts it by itself"))
        }
        UnitVerb::Start | UnitVerb::Restart => UnitFinding::Happened,
        UnitVerb::Stop if matches!(now.active.as_str(), "inactive" | "failed") => UnitFinding::Happened,
        UnitVerb::Stop if same => UnitFinding::DidNotHappen(format!("`{name}` still runs")),
        UnitVerb::Stop => UnitFinding::CannotTell(format!("`{name}` runs, but was started again since")),
        _ => UnitFinding::CannotTell(format!("nothing shows whether `{name}` was told to {}", verb.code())),
    }
}

fn concluded(verb: UnitVerb, looked: UnitFindings) -> Reconciled {
    let all = looked.len();
    let mut reasons: Vec<(bool, String)> = Vec::new();
    let mut done: Vec<(Unit, Unit)> = Vec::new();
    for (was, now, found) in looked {
        match found {
            UnitFinding::Happened => done.push((was, now)),
            UnitFinding::DidNotHappen(reason) => reasons.push((true, reason)),
            UnitFinding::CannotTell(reason) => reasons.push((false, reason)),
        }
    }
    if reasons.is_empty() {
        return Reconciled::Happened(outcome(verb, &done));
    }
    let text = reasons.iter().map(|(_, reason)| reason.as_str()).collect::<Vec<_>>().join("; ");
    if reasons.len() == all && reasons.iter().all(|(not, _)| *not) {
        return Reconciled::DidNotHappen(text);
    }
    let happened: Vec<&str> = done.iter().map(|(_, now)| now.name.as_str()).collect();
    let done = if happened.is_empty() { String::new() } else { format!("it happened to {}; ", happened.join(", ")) };
    Reconciled::CannotTell(done + &text)
}

/// The outcome of the change, judged by the present state of the units.
fn outcome(verb: UnitVerb, done: &[(Unit, Unit)]) -> Outcome {
    let output = change::output(done);
    let fallen = done.iter().find(|(_, now)| matches!(verb, UnitVerb::Start | UnitVerb::Restart) && !now.is_up());
    match fallen {
        Some((_, now)) if now.sub.starts_with("auto-restart") => change::failed(&SystemdError::crash_loop(now), output),
        Some((_, now)) => change::failed(&SystemdError::of_unit(verb.code(), now), output),
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
    fn a_new_invocation_is_a_restart_unless_systemd_restarts_by_itself() {
        let was = unit("a1", "active", 0);
        assert_eq!(found(UnitVerb::Restart, &was, &unit("b2", "active", 0)), UnitFinding::Happened);
        assert!(matches!(found(UnitVerb::Restart, &was, &unit("a1", "active", 0)), UnitFinding::DidNotHappen(_)));
        assert!(matches!(found(UnitVerb::Restart, &was, &unit("b2", "active", 1)), UnitFinding::CannotTell(_)));
    }

    #[test]
    fn a_restart_of_a_unit_that_kept_restarting_begins_the_count_anew() {
        assert_eq!(
            found(UnitVerb::Restart, &unit("a1", "activating", 7), &unit("c3", "active", 0)),
            UnitFinding::Happened
        );
    }

    #[test]
    fn units_that_say_different_things_are_for_a_person_to_judge() {
        let (was, now) = (unit("a1", "active", 0), unit("b2", "active", 0));
        let looked = vec![
            (was.clone(), now, UnitFinding::Happened),
            (was.clone(), was, UnitFinding::DidNotHappen("not".to_owned())),
        ];
        assert!(
            matches!(concluded(UnitVerb::Restart, looked), Reconciled::CannotTell(reason) if reason.contains("a.service"))
        );
    }
}
