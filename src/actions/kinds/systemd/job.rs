//! Waits for the result of a job, and for a started unit to stay up.
//!
//! **Invariant:** every wait ends at the context's deadline or when it is cancelled.

use std::time::Duration;

use futures_util::StreamExt;
use zbus::OwnedObjectPath;

use super::dbus::{JobRemovedStream, ManagerProxy};
use super::error::{CRASH_LOOP, SystemdError};
use super::unit::Unit;
use super::verb::UnitVerb;
use crate::actions::Context;
use crate::clock;
use crate::domain::core::reason::ReasonCode;
use crate::domain::core::time::Span;

/// Interval between two reads of a watched unit; one read takes a millisecond.
const UNIT_INTERVAL: Duration = Duration::from_millis(100);

/// Interval between two checks whether a job still exists, in case its signal was lost.
const JOB_INTERVAL: Duration = Duration::from_secs(1);

/// The assumed result of a job whose signal was lost. The unit's state, which is read next, shows a failure.
const ASSUMED_RESULT: &str = "done";

/// Completes at the deadline or on a cancellation. Returns the cause, for a message.
pub(super) async fn over(context: &Context) -> &'static str {
    let expiry = async {
        match context.deadline {
            Some(deadline) => context.clock.sleep_until(deadline).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = context.cancel.cancelled() => "the step was stopped",
        () = expiry => "the step's time was over",
    }
}

/// Waits for the job's result. `removed` was subscribed to before the job was made.
pub(super) async fn result(
    manager: &ManagerProxy<'_>,
    removed: &mut JobRemovedStream,
    job: &OwnedObjectPath,
    context: &Context,
) -> Result<String, SystemdError> {
    let number: u32 = job.as_str().rsplit('/').next().and_then(|number| number.parse().ok()).unwrap_or(0);
    loop {
        tokio::select! {
            signal = removed.next() => {
                let Some(signal) = signal else { return Err(connection_lost(number)) };
                if let Ok(arguments) = signal.args() && arguments.job.as_str() == job.as_str() {
                    return Ok(arguments.result.to_owned());
                }
            }
            () = clock::sleep(&*context.clock, JOB_INTERVAL) => {
                if manager.get_job(number).await.is_err() {
                    return Ok(ASSUMED_RESULT.to_owned());
                }
            }
            why = over(context) => {
                let message = format!("{why} while systemd was still working on it (job {number}, which continues)");
                return Err(SystemdError { uncertain: true, ..SystemdError::new("still_running", message) });
            }
        }
    }
}

fn connection_lost(number: u32) -> SystemdError {
    let message = format!("the connection to systemd broke while systemd was working on job {number}");
    SystemdError { uncertain: true, ..SystemdError::new(ReasonCode::CONNECTION_LOST.as_str(), message) }
}

/// Waits until the unit has no job, the deadline or a cancellation. Returns the unit's state at that moment.
pub(super) async fn without_job(manager: &ManagerProxy<'_>, name: &str, context: &Context) -> zbus::Result<Unit> {
    loop {
        let unit = Unit::one(manager, name).await?;
        if unit.job == 0 {
            return Ok(unit);
        }
        tokio::select! {
            () = clock::sleep(&*context.clock, UNIT_INTERVAL) => {}
            _ = over(context) => return Ok(unit),
        }
    }
}

/// Watches a started unit for `settle`. Returns its last state, and an error if it did not stay up.
///
/// `restarts` is the number of automatic restarts before the watch. A higher number means a crash loop.
pub(super) async fn settled(
    manager: &ManagerProxy<'_>,
    name: &str,
    restarts: u32,
    settle: Duration,
    context: &Context,
) -> zbus::Result<(Unit, Option<SystemdError>)> {
    let until = Span(settle).after(context.clock.now());
    let mut first: Option<String> = None;
    let (mut looping, mut exit) = (false, None);
    loop {
        let mut unit = Unit::one(manager, name).await?;
        let invocation = first.get_or_insert_with(|| unit.invocation_id.clone());
        // A restarted unit no longer reports its last exit.
        exit = unit.exit.take().or(exit);
        unit.exit.clone_from(&exit);
        let error = error_of(&unit, invocation, restarts);
        // A crash loop is watched to the end, since systemd may give up on the unit.
        looping |= error.as_ref().is_some_and(|error| error.kind == CRASH_LOOP);
        let is_final = error.as_ref().is_some_and(|error| error.kind != CRASH_LOOP);
        let now = context.clock.now();
        let is_late = context.deadline.is_some_and(|deadline| now >= deadline);
        let is_over = now >= until || is_late || context.cancel.is_cancelled();
        if is_final || is_over {
            let error = error.or_else(|| looping.then(|| SystemdError::crash_loop(&unit)));
            return Ok((unit, error));
        }
        tokio::select! {
            () = clock::sleep(&*context.clock, UNIT_INTERVAL) => {}
            _ = over(context) => {}
        }
    }
}

/// Why a started unit is not up. `invocation` and `restarts` are those at the start of the watch.
fn error_of(unit: &Unit, invocation: &str, restarts: u32) -> Option<SystemdError> {
    let restarted = unit.n_restarts.unwrap_or(0) > restarts || unit.invocation_id != invocation;
    match unit.active.as_str() {
        // systemd restarted it and has given up.
        "failed" if unit.n_restarts.unwrap_or(0) > restarts => Some(SystemdError::start_limit(unit)),
        "failed" => Some(SystemdError::of_unit(UnitVerb::Start, unit)),
        "activating" if unit.sub.starts_with("auto-restart") => Some(SystemdError::crash_loop(unit)),
        _ if restarted => Some(SystemdError::crash_loop(unit)),
        "inactive" | "deactivating" if !unit.is_up() => Some(SystemdError::of_unit(UnitVerb::Start, unit)),
        _ => None,
    }
}
