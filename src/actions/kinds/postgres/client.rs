//! A connection to a PostgreSQL for one step: read-only transactions with limits, errors told apart by SQLSTATE
//! (<https://www.postgresql.org/docs/current/errcodes-appendix.html>).
//!
//! Deliberately absent: pools. A step that takes a connection gives it back at once, above all when there are too few.
//!
//! **Invariant:** no message holds the address: the library's own words about it are not used.

use std::time::Duration;

use futures_util::TryStreamExt;
use sqlx::postgres::{PgArguments, PgConnectOptions, PgRow};
use sqlx::{AssertSqlSafe, ConnectOptions, Error, PgConnection, Postgres};
use url::Url;

use crate::actions::Context;
use crate::actions::transport::host;
use crate::actions::transport::host::UnixForward;
use crate::actions::transport::timeout::within;
use crate::domain::core::reason::Reason;
use crate::domain::core::text::one_line;

/// Limit for connecting, with handshake and authentication.
const CONNECT: Duration = Duration::from_secs(5);

/// As [`CONNECT`], through another host that may have to be connected first.
const FAR_CONNECT: Duration = Duration::from_secs(40);

/// Limit for waiting for a lock; the session that holds it is the problem.
const LOCK: Duration = Duration::from_secs(2);

/// How much longer than a statement's own timeout we wait for the server's error.
const GRACE: Duration = Duration::from_secs(2);

/// Characters of a server's message that are kept.
const SAID: usize = 300;

/// SQLSTATE of a prepared statement that does not exist.
const LOST: &str = "26000";

/// The `application_name` of our sessions in `pg_stat_activity`.
const APPLICATION: &str = "runbook";

/// A connection with a timeout for each statement.
pub(super) struct PostgresConnection<'c> {
    connection: PgConnection,
    timeout: Duration,
    pub(super) context: &'c Context,
    /// The forwarding socket to a server that only the environment's host reaches.
    _door: Option<UnixForward>,
}

impl<'c> PostgresConnection<'c> {
    /// Connects and authenticates, with TLS as the address says. `timeout` limits each later statement.
    pub(super) async fn connect(url: &Url, timeout: Duration, context: &'c Context) -> Result<Self, Reason> {
        let options = PgConnectOptions::from_url(url)
            .map_err(|_| Reason::new("address", "the address is not one of a postgres"))?
            .application_name(APPLICATION)
            .statement_cache_capacity(0)
            .disable_statement_logging();
        let place = format!("{}:{}", options.get_host(), options.get_port());
        let name = format!(".s.PGSQL.{}", options.get_port());
        let door = host::open_unix_forward(&name, options.get_host(), options.get_port(), context).await?;
        let (options, limit) = match &door {
            Some(door) => (options.socket(door.directory()), FAR_CONNECT),
            None => (options, CONNECT),
        };
        let connection = within(limit, context, options.connect()).await?.map_err(|error| {
            // The error of the forwarded stream explains more than the one it causes here.
            let trouble = door.as_ref().and_then(UnixForward::last_error).unwrap_or_else(|| why(&error, context));
            trouble.worded(|text| format!("{}: {text}", one_line(&place, SAID)))
        })?;
        Ok(Self { connection, timeout, context, _door: door })
    }

    /// Runs one statement in its own transaction. Returns at most `limit` rows, and one more if there are more.
    ///
    /// Further rows are not read, so the connection must not be used after a statement with too many rows.
    pub(super) async fn read(
        &mut self,
        sql: impl Into<String>,
        values: PgArguments,
        limit: usize,
    ) -> Result<Vec<PgRow>, Reason> {
        let (sql, begin) = (sql.into(), self.begin());
        let connection = &mut self.connection;
        let work = async {
            let rows = once(connection, &begin, &sql, values.clone(), limit).await;
            match &rows {
                // The library looked up an unknown type and lost the statement by that. It knows the type now.
                Err(Error::Database(error)) if error.code().as_deref() == Some(LOST) => {
                    once(connection, &begin, &sql, values, limit).await
                }
                _ => rows,
            }
        };
        within(self.timeout + GRACE, self.context, work).await?.map_err(|error| why(&error, self.context))
    }

    fn begin(&self) -> String {
        let milliseconds = |time: Duration| time.as_millis().max(1);
        format!(
            "BEGIN READ ONLY; SET LOCAL statement_timeout = {}; SET LOCAL lock_timeout = {}",
            milliseconds(self.timeout),
            milliseconds(LOCK.min(self.timeout)),
        )
    }
}

/// Tries a statement once. It has no name on the server: behind PgBouncer, a name may belong to another client.
async fn once(
    connection: &mut PgConnection,
    begin: &str,
    sql: &str,
    values: PgArguments,
    limit: usize,
) -> Result<Vec<PgRow>, Error> {
    sqlx::raw_sql(AssertSqlSafe(begin)).execute(&mut *connection).await?;
    let rows = fetch(connection, sql, values, limit).await;
    if rows.as_ref().map_or(true, |rows| rows.len() <= limit) {
        let ended = sqlx::raw_sql("ROLLBACK").execute(&mut *connection).await;
        // The statement's error explains more than that of its end.
        return rows.and_then(|rows| ended.map(|_| rows));
    }
    rows
}

async fn fetch(
    connection: &mut PgConnection,
    sql: &str,
    values: PgArguments,
    limit: usize,
) -> Result<Vec<PgRow>, Error> {
    let query = sqlx::query_with::<Postgres, _>(AssertSqlSafe(sql), values).persistent(false);
    let (mut rows, mut stream) = (Vec::new(), query.fetch(connection));
    while rows.len() <= limit
        && let Some(row) = stream.try_next().await?
    {
        rows.push(row);
    }
    Ok(rows)
}

/// Classifies an error of the library.
pub(super) fn why(error: &Error, context: &Context) -> Reason {
    let said = |text: &str| one_line(&context.redactor.scrub(text), SAID);
    match error {
        Error::Database(error) => {
            let (code, message) = (error.code().unwrap_or_default(), said(error.message()));
            let (kind, front) = error_message(&code);
            Reason::new(kind, format!("{front}: {message}"))
        }
        Error::Io(error) => match error.kind() {
            std::io::ErrorKind::ConnectionRefused => {
                Reason::new("refused", "the connection was refused: nothing listens there")
            }
            _ if error.get_ref().is_some_and(|inner| inner.is::<rustls::Error>()) => {
                distrusted(said(&error.to_string()))
            }
            _ => Reason::new("closed", format!("no connection: {}", said(&error.to_string()))),
        },
        Error::Tls(error) => distrusted(said(&error.to_string())),
        Error::Configuration(_) => Reason::new("address", "the address holds what no connection can be made of"),
        Error::ColumnDecode { index, source } => {
            let (index, source) = (said(index), said(&source.to_string()));
            Reason::new("type", format!("column {index}: {source}; cast it to text in the query"))
        }
        error => Reason::new("closed", said(&error.to_string())),
    }
}

fn distrusted(reason: String) -> Reason {
    Reason::new("tls", format!("no trusted connection: {reason}"))
}

/// The error code, and the beginning of the message for people.
fn error_message(code: &str) -> (&'static str, &'static str) {
    match code {
        "25006" => ("read_only", "it would write, and only reading is allowed here"),
        "57014" => ("timeout", "it took too long"),
        "55P03" => ("locked", "somebody else holds the lock"),
        "53300" => ("full", "there is no connection left"),
        "57P03" => ("starting", "it does not take connections now"),
        "42501" => ("access", "not allowed"),
        code if code.starts_with("28") => ("access", "it does not let us in"),
        code if code.starts_with("3D") => ("access", "there is no such database"),
        code if code.starts_with("57P") => ("closed", "it closed the connection"),
        _ => ("sql", "it refused"),
    }
}
