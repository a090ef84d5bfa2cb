//! The kind `postgres`: who is connected, ending sessions that hold up others, and queries that only read.
//!
//! Everything runs in a `READ ONLY` transaction with time limits for statements and locks, on a connection of its own
//! that works through PgBouncer too.
//!
//! Deliberately absent: writing. What changes data is a migration or a program under review. The server keeps `query`
//! from writing; it cannot keep a function from acting elsewhere (`pg_reload_conf()`), so a query is reviewed as a
//! script is.
//!
//! **Invariant:** nothing is interpolated into SQL. What a runbook gives as a value is bound to a parameter.
//!
//! **Invariant:** no address and no password leaves this room, and the text of other people's queries is shown without
//! its literals.

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
use crate::actions::{Context, Kind, Reconciled, SecretText};
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
const SHOWN: usize = 100;

/// Implements the kind `postgres`.
#[derive(Debug)]
pub struct Postgres;

static FORM: KindForm = KindForm {
    name: "postgres",
    summary: "Asks a PostgreSQL who is connected, ends sessions that are idle in a transaction, and runs queries that only read.",
    shorthand: None,
    verbs: &[
        Verb {
            field: Field::optional(
                "connections",
                Shape::Boolean,
                "`true`: the connections against `max_connections`, by state, application, user and database; and the longest.",
            ),
            effect: EffectClass::Read,
        },
        Verb {
            field: Field::optional(
                "query",
                Shape::Sql,
                "One statement that reads, such as `select … where id = $1::uuid`. The server refuses it if it would write.",
            ),
            effect: EffectClass::Read,
        },
        Verb {
            field: Field::optional(
                "terminate",
                Shape::Duration,
                "Ends the sessions that have been idle in a transaction for longer than this; never superusers' or replication unless asked.",
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
            "With `query`: the values of `$1`, `$2`, …. Text is bound as text: cast it, as in `$1::uuid`, to compare it with others.",
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
            "With `terminate`: `true` takes those of superusers and replication roles too.",
        ),
        Field::optional(
            "limit",
            Shape::Integer { min: 1, max: LARGEST_LIMIT },
            "With `terminate`: the most sessions to end, the longest first; 20 unless given.",
        ),
        Field::optional(
            "above",
            Shape::Number,
            "The value must be above this, else the step fails: the percentage of `connections`, the first value of a `query`.",
        ),
        Field::optional("below", Shape::Number, "The value must be below this, else the step fails."),
        Field::optional(
            "timeout",
            Shape::Duration,
            "How long one statement may take; 10s unless given, 10m at most. It waits 2s at most for a lock.",
        ),
    ],
    effect: |spec| {
        let given = |name: &str| spec.get(name).is_some();
        FORM.verbs.iter().find(|verb| given(verb.field.name)).map_or(EffectClass::Once, |verb| verb.effect)
    },
    outputs: &[
        OutputField { name: "used", help: "With `connections`: how many clients are connected, ourselves included." },
        OutputField { name: "max", help: "With `connections`: `max_connections`." },
        OutputField { name: "percent", help: "With `connections`: the share in use." },
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
            help: "With `connections`: how many sessions our role may not look into; grant it `pg_read_all_stats`.",
        },
        OutputField {
            name: "ended",
            help: "With `terminate`: the sessions that were ended, as in `idle_in_transaction`.",
        },
        OutputField {
            name: "left",
            help: "With `terminate`: those that were asked to end and had not yet, or could not be asked.",
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

    fn place(&self) -> DatastoreAddress {
        DatastoreAddress { datastore: self.datastore.clone(), url: self.url.clone() }
    }

    fn threshold(&self) -> Threshold {
        Threshold { above: self.above, below: self.below }
    }

    async fn wire<'c>(&self, context: &'c Context) -> Result<PostgresConnection<'c>, Reason> {
        let timeout =
            self.timeout.map_or(TIMEOUT, |timeout| timeout.0).clamp(Duration::from_millis(1), LONGEST_TIMEOUT);
        PostgresConnection::connect(&self.place().address("postgres", 5432, context)?, timeout, context).await
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

    fn what(&self) -> String {
        match (&self.terminate, &self.query) {
            (Some(over), _) => {
                let mut what = format!("end the sessions that have been idle in a transaction for {over}");
                for (name, value) in
                    [("application", &self.application), ("user", &self.user), ("database", &self.database)]
                {
                    if let Some(value) = value {
                        what.push_str(&format!(", {name} `{}`", one_line(value, SHOWN)));
                    }
                }
                what
            }
            (_, Some(query)) => format!("read: {}", one_line(query, SHOWN)),
            _ => "look who is connected".to_owned(),
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
                PlannedChange { what: spec.what(), place: spec.place().shown("postgres"), ..PlannedChange::default() }
            }
            Err(_) => PlannedChange { what: crate::actions::as_written(&FORM, spec), ..PlannedChange::default() },
        }
    }

    async fn observe(&self, spec: &Value, context: &Context) -> Value {
        let sessions = async {
            let spec = Spec::read(spec)?;
            let Some(over) = spec.terminate else { return Ok(Value::Null) };
            terminate::observe(&spec.filter(over), &mut spec.wire(context).await?).await
        };
        sessions.await.unwrap_or_else(|_: Reason| Value::Null)
    }

    async fn perform(&self, spec: &Value, context: &Context) -> Outcome {
        let done = async {
            let spec = Spec::read(spec)?;
            perform(&spec, context).await
        };
        done.await.unwrap_or_else(|trouble: Reason| trouble.outcome(json!({})))
    }

    async fn reconcile(&self, spec: &Value, before: &Value, context: &Context) -> Reconciled {
        let found = async {
            let spec = Spec::read(spec)?;
            terminate::reconcile(before, &mut spec.wire(context).await?).await
        };
        found.await.unwrap_or_else(|trouble: Reason| Reconciled::CannotTell(trouble.text))
    }
}

async fn perform(spec: &Spec, context: &Context) -> Result<Outcome, Reason> {
    if let Some(sql) = &spec.query {
        let asked = query::PostgresQuery::new(sql, &spec.params, spec.rows.unwrap_or(ROWS).clamp(1, MOST_ROWS))?;
        return query::run(asked, spec.threshold(), &mut spec.wire(context).await?).await;
    }
    match (spec.connections, spec.terminate) {
        (_, Some(over)) => terminate::terminate(&spec.filter(over), &mut spec.wire(context).await?).await,
        (Some(true), _) => connections::connection_counts(spec.threshold(), &mut spec.wire(context).await?).await,
        _ => Err(Reason::new("spec", "postgres: nothing is asked for")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_ending_a_session_changes_anything() {
        let effect = |spec: Value| (FORM.effect)(&spec);
        assert_eq!(effect(json!({ "terminate": "5m" })), EffectClass::Once);
        assert_eq!(
            (effect(json!({ "query": "select 1" })), effect(json!({ "connections": true }))),
            (EffectClass::Read, EffectClass::Read)
        );
    }

    #[test]
    fn a_change_says_whose_sessions_end() {
        let change = Postgres.describe(&json!({ "terminate": "5m", "application": "backend", "datastore": "main" }));
        assert_eq!(change.what, "end the sessions that have been idle in a transaction for 5m, application `backend`");
        assert_eq!(change.place, "main");
    }
}
