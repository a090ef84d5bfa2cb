//! The kind `postgres`: counts connections, ends idle sessions, and runs read-only queries.
//!
//! Every step has its own connection, and every statement its own `READ ONLY` transaction with time limits; this works
//! through PgBouncer too. A function may still act outside the data (`pg_reload_conf()`), so a query needs a review like
//! a script.
//!
//! **Invariant:** nothing is interpolated into SQL; a runbook's values are bound as parameters.
//!
//! **Invariant:** no output contains a password, an address with secrets, or a literal of another session's query.
//!
//! Not here: writing, which is for migrations and reviewed programs.

mod client;
mod connections;
mod query;
mod sessions;
mod terminate;
mod value;

use std::time::Duration;

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::{Value, json};

use self::client::PostgresConnection;
use self::sessions::SessionFilter;
use super::support::datastore::{DATASTORE, DatastoreAddress, URL};
use super::support::threshold::Threshold;
use crate::actions::{Context, Kind, Reconciled, SecretText, as_written, effect_of_verb};
use crate::domain::config::kind_schema::{Field, KindForm, OutputField, Shape, Verb};
use crate::domain::core::effect::EffectClass;
use crate::domain::core::reason::Reason;
use crate::domain::core::text::one_line;
use crate::domain::core::time::Span;
use crate::domain::incident::outcome::Outcome;
use crate::domain::incident::plan::PlannedChange;

/// Default and maximum of `timeout`, per statement.
const TIMEOUT: Duration = Duration::from_secs(10);
const LONGEST_TIMEOUT: Duration = Duration::from_secs(600);

/// Default and maximum of `limit`.
const LIMIT: i64 = 20;
const LARGEST_LIMIT: i64 = 1000;

/// Default and maximum of `rows`.
const ROWS: usize = 100;
const MOST_ROWS: usize = 1000;

/// Characters of a query in a summary.
const SHOWN_LIMIT: usize = 100;

/// Implements the kind `postgres`.
#[derive(Debug)]
pub struct Postgres;

static FORM: KindForm = KindForm {
    name: "postgres",
    summary: "Counts the connections of a PostgreSQL, ends sessions that are idle in a transaction, and runs read-only queries.",
    shorthand: None,
    verbs: &[
        Verb {
            field: Field::optional(
                "connections",
                Shape::Boolean,
                "`true`: the connections against `max_connections`, by state, application, user and database, and the longest sessions.",
            ),
            effect: EffectClass::Read,
        },
        Verb {
            field: Field::optional(
                "query",
                Shape::Sql,
                "One read-only statement, such as `select … where id = $1::uuid`. The server refuses it if it would write.",
            ),
            effect: EffectClass::Read,
        },
        Verb {
            field: Field::optional(
                "terminate",
                Shape::Duration,
                "Ends the sessions that have been idle in a transaction for longer than this; those of superusers and replication only with `superusers`.",
            ),
            effect: EffectClass::Once,
        },
    ],
    fields: &[
        DATASTORE,
        URL,
        Field::optional(
            "params",
            Shape::ListOf(&Shape::Any),
            "With `query`: the values of `$1`, `$2`, …. Text is bound as text: cast it, as in `$1::uuid`, to compare it with another type.",
        ),
        Field::optional(
            "rows",
            Shape::Integer { min: 1, max: MOST_ROWS as i64 },
            "With `query`: how many rows to keep; 100 unless given.",
        ),
        Field::optional("application", Shape::Text, "With `terminate`: only sessions of this application name."),
        Field::optional("user", Shape::Text, "With `terminate`: only sessions of this role."),
        Field::optional("database", Shape::Text, "With `terminate`: only sessions in this database."),
        Field::optional(
            "superusers",
            Shape::Boolean,
            "With `terminate`: `true` includes the sessions of superusers and replication roles.",
        ),
        Field::optional(
            "limit",
            Shape::Integer { min: 1, max: LARGEST_LIMIT },
            "With `terminate`: the most sessions to end, the longest first; 20 unless given.",
        ),
        Field::optional(
            "above",
            Shape::Number,
            "The value must be above this; otherwise the step fails. The value is the percentage of `connections`, or the first value of a `query`.",
        ),
        Field::optional("below", Shape::Number, "The value must be below this; otherwise the step fails."),
        Field::optional(
            "timeout",
            Shape::Duration,
            "How long one statement may take; 10s unless given, 10m at most. It waits at most 2s for a lock.",
        ),
    ],
    effect: |spec| effect_of_verb(&FORM, spec),
    outputs: &[
        OutputField { name: "used", help: "With `connections`: how many clients are connected, this one included." },
        OutputField { name: "max", help: "With `connections`: `max_connections`." },
        OutputField { name: "percent", help: "With `connections`: the percentage in use." },
        OutputField { name: "states", help: "With `connections`: how many by state, such as `{idle: 12, active: 3}`." },
        OutputField {
            name: "applications",
            help: "With `connections`: how many by application name; the twenty largest.",
        },
        OutputField { name: "users", help: "With `connections`: how many by role; the twenty largest." },
        OutputField { name: "databases", help: "With `connections`: how many by database; the twenty largest." },
        OutputField {
            name: "idle_in_transaction",
            help: "With `connections`: the ten longest, `{pid, application, user, database, seconds, query}`.",
        },
        OutputField { name: "running", help: "With `connections`: the ten queries that have run longest, likewise." },
        OutputField {
            name: "hidden",
            help: "With `connections`: how many sessions this role may not examine; grant it `pg_read_all_stats`.",
        },
        OutputField {
            name: "ended",
            help: "With `terminate`: the sessions that were ended, as in `idle_in_transaction`.",
        },
        OutputField {
            name: "left",
            help: "With `terminate`: the sessions that have not ended yet, or could not be ended.",
        },
        OutputField { name: "columns", help: "With `query`: the names of the columns." },
        OutputField { name: "rows", help: "With `query`: each row by column." },
        OutputField { name: "count", help: "With `query`: how many rows are kept." },
        OutputField { name: "value", help: "With `query`: the first column of the first row; null without rows." },
        OutputField { name: "truncated", help: "With `query`: whether there are more rows, or values that were cut." },
        OutputField {
            name: "trouble",
            help: "When it failed: `{kind, message}`; kinds: refused, access, full, tls, timeout, cancelled, locked, read_only, sql, type, threshold, left, …",
        },
    ],
    example: "postgres:\n  query: \"select count(*) from orders where state = $1\"\n  params: [stuck]\n  below: 100\n",
};

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Spec {
    connections: Option<bool>,
    query: Option<String>,
    terminate: Option<Span>,
    datastore: Option<String>,
    url: Option<SecretText>,
    params: Vec<Value>,
    rows: Option<usize>,
    application: Option<String>,
    user: Option<String>,
    database: Option<String>,
    superusers: bool,
    limit: Option<i64>,
    above: Option<f64>,
    below: Option<f64>,
    timeout: Option<Span>,
}

impl Spec {
    fn read(spec: &Value) -> Result<Self, Reason> {
        Self::deserialize(spec).map_err(|error| Reason::new("spec", format!("postgres: {error}")))
    }

    fn datastore(&self) -> DatastoreAddress {
        DatastoreAddress { datastore: self.datastore.clone(), url: self.url.clone() }
    }

    fn threshold(&self) -> Threshold {
        Threshold { above: self.above, below: self.below }
    }

    async fn connect<'c>(&self, context: &'c Context) -> Result<PostgresConnection<'c>, Reason> {
        let timeout =
            self.timeout.map_or(TIMEOUT, |timeout| timeout.0).clamp(Duration::from_millis(1), LONGEST_TIMEOUT);
        PostgresConnection::connect(&self.datastore().address("postgres", 5432, context)?, timeout, context).await
    }

    /// The sessions that `terminate` selects.
    fn filter(&self, over: Span) -> SessionFilter {
        SessionFilter {
            over: over.0,
            application: self.application.clone(),
            user: self.user.clone(),
            database: self.database.clone(),
            superusers: self.superusers,
            limit: self.limit.unwrap_or(LIMIT).clamp(1, LARGEST_LIMIT),
        }
    }

    /// The step for the description of a change.
    fn what(&self) -> String {
        match (&self.terminate, &self.query) {
            (Some(over), _) => {
                let mut what = format!("end the sessions that have been idle in a transaction for {over}");
                for (name, value) in
                    [("application", &self.application), ("user", &self.user), ("database", &self.database)]
                {
                    if let Some(value) = value {
                        what.push_str(&format!(", {name} `{}`", one_line(value, SHOWN_LIMIT)));
                    }
                }
                what
            }
            (_, Some(query)) => format!("read: {}", one_line(query, SHOWN_LIMIT)),
            _ => "count the connections".to_owned(),
        }
    }
}

#[async_trait]
impl Kind for Postgres {
    fn form(&self) -> &'static KindForm {
        &FORM
    }

    fn describe(&self, spec: &Value) -> PlannedChange {
        match Spec::read(spec) {
            Ok(spec) => {
                let place = spec.datastore().shown("postgres");
                PlannedChange { what: spec.what(), place, ..PlannedChange::default() }
            }
            Err(_) => PlannedChange { what: as_written(&FORM, spec), ..PlannedChange::default() },
        }
    }

    async fn observe(&self, spec: &Value, context: &Context) -> Value {
        let sessions = async {
            let spec = Spec::read(spec)?;
            let Some(over) = spec.terminate else { return Ok(Value::Null) };
            terminate::observe(&spec.filter(over), &mut spec.connect(context).await?).await
        };
        sessions.await.unwrap_or_else(|_: Reason| Value::Null)
    }

    async fn perform(&self, spec: &Value, context: &Context) -> Outcome {
        let outcome = async {
            let spec = Spec::read(spec)?;
            perform(&spec, context).await
        };
        outcome.await.unwrap_or_else(|error: Reason| error.outcome(json!({})))
    }

    async fn reconcile(&self, spec: &Value, before: &Value, context: &Context) -> Reconciled {
        let reconciled = async {
            let spec = Spec::read(spec)?;
            terminate::reconcile(before, &mut spec.connect(context).await?).await
        };
        reconciled.await.unwrap_or_else(|error: Reason| Reconciled::CannotTell(error.text))
    }
}

async fn perform(spec: &Spec, context: &Context) -> Result<Outcome, Reason> {
    if let Some(sql) = &spec.query {
        let query = query::PostgresQuery::new(sql, &spec.params, spec.rows.unwrap_or(ROWS).clamp(1, MOST_ROWS))?;
        return query::run(query, spec.threshold(), &mut spec.connect(context).await?).await;
    }
    match (spec.connections, spec.terminate) {
        (_, Some(over)) => terminate::terminate(&spec.filter(over), &mut spec.connect(context).await?).await,
        (Some(true), _) => connections::connection_counts(spec.threshold(), &mut spec.connect(context).await?).await,
        _ => Err(Reason::new("spec", "postgres: nothing is asked for")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_terminate_changes_anything() {
        let effect = |spec: Value| (FORM.effect)(&spec);
        assert_eq!(effect(json!({ "terminate": "5m" })), EffectClass::Once);
        assert_eq!(
            (effect(json!({ "query": "select 1" })), effect(json!({ "connections": true }))),
            (EffectClass::Read, EffectClass::Read)
        );
    }

    #[test]
    fn the_description_of_terminate_has_its_filter() {
        let change = Postgres.describe(&json!({ "terminate": "5m", "application": "backend", "datastore": "main" }));
        assert_eq!(change.what, "end the sessions that have been idle in a transaction for 5m, application `backend`");
        assert_eq!(change.place, "main");
    }
}
