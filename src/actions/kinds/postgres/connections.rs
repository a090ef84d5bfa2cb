//! Counts connections against `max_connections`, by state, application, user and database.

use serde_json::{Map, Value, json};
use sqlx::Row;
use sqlx::postgres::PgArguments;

use super::client::{PostgresConnection, classify};
use super::sessions;
use super::sessions::{DatabaseSession, SessionFilter};
use crate::actions::kinds::support::threshold::Threshold;
use crate::domain::core::reason::Reason;
use crate::domain::core::text::one_line;
use crate::domain::incident::outcome::Outcome;

/// Names of a group that are reported, and sessions of a list.
const GROUPS: usize = 20;
const SESSIONS: i64 = 10;

/// Characters of a name that are kept.
const NAME_LIMIT: usize = 64;

/// One statement for all groups, so that they agree. A role without `pg_read_all_stats` sees no `backend_type` of other
/// sessions; those with a database count as clients, although an autovacuum worker may be among them.
const COUNTS: &str = "\
    select what, name, count(*) as number from pg_stat_activity, lateral (values \
        ('states', coalesce(state, 'hidden')), ('applications', coalesce(nullif(application_name, ''), 'unnamed')), \
        ('users', coalesce(usename::text, 'hidden')), ('databases', coalesce(datname::text, 'none'))) as facts (what, name) \
    where backend_type = 'client backend' or (backend_type is null and datid is not null) group by what, name order by what, number desc, name";

/// Maximum number of rows that are read: at most four per session, for ten thousand sessions.
const ROWS: usize = 40_000;

/// Counts the connections and lists the longest sessions.
pub(super) async fn connection_counts(
    threshold: Threshold,
    connection: &mut PostgresConnection<'_>,
) -> Result<Outcome, Reason> {
    let max = max_connections(connection).await?;
    let groups = groups(connection).await?;
    let idle =
        sessions::idle(&SessionFilter { limit: SESSIONS, superusers: true, ..SessionFilter::default() }, connection)
            .await?;
    let running = sessions::running(SESSIONS, connection).await?;
    Ok(report(max, &groups, &idle, &running, threshold))
}

async fn max_connections(connection: &mut PostgresConnection<'_>) -> Result<i64, Reason> {
    let sql = "select current_setting('max_connections')::int8 as max";
    let rows = connection.read(sql, PgArguments::default(), 1).await?;
    let max =
        rows.first().map(|row| row.try_get("max")).transpose().map_err(|error| classify(&error, connection.context))?;
    max.ok_or_else(|| Reason::new("sql", "it does not report `max_connections`"))
}

/// The number of connections by group (`states`, `applications`, …) and name, largest first.
async fn groups(connection: &mut PostgresConnection<'_>) -> Result<Vec<(String, String, i64)>, Reason> {
    let rows = connection.read(COUNTS, PgArguments::default(), ROWS).await?;
    let group = |row: &sqlx::postgres::PgRow| -> Result<_, sqlx::Error> {
        let name: String = row.try_get("name")?;
        Ok((
            row.try_get("what")?,
            one_line(&connection.context.redactor.scrub(&name), NAME_LIMIT),
            row.try_get("number")?,
        ))
    };
    rows.iter().map(group).collect::<Result<_, _>>().map_err(|error| classify(&error, connection.context))
}

fn report(
    max: i64,
    groups: &[(String, String, i64)],
    idle: &[DatabaseSession],
    running: &[DatabaseSession],
    threshold: Threshold,
) -> Outcome {
    let of = |what: &'static str| groups.iter().filter(move |(group, ..)| group == what);
    let used: i64 = of("states").map(|(.., number)| number).sum();
    let hidden: i64 = of("states").filter(|(_, name, _)| name == "hidden").map(|(.., number)| number).sum();
    let percent = (used as f64 * 1000.0 / max.max(1) as f64).round() / 10.0;
    let counts = |what| {
        Value::Object(
            of(what).take(GROUPS).map(|(_, name, number)| (name.clone(), json!(number))).collect::<Map<_, _>>(),
        )
    };
    let output = json!({
        "used": used, "max": max, "percent": percent, "hidden": hidden,
        "states": counts("states"), "applications": counts("applications"),
        "users": counts("users"), "databases": counts("databases"),
        "idle_in_transaction": idle.iter().map(DatabaseSession::output).collect::<Vec<_>>(),
        "running": running.iter().map(DatabaseSession::output).collect::<Vec<_>>(),
    });
    let mut summary = format!("{used} of {max} connections ({percent} %)");
    let largest = of("applications").next();
    if let Some((_, name, number)) = largest {
        summary.push_str(&format!(", most by {name} ({number})"));
    }
    for (what, longest) in [("idle in transaction", idle.first()), ("running", running.first())] {
        if let Some(longest) = longest {
            summary.push_str(&format!(", {what} for {} s: {}", longest.seconds, longest.shown()));
        }
    }
    if hidden > 0 {
        summary.push_str(&format!(", {hidden} that this role may not examine"));
    }
    match threshold.broken(percent) {
        None => Outcome::succeeded(summary, output),
        Some(broken) => Reason::new("threshold", format!("{summary}; {broken} %")).outcome(output),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_begins_with_the_share_and_the_largest_application() {
        let group = |what: &str, name: &str, number| (what.to_owned(), name.to_owned(), number);
        let groups = [
            group("applications", "backend", 70),
            group("applications", "psql", 13),
            group("states", "idle", 80),
            group("states", "active", 3),
        ];
        let threshold = Threshold { below: Some(80.0), ..Threshold::default() };
        let outcome = report(100, &groups, &[], &[], threshold);
        assert_eq!(outcome.summary, "83 of 100 connections (83 %), most by backend (70); not below 80 %");
        assert_eq!(outcome.output["states"], json!({ "idle": 80, "active": 3 }));
    }
}
