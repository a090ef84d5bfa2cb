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

/// How long a connection may take, the handshake and the password included.
const CONNECT: Duration = Duration::from_secs(5);

/// The same by way of another host, which may have to be connected to first.
const FAR_CONNECT: Duration = Duration::from_secs(40);

/// How long a statement waits for a lock: whoever holds it is what is wrong.
const LOCK: Duration = Duration::from_secs(2);

/// What the server is given beyond a statement's own time before we stop to listen.
const GRACE: Duration = Duration::from_secs(2);

/// The longest text of a server that is kept.
const SAID: usize = 300;

/// The SQLSTATE of a prepared statement that is not there any more.
const LOST: &str = "26000";

/// What the sessions of this program are called in `pg_stat_activity`.
const APPLICATION: &str = "runbook";

/// A connection.
pub(super) struct Wire<'c> {
    connection: PgConnection,
    timeout: Duration,
    pub(super) context: &'c Context,
    /// The way to a server that only the environment's host reaches.
    _door: Option<UnixForward>,
}

impl<'c> Wire<'c> {
    /// Connects and logs in, by TLS as the address says; each statement may take `timeout` later.
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
            // Why the way there ended says more than that it did.
            let trouble = door.as_ref().and_then(UnixForward::last_error).unwrap_or_else(|| why(&error, context));
            trouble.worded(|text| format!("{}: {text}", one_line(&place, SAID)))
        })?;
        Ok(Self { connection, timeout, context, _door: door })
    }

    /// The rows of one statement in a transaction of its own, `limit` at most and one more if there are more.
    ///
    /// What is behind them is never read: the connection is not to be used after a statement that gave too many.
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
                // The library has looked up a type that it did not know, and lost the statement by that. It knows now.
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

/// One attempt at a statement. The statement has no name on the server: behind PgBouncer a name may belong to others.
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
        // Why the statement failed says more than why its end did.
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

/// Why there is no answer.
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

/// A word for programs and the beginning of a line for people.
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
