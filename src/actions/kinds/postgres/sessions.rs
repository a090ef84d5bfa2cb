//! Lists sessions from `pg_stat_activity`, and formats them for people.
//!
//! A process id may be reused, so a session is identified by its process id and its start.

use std::time::Duration;

use serde_json::{Value, json};
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::{Arguments, Row};

use super::client::{PostgresConnection, classify};
use crate::actions::Context;
use crate::domain::core::reason::Reason;
use crate::domain::core::text::one_line;

/// Characters of a name and of a query that are kept.
const NAME_LIMIT: usize = 64;
const QUERY_LIMIT: usize = 300;

/// The columns of a session. `age` counts from the last change of state, or from the start of the running query.
macro_rules! columns {
    () => {
        "pid, extract(epoch from backend_start)::float8 as started, coalesce(application_name, '') as application, \
         coalesce(usename::text, '') as role, coalesce(datname::text, '') as database, coalesce(left(query, 1000), '') as query, \
         extract(epoch from clock_timestamp() - case state when 'active' then query_start else state_change end)::float8 as age"
    };
}

/// Clients idle in a transaction for more than `$1` seconds, longest first, without our own session.
const IDLE: &str = concat!(
    "select ",
    columns!(),
    " from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid() \
     and state in ('idle in transaction', 'idle in transaction (aborted)') \
     and clock_timestamp() - state_change > make_interval(secs => $1) \
     and ($2::text is null or application_name = $2) and ($3::text is null or usename = $3) \
     and ($4::text is null or datname = $4) \
     and ($5 or not exists (select from pg_roles where oid = usesysid and (rolsuper or rolreplication))) \
     order by age desc, pid limit $6"
);

/// Clients that run a query, longest first, without our own session.
const RUNNING: &str = concat!(
    "select ",
    columns!(),
    " from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid() and state = 'active' \
     order by age desc nulls last, pid limit $1"
);

/// The sessions to list or end.
#[derive(Debug, Clone, Default)]
pub(super) struct SessionFilter {
    pub(super) over: Duration,
    pub(super) application: Option<String>,
    pub(super) user: Option<String>,
    pub(super) database: Option<String>,
    pub(super) superusers: bool,
    pub(super) limit: i64,
}

/// A session of a client.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct DatabaseSession {
    pub(super) pid: i32,
    /// Its start, in seconds since 1970.
    pub(super) started: f64,
    pub(super) application: String,
    user: String,
    database: String,
    pub(super) seconds: f64,
    query: String,
}

impl DatabaseSession {
    fn of(row: &PgRow, context: &Context) -> Result<Self, sqlx::Error> {
        let text = |name: &str| row.try_get::<String, _>(name);
        let short = |text: String, length| one_line(&context.redactor.scrub(&text), length);
        Ok(Self {
            pid: row.try_get("pid")?,
            started: row.try_get("started")?,
            application: short(text("application")?, NAME_LIMIT),
            user: short(text("role")?, NAME_LIMIT),
            database: short(text("database")?, NAME_LIMIT),
            seconds: (row.try_get::<Option<f64>, _>("age")?.unwrap_or(0.0) * 10.0).round() / 10.0,
            query: short(without_literals(&text("query")?), QUERY_LIMIT),
        })
    }

    /// The session as an output for later steps.
    pub(super) fn output(&self) -> Value {
        json!({
            "pid": self.pid, "application": self.application, "user": self.user, "database": self.database,
            "seconds": self.seconds, "query": self.query,
        })
    }

    /// The session in a summary.
    pub(super) fn shown(&self) -> String {
        let owner = if self.application.is_empty() { &self.user } else { &self.application };
        format!("pid {} of {owner}", self.pid)
    }
}

/// The sessions that are idle in a transaction.
pub(super) async fn idle(
    filter: &SessionFilter,
    connection: &mut PostgresConnection<'_>,
) -> Result<Vec<DatabaseSession>, Reason> {
    let mut values = PgArguments::default();
    let bound = values
        .add(filter.over.as_secs_f64())
        .and_then(|()| values.add(filter.application.as_deref()))
        .and_then(|()| values.add(filter.user.as_deref()))
        .and_then(|()| values.add(filter.database.as_deref()))
        .and_then(|()| values.add(filter.superusers))
        .and_then(|()| values.add(filter.limit));
    bound.map_err(|error| Reason::new("spec", error.to_string()))?;
    list(IDLE, values, filter.limit, connection).await
}

/// The sessions whose queries have run longest.
pub(super) async fn running(
    limit: i64,
    connection: &mut PostgresConnection<'_>,
) -> Result<Vec<DatabaseSession>, Reason> {
    let mut values = PgArguments::default();
    values.add(limit).map_err(|error| Reason::new("spec", error.to_string()))?;
    list(RUNNING, values, limit, connection).await
}

async fn list(
    sql: &'static str,
    values: PgArguments,
    limit: i64,
    connection: &mut PostgresConnection<'_>,
) -> Result<Vec<DatabaseSession>, Reason> {
    let rows = connection.read(sql, values, usize::try_from(limit).unwrap_or(usize::MAX)).await?;
    let sessions = rows.iter().map(|row| DatabaseSession::of(row, connection.context)).collect::<Result<_, _>>();
    sessions.map_err(|error| classify(&error, connection.context))
}

/// A query without its literals, which may hold personal data.
fn without_literals(query: &str) -> String {
    let mut text = String::new();
    let mut is_inside = false;
    for c in query.chars() {
        match (c, is_inside) {
            ('\'', true) => text.push_str("…'"),
            ('\'', false) => text.push('\''),
            (c, false) => text.push(c),
            (_, true) => continue,
        }
        if c == '\'' {
            is_inside = !is_inside;
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_of_a_query_are_not_shown() {
        assert_eq!(
            without_literals("select 1 where a = 'Ada' and b = 'it''s'"),
            "select 1 where a = '…' and b = '…''…'"
        );
        assert_eq!(without_literals("update t set a = 'cut in the mid"), "update t set a = '");
    }
}
