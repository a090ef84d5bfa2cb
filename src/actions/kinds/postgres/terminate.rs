//! Ends sessions that are idle in a transaction, one by one.
//!
//! **Invariant:** each session is looked at again in the statement that ends it: one that works again, or whose process id
//! belongs to somebody else by now, is left alone.

use std::time::Duration;

use serde_json::{Value, json};
use sqlx::postgres::PgArguments;
use sqlx::{Arguments, Row};

use super::client::{PostgresConnection, why};
use super::sessions;
use super::sessions::{DatabaseSession, SessionFilter};
use crate::actions::Reconciled;
use crate::clock;
use crate::domain::core::reason::Reason;
use crate::domain::incident::outcome::Outcome;

/// How often, and at which interval, ended sessions are checked. A session usually ends within milliseconds.
const LOOKS: usize = 40;
const LOOK: Duration = Duration::from_millis(50);

/// Ended sessions that a summary names, and that the log keeps.
const NAMED: usize = 5;
const KEPT: usize = 50;

const END: &str = "select pg_terminate_backend(pid) as asked from pg_stat_activity \
                   where pid = $1 and extract(epoch from backend_start)::float8 = $2 and state like 'idle in transaction%'";

const LEFT: &str =
    "select pid, extract(epoch from backend_start)::float8 as started from pg_stat_activity where pid = any($1)";

/// A session's process id and start.
type Identity = (i32, f64);

/// Ends the sessions that match.
pub(super) async fn terminate(filter: &SessionFilter, wire: &mut PostgresConnection<'_>) -> Result<Outcome, Reason> {
    let found = sessions::idle(filter, wire).await?;
    let (mut asked, mut refused) = (Vec::new(), Vec::new());
    let mut reason = None;
    for session in found {
        match end(&session, wire).await {
            Ok(true) => asked.push(session),
            Ok(false) => {}
            // Continue, so that the sessions ended before are reported.
            Err(trouble) => {
                reason.get_or_insert(trouble);
                refused.push(session);
            }
        }
    }
    let left = wait_for(&asked, wire).await.unwrap_or_default();
    let is_left = |session: &DatabaseSession| left.contains(&(session.pid, session.started));
    let (lasting, ended): (Vec<_>, Vec<_>) = asked.into_iter().partition(is_left);
    refused.extend(lasting);
    Ok(report(&ended, &refused, reason))
}

/// Asks one session to end. Returns false if it is no longer idle.
async fn end(session: &DatabaseSession, wire: &mut PostgresConnection<'_>) -> Result<bool, Reason> {
    let mut values = PgArguments::default();
    let bound = values.add(session.pid).and_then(|()| values.add(session.started));
    bound.map_err(|error| Reason::new("spec", error.to_string()))?;
    let rows = wire.read(END, values, 1).await?;
    let asked = rows.first().map(|row| row.try_get("asked")).transpose().map_err(|error| why(&error, wire.context))?;
    Ok(asked.unwrap_or(false))
}

/// The sessions that still exist after a while.
async fn wait_for(sessions: &[DatabaseSession], wire: &mut PostgresConnection<'_>) -> Result<Vec<Identity>, Reason> {
    let all: Vec<Identity> = sessions.iter().map(|session| (session.pid, session.started)).collect();
    let mut left = all.clone();
    for _ in 0..LOOKS {
        left = still(&all, wire).await?;
        if left.is_empty() {
            break;
        }
        clock::sleep(&*wire.context.clock, LOOK).await;
    }
    Ok(left)
}

/// The sessions that still exist.
async fn still(sessions: &[Identity], wire: &mut PostgresConnection<'_>) -> Result<Vec<Identity>, Reason> {
    if sessions.is_empty() {
        return Ok(Vec::new());
    }
    let mut values = PgArguments::default();
    let pids: Vec<i32> = sessions.iter().map(|(pid, _)| *pid).collect();
    values.add(pids).map_err(|error| Reason::new("spec", error.to_string()))?;
    let rows = wire.read(LEFT, values, sessions.len()).await?;
    let identity = |row: &sqlx::postgres::PgRow| Ok((row.try_get("pid")?, row.try_get("started")?));
    let there: Result<Vec<Identity>, sqlx::Error> = rows.iter().map(identity).collect();
    let there = there.map_err(|error| why(&error, wire.context))?;
    Ok(there.into_iter().filter(|session| sessions.contains(session)).collect())
}

fn report(ended: &[DatabaseSession], left: &[DatabaseSession], reason: Option<Reason>) -> Outcome {
    let kept =
        |sessions: &[DatabaseSession]| sessions.iter().take(KEPT).map(DatabaseSession::output).collect::<Vec<_>>();
    let output = json!({ "ended": kept(ended), "left": kept(left) });
    let named: Vec<String> = ended.iter().take(NAMED).map(DatabaseSession::shown).collect();
    let more = if ended.len() > NAMED { format!(" and {} more", ended.len() - NAMED) } else { String::new() };
    let done = match ended.len() {
        0 => "no session was ended".to_owned(),
        1 => format!("1 session ended: {}", named.join(", ")),
        count => format!("{count} sessions ended: {}{more}", named.join(", ")),
    };
    match (left.first(), reason) {
        (None, _) => Outcome::succeeded(done, output),
        (Some(first), reason) => {
            let why = reason.map_or_else(|| "it was asked to end and has not yet".to_owned(), |trouble| trouble.text);
            Reason::new("left", format!("{done}; {} left, {}: {why}", left.len(), first.shown())).outcome(output)
        }
    }
}

/// The sessions that would be ended, for a later [`reconcile`].
pub(super) async fn observe(filter: &SessionFilter, wire: &mut PostgresConnection<'_>) -> Result<Value, Reason> {
    let found = sessions::idle(filter, wire).await?;
    Ok(found.iter().map(|session| json!([session.pid, session.started])).collect())
}

/// Whether the observed sessions have ended. It makes no difference if another process ended them.
pub(super) async fn reconcile(before: &Value, wire: &mut PostgresConnection<'_>) -> Result<Reconciled, Reason> {
    let Some(before) = before.as_array() else {
        return Ok(Reconciled::CannotTell("it is not known which sessions there were".to_owned()));
    };
    let identity = |session: &Value| Some((i32::try_from(session.get(0)?.as_i64()?).ok()?, session.get(1)?.as_f64()?));
    let all: Vec<Identity> = before.iter().filter_map(identity).collect();
    if all.is_empty() {
        return Ok(Reconciled::DidNotHappen("there was no such session before".to_owned()));
    }
    let left = still(&all, wire).await?;
    Ok(match (all.len() - left.len(), left.len()) {
        (0, _) => Reconciled::DidNotHappen(format!("none of the {} sessions has ended", all.len())),
        (gone, 0) => {
            let ended: Vec<Value> = all.iter().take(KEPT).map(|(pid, _)| json!({ "pid": pid })).collect();
            let output = json!({ "ended": ended, "left": [] });
            Reconciled::Happened(Outcome::succeeded(format!("{gone} sessions have ended"), output))
        }
        (gone, left) => Reconciled::CannotTell(format!("{gone} of the sessions have ended, {left} have not")),
    })
}
