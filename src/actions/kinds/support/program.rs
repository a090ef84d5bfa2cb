//! Code shared by `command` and `shell`: the fields of a program's surroundings, and the outcome of its exit.
//!
//! Not here: the argument vector, which each kind builds.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::actions::kinds::support::datastore::DatastoreAddress;
use crate::actions::kinds::support::libpq;
use crate::actions::transport::host;
use crate::actions::transport::process::capture::{Capture, HALF_LIMIT};
use crate::actions::transport::process::{ChildExit, Ending, Job, NotStarted};
use crate::actions::{Context, SecretText};
use crate::domain::config::kind_schema::{Field, OutputField, Shape};
use crate::domain::core::text;
use crate::domain::incident::outcome::{Outcome, Verdict};
use crate::domain::template::expression;

/// Bytes of standard output kept for later steps, half of them from the end. JSON doubles quotes and backslashes, so
/// all parts together stay below [`crate::domain::incident::outcome::OUTPUT_LIMIT`].
const STDOUT_FOR_STEPS: usize = 20 * 1024;

/// As [`STDOUT_FOR_STEPS`], for standard error.
const STDERR_FOR_STEPS: usize = 6 * 1024;

/// As [`STDOUT_FOR_STEPS`], if the output is also given as JSON or lines.
const STDOUT_BESIDE_PARSED: usize = 2 * 1024;

/// Bytes kept as JSON or lines, measured as JSON.
const PARSED_FOR_STEPS: usize = 40 * 1024;

/// Bytes of JSON output that are parsed; more is an error.
const JSON_READ: usize = 1024 * 1024;

/// Characters of the program's output in a summary.
const SHOWN_LIMIT: usize = 160;

/// The field `env`: environment variables.
pub const ENV: Field = Field::optional(
    "env",
    Shape::MapOf(&Shape::Secret),
    "Environment variables besides PATH, HOME, LANG and TZ; the safest way to pass a value.",
);

/// The field `cwd`: the working directory.
pub const CWD: Field = Field::optional(
    "cwd",
    Shape::Text,
    "The directory to run in; by default the project directory, or the account's home directory on a host reached by SSH. A relative path starts there.",
);

/// The field `stdin`: the program's standard input.
pub const STDIN: Field = Field::optional("stdin", Shape::Secret, "The program's standard input; empty by default.");

/// The field `expect_exit`: exit codes that count as success.
pub const EXPECT_EXIT: Field = Field::optional(
    "expect_exit",
    Shape::ListOf(&Shape::Integer { min: 0, max: 255 }),
    "The exit codes that mean success; `[0]` by default.",
);

/// The field `parse`: how standard output is parsed.
pub const PARSE: Field = Field::optional(
    "parse",
    Shape::OneOf(&["none", "json", "lines"]),
    "How standard output is parsed for later steps; `none` by default.",
);

/// The field `keep`: the part of JSON output to keep.
pub const KEEP: Field = Field::optional(
    "keep",
    Shape::Expression,
    "With `parse: json`: the part to keep, as an expression over `json`; at most 40 KiB.",
);

/// The field `postgres`: a datastore whose address is passed to the program.
pub const POSTGRES: Field = Field::optional(
    "postgres",
    Shape::Datastore,
    "A PostgreSQL of the estate. The program gets its address in libpq's variables (`PGHOST`, `PGPASSWORD`, …), for `psql`, `pg_dump` and similar programs.",
);

/// The outputs for later steps.
pub static OUTPUTS: &[OutputField] = &[
    OutputField { name: "exit_code", help: "The exit code; null if a signal ended the program." },
    OutputField { name: "signal", help: "The number of the signal that ended the program; otherwise null." },
    OutputField {
        name: "stdout",
        help: "Standard output without the last line end; its beginning and end if it is long.",
    },
    OutputField { name: "stderr", help: "Standard error, likewise." },
    OutputField { name: "json", help: "With `parse: json`, standard output as a value." },
    OutputField { name: "lines", help: "With `parse: lines`, the lines of standard output." },
];

/// The fields of a program's surroundings: environment, directory, input and expectations.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ProgramFields {
    env: BTreeMap<String, Value>,
    cwd: Option<String>,
    stdin: Option<SecretText>,
    expect_exit: Option<Vec<i32>>,
    parse: Parse,
    keep: Option<String>,
    postgres: Option<String>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Parse {
    #[default]
    None,
    Json,
    Lines,
}

impl ProgramFields {
    /// Reads the fields that remain after the kind has removed those that only it has.
    ///
    /// # Errors
    ///
    /// The problem with the invalid field, for people.
    pub fn read(fields: Map<String, Value>) -> Result<Self, String> {
        serde_json::from_value(Value::Object(fields)).map_err(|error| error.to_string())
    }

    /// Runs the program. `shown` is its name in the summary.
    pub async fn run(&self, argv: Vec<String>, shown: &str, context: &Context) -> Outcome {
        let job = match self.job(argv, context) {
            Ok(job) => job,
            Err(reason) => return Outcome::failed(reason, Value::Null),
        };
        match self.run_job(&job, context).await {
            Ok((exit, capture)) => self.outcome(shown, exit, &capture),
            Err(error) => Outcome::failed(context.redactor.scrub(&error.to_string()), Value::Null),
        }
    }

    async fn run_job(&self, job: &Job, context: &Context) -> Result<(ChildExit, Capture), NotStarted> {
        let limit = if self.parse == Parse::None { HALF_LIMIT } else { JSON_READ };
        let mut capture = Capture::keeping(limit, context);
        let exit = host::run_into(job, context, &mut capture).await?;
        capture.finish();
        Ok((exit, capture))
    }

    fn job(&self, argv: Vec<String>, context: &Context) -> Result<Job, String> {
        let mut job = Job::new(argv, context);
        if let Some(datastore) = &self.postgres {
            let datastore = DatastoreAddress { datastore: Some(datastore.clone()), url: None };
            let address = datastore.address("postgres", 5432, context).map_err(|reason| reason.text)?;
            job.environment.extend(libpq::variables(&address));
        }
        for (name, value) in &self.env {
            job.environment.insert(name.clone(), variable(name, value, context)?);
        }
        if let Some(cwd) = &self.cwd {
            job.directory = context.there(cwd);
        }
        if let Some(stdin) = &self.stdin {
            job.input = Some(stdin.reveal(&context.secrets)?.into_bytes());
        }
        Ok(job)
    }

    fn outcome(&self, shown: &str, exit: ChildExit, capture: &Capture) -> Outcome {
        let code = match exit.ending {
            Ending::Code(code) => code,
            Ending::Signal(signal) => {
                let summary = format!("`{shown}` was ended by signal {signal}{}", last_output(&capture.stderr()));
                let output = step_output(None, Some(signal), capture, Parse::None);
                return with_transcript(Outcome::failed(summary, output), capture);
            }
            Ending::TimedOut => return stopped(Verdict::TimedOut, shown, "did not end in time", capture),
            Ending::Cancelled => return stopped(Verdict::Cancelled, shown, "was cancelled", capture),
            Ending::Lost => {
                let last = last_output(&capture.stderr());
                let lost = Outcome::lost(format!("the connection was lost while `{shown}` ran{last}"));
                return with_transcript(lost, capture);
            }
        };
        let output = step_output(Some(code), None, capture, self.parse);
        if !self.expect_exit.as_deref().unwrap_or(&[0]).contains(&code) {
            let printed = [capture.stderr(), capture.stdout()].into_iter().find(|text| !text.trim().is_empty());
            let summary = format!("`{shown}` ended with code {code}{}", last_output(&printed.unwrap_or_default()));
            return with_transcript(Outcome::failed(summary, output), capture);
        }
        let parsed = match self.parse {
            Parse::None => Ok(None),
            Parse::Json => json_of(capture, self.keep.as_deref()).map(|value| Some(("json", value))),
            Parse::Lines => Ok(Some(("lines", lines_of(capture)))),
        };
        with_transcript(parsed_outcome(shown, code, exit.left_behind, output, parsed, capture), capture)
    }
}

/// The outcome of a program with an expected exit code, which depends on whether its output could be parsed.
fn parsed_outcome(
    shown: &str,
    code: i32,
    left_behind: bool,
    mut output: Value,
    parsed: Result<Option<(&str, Value)>, String>,
    capture: &Capture,
) -> Outcome {
    match parsed {
        Err(reason) => return Outcome::failed(format!("`{shown}` {reason}"), output),
        Ok(Some((name, value))) => output[name] = value,
        Ok(None) => {}
    }
    let left = if left_behind { " and left something running" } else { "" };
    let ended = if code == 0 { "succeeded".to_owned() } else { format!("ended with code {code}") };
    Outcome::succeeded(format!("`{shown}` {ended}{left}{}", last_output(&capture.stdout())), output)
}

/// A rendered value as text for a program. Numbers and booleans are written as in YAML.
///
/// # Errors
///
/// Why the value is not text, as the end of a sentence.
pub fn argument_text(value: &Value) -> Result<String, &'static str> {
    match value {
        Value::String(text) if text.contains('\0') => Err("holds a NUL byte, which no program can be given"),
        Value::String(text) => Ok(text.clone()),
        Value::Number(number) => Ok(number.to_string()),
        Value::Bool(truth) => Ok(truth.to_string()),
        Value::Null => Err("is null, not text"),
        Value::Array(_) => Err("is a list, not text"),
        Value::Object(_) => Err("is a mapping, not text"),
    }
}

fn variable(name: &str, value: &Value, context: &Context) -> Result<String, String> {
    if name.is_empty() || name.contains(['=', '\0']) {
        return Err(format!("`{}` cannot be the name of an environment variable", text::printable(name)));
    }
    let given = match value {
        Value::Object(_) => {
            let secret: SecretText = serde_json::from_value(value.clone())
                .map_err(|_| format!("environment variable `{name}` is a mapping, not text or `{{secret: name}}`"))?;
            Value::String(secret.reveal(&context.secrets)?)
        }
        plain => plain.clone(),
    };
    argument_text(&given).map_err(|reason| format!("environment variable `{name}` {reason}"))
}

/// The host and directory in which a program runs, for people.
pub fn place(spec: &Value) -> String {
    match spec.get("cwd").and_then(Value::as_str) {
        Some(cwd) => format!("this host, in {}", text::one_line(cwd, SHOWN_LIMIT)),
        None => "this host".to_owned(),
    }
}

fn stopped(verdict: Verdict, shown: &str, how: &str, capture: &Capture) -> Outcome {
    let summary = format!("`{shown}` {how} and was stopped{}", last_output(&capture.stderr()));
    let output = step_output(None, None, capture, Parse::None);
    with_transcript(Outcome { output, ..Outcome::ended(verdict, summary) }, capture)
}

fn with_transcript(outcome: Outcome, capture: &Capture) -> Outcome {
    let transcript = capture.transcript();
    if transcript.is_empty() { outcome } else { outcome.with_transcript(transcript) }
}

/// The last line of a text that is not blank, as the end of a summary.
fn last_output(text: &str) -> String {
    let last = text.lines().rev().find(|line| !line.trim().is_empty());
    last.map(|line| format!(": {}", text::one_line(line, SHOWN_LIMIT))).unwrap_or_default()
}

fn step_output(code: Option<i32>, signal: Option<i32>, capture: &Capture, parse: Parse) -> Value {
    let most = if parse == Parse::None { STDOUT_FOR_STEPS } else { STDOUT_BESIDE_PARSED };
    json!({
        "exit_code": code,
        "signal": signal,
        "stdout": for_steps(&capture.stdout(), most),
        "stderr": for_steps(&capture.stderr(), STDERR_FOR_STEPS),
    })
}

/// The output for later steps, printable and limited to `most` bytes.
fn for_steps(output: &str, most: usize) -> String {
    let shown = text::printable(output.trim_end_matches(['\n', '\r']));
    text::head_and_tail(&shown, most / 2, most / 2)
}

fn json_of(capture: &Capture, keep: Option<&str>) -> Result<Value, String> {
    if !capture.is_whole() {
        return Err(format!("printed more than {} bytes of JSON", text::grouped(JSON_READ as u64)));
    }
    let mut value: Value =
        serde_json::from_str(&capture.stdout()).map_err(|error| format!("did not print JSON: {error}"))?;
    if let Some(keep) = keep {
        let scope = minijinja::context! { json => minijinja::Value::from(minijinja::value::Serde(&value)) };
        value = expression::evaluate(keep, &scope)
            .map_err(|error| format!("printed JSON for which `keep` fails: {error}"))?;
    }
    let size = value.to_string().len();
    if size > PARSED_FOR_STEPS {
        let (size, most) = (text::grouped(size as u64), text::grouped(PARSED_FOR_STEPS as u64));
        return Err(format!("printed {size} bytes of JSON, but only {most} can be kept for later steps"));
    }
    Ok(value)
}

/// The first lines, as many as fit into [`PARSED_FOR_STEPS`].
fn lines_of(capture: &Capture) -> Value {
    let mut size = 0;
    let stdout = capture.stdout();
    let lines = stdout.lines().map(|line| Value::String(text::printable(line).into_owned()));
    let kept = lines.take_while(|line| {
        size += line.to_string().len() + 1;
        size <= PARSED_FOR_STEPS
    });
    Value::Array(kept.collect())
}
