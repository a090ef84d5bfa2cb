//! A connection to a PostgreSQL for one step: limited read-only transactions, errors classified by SQLSTATE
//! (<https://www.postgresql.org/docs/current/errcodes-appendix.html>).
//!
//! There is no pool: a step closes its connection when it ends, since connections may be scarce.
//!
//! **Invariant:** no message contains the secrets of the address: the library's messages about the address are not used.

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

/// Time limit for connecting, with handshake and authentication.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// As [`CONNECT_TIMEOUT`], through another host, to which there may be no connection yet.
const SSH_CONNECT_TIMEOUT: Duration = Duration::from_secs(40);

/// Time limit for waiting for a lock. A longer wait does not help, because the session that has the lock is the problem.
const LOCK_TIMEOUT: Duration = Duration::from_secs(2);

/// How much longer than the server's timeout for a statement we wait for the server's error.
const GRACE: Duration = Duration::from_secs(2);

/// Characters of a message that are kept.
const SHOWN_LIMIT: usize = 300;

/// SQLSTATE of a prepared statement that does not exist.
const NO_SUCH_STATEMENT: &str = "26000";

/// The `application_name` of our sessions in `pg_stat_activity`.
const APPLICATION: &str = "runbook";

/// A connection with a timeout for each statement.
pub(super) struct PostgresConnection<'c> {
    connection: PgConnection,
    timeout: Duration,
    pub(super) context: &'c Context,
    /// The socket that forwards to a server that only the environment's host reaches.
    _forward: Option<UnixForward>,
}

impl<'c> PostgresConnection<'c> {
    /// Connects and authenticates, with TLS as the address says. `timeout` limits each later statement.
    pub(super) async fn connect(url: &Url, timeout: Duration, context: &'c Context) -> Result<Self, Reason> {
        let options = PgConnectOptions::from_url(url)
            .map_err(|_| Reason::new("address", "the address is not that of a PostgreSQL"))?
            .application_name(APPLICATION)
            .statement_cache_capacity(0)
            .disable_statement_logging();
        let address = format!("{}:{}", options.get_host(), options.get_port());
        let socket = format!(".s.PGSQL.{}", options.get_port());
        let forward = host::open_unix_forward(&socket, options.get_host(), options.get_port(), context).await?;
        let (options, limit) = match &forward {
            Some(forward) => (options.socket(forward.directory()), SSH_CONNECT_TIMEOUT),
            None => (options, CONNECT_TIMEOUT),
        };
        let connection = within(limit, context, options.connect()).await?.map_err(|error| {
            // The error of the forwarded stream explains more than the error that follows from it.
            let error = forward.as_ref().and_then(UnixForward::last_error).unwrap_or_else(|| classify(&error, context));
            error.worded(|text| format!("{}: {text}", one_line(&address, SHOWN_LIMIT)))
        })?;
        Ok(Self { connection, timeout, context, _forward: forward })
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
            let rows = run_once(connection, &begin, &sql, values.clone(), limit).await;
            match &rows {
                // The library looked up an unknown type, which replaced the unnamed statement. Now it knows the type.
                Err(Error::Database(error)) if error.code().as_deref() == Some(NO_SUCH_STATEMENT) => {
                    run_once(connection, &begin, &sql, values, limit).await
                }
                _ => rows,
            }
        };
        within(self.timeout + GRACE, self.context, work).await?.map_err(|error| classify(&error, self.context))
    }

    fn begin(&self) -> String {
        let milliseconds = |time: Duration| time.as_millis().max(1);
        format!(
            "BEGIN READ ONLY; SET LOCAL statement_timeout = {}; SET LOCAL lock_timeout = {}",
            milliseconds(self.timeout),
            milliseconds(LOCK_TIMEOUT.min(self.timeout)),
        )
    }
}

/// Runs a statement once, in its transaction. It has no name on the server, because behind PgBouncer a name may belong to
/// another client.
async fn run_once(
    connection: &mut PgConnection,
    begin: &str,
    sql: &str,
    values: PgArguments,
    limit: usize,
) -> Result<Vec<PgRow>, Error> {
    sqlx::raw_sql(AssertSqlSafe(begin)).execute(&mut *connection).await?;
    let rows = fetch(connection, sql, values, limit).await;
    if rows.as_ref().map_or(true, |rows| rows.len() <= limit) {
        let rolled_back = sqlx::raw_sql("ROLLBACK").execute(&mut *connection).await;
        // The error of the statement explains more than that of the rollback.
        return rows.and_then(|rows| rolled_back.map(|_| rows));
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
pub(super) fn classify(error: &Error, context: &Context) -> Reason {
    let clean = |text: &str| one_line(&context.redactor.scrub(text), SHOWN_LIMIT);
    match error {
        Error::Database(error) => {
            let (code, message) = (error.code().unwrap_or_default(), clean(error.message()));
            let (code, problem) = of_sqlstate(&code);
            Reason::new(code, format!("{problem}: {message}"))
        }
        Error::Io(error) => match error.kind() {
            std::io::ErrorKind::ConnectionRefused => {
                Reason::new("refused", "the connection was refused: nothing listens there")
            }
            _ if error.get_ref().is_some_and(|inner| inner.is::<rustls::Error>()) => {
                distrusted(clean(&error.to_string()))
            }
            _ => Reason::new("closed", format!("no connection: {}", clean(&error.to_string()))),
        },
        Error::Tls(error) => distrusted(clean(&error.to_string())),
        Error::Configuration(_) => Reason::new("address", "the address has an invalid parameter"),
        Error::ColumnDecode { index, source } => {
            let (index, source) = (clean(index), clean(&source.to_string()));
            Reason::new("type", format!("column {index}: {source}; cast it to text in the query"))
        }
        error => Reason::new("closed", clean(&error.to_string())),
    }
}

fn distrusted(reason: String) -> Reason {
    Reason::new("tls", format!("no trusted connection: {reason}"))
}

/// The error code for a SQLSTATE, and the problem for people.
fn of_sqlstate(sqlstate: &str) -> (&'static str, &'static str) {
    match sqlstate {
        "25006" => ("read_only", "it would write, and only reading is allowed here"),
        "57014" => ("timeout", "it took too long"),
        "55P03" => ("locked", "another session has the lock"),
        "53300" => ("full", "there is no connection left"),
        "57P03" => ("starting", "it accepts no connections now"),
        "42501" => ("access", "not allowed"),
        code if code.starts_with("28") => ("access", "it refused the login"),
        code if code.starts_with("3D") => ("access", "there is no such database"),
        code if code.starts_with("57P") => ("closed", "it closed the connection"),
        _ => ("sql", "it refused"),
    }
}
