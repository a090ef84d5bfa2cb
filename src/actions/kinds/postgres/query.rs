//! Runs a read-only query with bound values, and keeps a bounded part of its result.

use serde_json::{Map, Value, json};
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::types::Json;
use sqlx::{Arguments, Column, Row};

use super::client::{PostgresConnection, classify};
use super::value::Cell;
use crate::actions::Context;
use crate::actions::kinds::support::threshold::{Threshold, number};
use crate::domain::core::reason::Reason;
use crate::domain::core::text::{grouped, one_line};
use crate::domain::incident::outcome::Outcome;

/// Maximum number of parameters, columns that are kept, and bytes of one value.
const PARAMS: usize = 100;
const COLUMNS: usize = 50;
const LENGTH: usize = 2000;

/// Bytes of all rows: half of what an outcome may hold.
const BYTES: usize = 32 * 1024;

/// The first keywords of read-only statements. They are checked here, because the server would not refuse
/// `copy … to program`.
const KEYWORDS: &[&str] = &["select", "with", "table", "values", "show", "explain"];

/// A statement, its values, and the number of rows to keep.
pub(super) struct PostgresQuery {
    sql: String,
    values: PgArguments,
    rows: usize,
}

impl PostgresQuery {
    pub(super) fn new(sql: &str, params: &[Value], rows: usize) -> Result<Self, Reason> {
        let first = first_keyword(sql);
        if !KEYWORDS.contains(&first.as_str()) {
            let message = format!("a query begins with {}, not `{first}`", KEYWORDS.join(", "));
            return Err(Reason::new("read_only", message));
        }
        if params.len() > PARAMS {
            return Err(Reason::new("spec", format!("postgres: more than {PARAMS} parameters")));
        }
        let mut values = PgArguments::default();
        for param in params {
            bind(&mut values, param)?;
        }
        Ok(Self { sql: sql.to_owned(), values, rows })
    }
}

/// The first keyword in lower case, after comments and parentheses.
fn first_keyword(sql: &str) -> String {
    let mut rest = sql.trim_start_matches(|c: char| c.is_whitespace() || c == '(');
    while let Some(comment) = rest
        .strip_prefix("--")
        .map(|rest| rest.split_once('\n').map_or("", |(_, rest)| rest))
        .or_else(|| rest.strip_prefix("/*").map(|rest| rest.split_once("*/").map_or("", |(_, rest)| rest)))
    {
        rest = comment.trim_start_matches(|c: char| c.is_whitespace() || c == '(');
    }
    let keyword: String = rest.chars().take_while(char::is_ascii_alphabetic).take(20).collect();
    keyword.to_ascii_lowercase()
}

/// Binds a value by its JSON type: numbers, text, booleans, null, uniform lists; anything else as JSON.
fn bind(values: &mut PgArguments, param: &Value) -> Result<(), Reason> {
    let bound = match param {
        Value::Null => values.add(None::<String>),
        Value::Bool(truth) => values.add(*truth),
        Value::Number(number) => match number.as_i64() {
            Some(number) => values.add(number),
            None => values.add(number.as_f64()),
        },
        Value::String(text) => values.add(text.as_str()),
        Value::Array(items) if items.iter().all(Value::is_i64) => {
            values.add(items.iter().filter_map(Value::as_i64).collect::<Vec<_>>())
        }
        Value::Array(items) if items.iter().all(Value::is_string) => {
            values.add(items.iter().filter_map(|item| item.as_str().map(str::to_owned)).collect::<Vec<_>>())
        }
        other => values.add(Json(other.clone())),
    };
    bound.map_err(|error| Reason::new("spec", format!("postgres: a parameter cannot be bound: {error}")))
}

/// Runs the query and checks its first value.
pub(super) async fn run(
    query: PostgresQuery,
    threshold: Threshold,
    connection: &mut PostgresConnection<'_>,
) -> Result<Outcome, Reason> {
    let PostgresQuery { sql, values, rows: limit } = query;
    let mut rows = connection.read(sql, values, limit).await?;
    let is_more = rows.len() > limit;
    rows.truncate(limit);
    let row_set = RowSet::of(&rows, is_more, connection.context)?;
    Ok(row_set.report(threshold))
}

/// The rows that are kept.
#[derive(Debug, Default)]
struct RowSet {
    columns: Vec<String>,
    rows: Vec<Value>,
    first: Value,
    is_cut: bool,
}

impl RowSet {
    fn of(rows: &[PgRow], is_more: bool, context: &Context) -> Result<Self, Reason> {
        let mut row_set = Self { is_cut: is_more, ..Self::default() };
        let Some(head) = rows.first() else { return Ok(row_set) };
        row_set.is_cut |= head.columns().len() > COLUMNS;
        row_set.columns = names(head);
        let mut bytes = 0;
        for row in rows {
            let row = row_set.row(row, context)?;
            bytes += row.to_string().len();
            if bytes > BYTES {
                row_set.is_cut = true;
                break;
            }
            row_set.rows.push(row);
        }
        row_set.first =
            row_set.rows.first().and_then(|row| row.get(row_set.columns.first()?)).cloned().unwrap_or_default();
        Ok(row_set)
    }

    fn row(&mut self, row: &PgRow, context: &Context) -> Result<Value, Reason> {
        let mut values = Map::new();
        for (at, name) in self.columns.iter().enumerate() {
            let cell = row.try_get_unchecked::<Option<Cell>, _>(at).map_err(|error| classify(&error, context))?;
            let mut value = cell.map_or(Value::Null, |cell| cell.0);
            self.is_cut |= shorten(&mut value, context);
            values.insert(name.clone(), value);
        }
        Ok(Value::Object(values))
    }

    fn report(self, threshold: Threshold) -> Outcome {
        let count = self.rows.len();
        let summary = match (count, self.columns.len()) {
            (0, _) if self.is_cut => "the first row is too long to be kept".to_owned(),
            (0, _) => "no rows".to_owned(),
            (1, 1) => format!("{} = {}", one_line(&self.columns[0], 60), one_line(&plain(&self.first), 100)),
            (1, _) => format!("1 row: {}", one_line(&plain(&self.rows[0]), 200)),
            (count, _) => format!("{}{} rows", grouped(count as u64), if self.is_cut { " or more" } else { "" }),
        };
        let value = as_number(&self.first);
        let output = json!({
            "columns": self.columns, "rows": self.rows, "count": count, "value": self.first, "truncated": self.is_cut,
        });
        if !threshold.is_given() {
            return Outcome::succeeded(summary, output);
        }
        match value.map(|value| (value, threshold.broken(value))) {
            Some((_, None)) => Outcome::succeeded(summary, output),
            Some((value, Some(broken))) => {
                Reason::new("threshold", format!("{} is {broken}", number(value))).outcome(output)
            }
            None => Reason::new("threshold", format!("{summary}: not a number to compare")).outcome(output),
        }
    }
}

/// The names of the columns, made unique.
fn names(row: &PgRow) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for (at, column) in row.columns().iter().take(COLUMNS).enumerate() {
        let name = one_line(column.name(), 64);
        names.push(if names.contains(&name) { format!("{name}_{}", at + 1) } else { name });
    }
    names
}

/// Redacts and cuts a long value. Returns whether it was cut. It is redacted first, because a part of a secret would not
/// be found later.
fn shorten(value: &mut Value, context: &Context) -> bool {
    let text = match value {
        Value::String(text) if text.len() > LENGTH => std::mem::take(text),
        Value::Array(_) | Value::Object(_) if value.to_string().len() > LENGTH => value.to_string(),
        _ => return false,
    };
    let scrubbed = context.redactor.scrub(&text);
    *value = Value::String(format!("{}…", &scrubbed[..scrubbed.floor_char_boundary(LENGTH)]));
    true
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The number in a JSON number or in text.
fn as_number(value: &Value) -> Option<f64> {
    value.as_f64().or_else(|| value.as_str()?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_that_is_not_read_only_is_refused_before_connecting() {
        for sql in [
            "copy (select 1) to program 'reboot'",
            "set role postgres",
            "-- select\nupdate t set a = 1",
            "",
            "DO $$ $$",
        ] {
            let refused = PostgresQuery::new(sql, &[], 1).err().map(|error| error.code);
            assert_eq!(refused, Some("read_only".into()), "{sql}");
        }
        for sql in [
            "SELECT 1",
            " (select 1)",
            "-- why\n/* and */ with a as (select 1) table a",
            "show all",
            "explain select 1",
        ] {
            assert!(PostgresQuery::new(sql, &[json!("a"), json!([1, 2]), json!(null)], 1).is_ok(), "{sql}");
        }
    }
}
