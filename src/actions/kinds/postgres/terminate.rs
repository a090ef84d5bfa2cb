//! Ends sessions that are idle in a transaction, one by one.
//!
//! **Invariant:** the statement that ends a session checks it again, so a session that is active again, or whose process
//! id was reused, is not ended.

use std::time::Duration;

use serde_json::{Value, json};
use sqlx::postgres::PgArguments;
use sqlx::{Arguments, Row};

use super::client::{PostgresConnection, classify};
use super::sessions;
use super::sessions::{DatabaseSession, SessionFilter};
use crate::actions::Reconciled;
use crate::clock;
use crate::domain::core::reason::Reason;
use crate::domain::incident::outcome::Outcome;

/// How often, and at which interval, the sessions are checked after the request. A session usually ends within
/// milliseconds.
const CHECKS: usize = 40;
const CHECK_INTERVAL: Duration = Duration::from_millis(50);

/// Sessions that a summary names, and sessions in the output.
const NAMED_LIMIT: usize = 5;
const LISTED: usize = 50;

const TERMINATE: &str = "select pg_terminate_backend(pid) as asked from pg_stat_activity \
                   where pid = $1 and extract(epoch from backend_start)::float8 = $2 and state like 'idle in transaction%'";

const REMAINING: &str =
    "select pid, extract(epoch from backend_start)::float8 as started from pg_stat_activity where pid = any($1)";

/// A session's process id and start.
type Identity = (i32, f64);

/// Ends the sessions that match.
pub(super) async fn terminate(
    filter: &SessionFilter,
    connection: &mut PostgresConnection<'_>,
) -> Result<Outcome, Reason> {
    let idle = sessions::idle(filter, connection).await?;
    let (mut requested, mut left) = (Vec::new(), Vec::new());
    let mut first_error = None;
    for session in idle {
        match request_end(&session, connection).await {
            Ok(true) => requested.push(session),
            Ok(false) => {}
            // The loop continues, so that the sessions that were ended are reported.
            Err(error) => {
                first_error.get_or_insert(error);
                left.push(session);
            }
        }
    }
    let remaining = wait_for(&requested, connection).await.unwrap_or_default();
    let is_left = |session: &DatabaseSession| remaining.contains(&(session.pid, session.started));
    let (not_ended, ended): (Vec<_>, Vec<_>) = requested.into_iter().partition(is_left);
    left.extend(not_ended);
    Ok(report(&ended, &left, first_error))
}

/// Asks the server to end one session. Returns false if the session is no longer idle.
async fn request_end(session: &DatabaseSession, connection: &mut PostgresConnection<'_>) -> Result<bool, Reason> {
    let mut values = PgArguments::default();
    let bound = values.add(session.pid).and_then(|()| values.add(session.started));
    bound.map_err(|error| Reason::new("spec", error.to_string()))?;
    let rows = connection.read(TERMINATE, values, 1).await?;
    let requested = rows.first().map(|row| row.try_get("asked")).transpose();
    Ok(requested.map_err(|error| classify(&error, connection.context))?.unwrap_or(false))
}

/// Waits until the sessions have ended, for about two seconds. Returns those that still exist.
async fn wait_for(
    sessions: &[DatabaseSession],
    connection: &mut PostgresConnection<'_>,
) -> Result<Vec<Identity>, Reason> {
    let all: Vec<Identity> = sessions.iter().map(|session| (session.pid, session.started)).collect();
    let mut left = all.clone();
    for _ in 0..CHECKS {
        left = remaining(&all, connection).await?;
        if left.is_empty() {
            break;
        }
        clock::sleep(&*connection.context.clock, CHECK_INTERVAL).await;
    }
    Ok(left)
}

/// The sessions that still exist.
async fn remaining(sessions: &[Identity], connection: &mut PostgresConnection<'_>) -> Result<Vec<Identity>, Reason> {
    if sessions.is_empty() {
        return Ok(Vec::new());
    }
    let mut values = PgArguments::default();
    let pids: Vec<i32> = sessions.iter().map(|(pid, _)| *pid).collect();
    values.add(pids).map_err(|error| Reason::new("spec", error.to_string()))?;
    let rows = connection.read(REMAINING, values, sessions.len()).await?;
    let identity = |row: &sqlx::postgres::PgRow| Ok((row.try_get("pid")?, row.try_get("started")?));
    let found: Result<Vec<Identity>, sqlx::Error> = rows.iter().map(identity).collect();
    let found = found.map_err(|error| classify(&error, connection.context))?;
    Ok(found.into_iter().filter(|session| sessions.contains(session)).collect())
}

fn report(ended: &[DatabaseSession], left: &[DatabaseSession], error: Option<Reason>) -> Outcome {
    let list =
        |sessions: &[DatabaseSession]| sessions.iter().take(LISTED).map(DatabaseSession::output).collect::<Vec<_>>();
    let output = json!({ "ended": list(ended), "left": list(left) });
    let named: Vec<String> = ended.iter().take(NAMED_LIMIT).map(DatabaseSession::shown).collect();
    let more =
        if ended.len() > NAMED_LIMIT { format!(" and {} more", ended.len() - NAMED_LIMIT) } else { String::new() };
    let done = match ended.len() {
        0 => "no session was ended".to_owned(),
        1 => format!("1 session ended: {}", named.join(", ")),
        count => format!("{count} sessions ended: {}{more}", named.join(", ")),
    };
    match (left.first(), error) {
        (None, _) => Outcome::succeeded(done, output),
        (Some(first), error) => {
            let why = error.map_or_else(|| "it has not ended yet".to_owned(), |error| error.text);
            Reason::new("left", format!("{done}; {} left, {}: {why}", left.len(), first.shown())).outcome(output)
        }
    }
}

/// The sessions that would be ended, for a later [`reconcile`].
pub(super) async fn observe(filter: &SessionFilter, connection: &mut PostgresConnection<'_>) -> Result<Value, Reason> {
    let idle = sessions::idle(filter, connection).await?;
    Ok(idle.iter().map(|session| json!([session.pid, session.started])).collect())
}

/// Whether the observed sessions have ended. It makes no difference if another process ended them.
pub(super) async fn reconcile(before: &Value, connection: &mut PostgresConnection<'_>) -> Result<Reconciled, Reason> {
    let Some(before) = before.as_array() else {
        return Ok(Reconciled::CannotTell("the sessions before were not recorded".to_owned()));
    };
    let identity = |session: &Value| Some((i32::try_from(session.get(0)?.as_i64()?).ok()?, session.get(1)?.as_f64()?));
    let all: Vec<Identity> = before.iter().filter_map(identity).collect();
    if all.is_empty() {
        return Ok(Reconciled::DidNotHappen("there was no such session before".to_owned()));
    }
    let left = remaining(&all, connection).await?;
    Ok(match (all.len() - left.len(), left.len()) {
        (0, _) => Reconciled::DidNotHappen(format!("none of the {} sessions has ended", all.len())),
        (gone, 0) => {
            let ended: Vec<Value> = all.iter().take(LISTED).map(|(pid, _)| json!({ "pid": pid })).collect();
            let output = json!({ "ended": ended, "left": [] });
            Reconciled::Happened(Outcome::succeeded(format!("{gone} sessions have ended"), output))
        }
        (gone, left) => Reconciled::CannotTell(format!("{gone} of the sessions have ended, {left} have not")),
    })
}
