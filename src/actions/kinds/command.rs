//! The kind `command`: runs a program with an argument vector, without a shell. Each argument reaches the program
//! unchanged.

use async_trait::async_trait;
use serde_json::Value;

use super::support::program;
use super::support::program::{ProgramFields, argument_text};
use crate::actions::{Context, Kind};
use crate::domain::config::kind_schema::{Field, KindForm, Shape};
use crate::domain::core::effect::EffectClass;
use crate::domain::core::text;
use crate::domain::incident::outcome::Outcome;
use crate::domain::incident::plan::PlannedChange;

/// Implements the kind `command`.
#[derive(Debug)]
pub struct Command;

/// Characters of the command line in the description of the change.
const SHOWN_LIMIT: usize = 120;

static FORM: KindForm = KindForm {
    name: "command",
    summary: "Runs a program with arguments, without a shell.",
    shorthand: Some("argv"),
    verbs: &[],
    fields: &[
        Field::required("argv", Shape::ListOf(&Shape::Text), "The program and its arguments."),
        program::ENV,
        program::CWD,
        program::STDIN,
        program::EXPECT_EXIT,
        program::PARSE,
        program::KEEP,
        program::POSTGRES,
    ],
    effect: |_| EffectClass::Once,
    outputs: program::OUTPUTS,
    example: "command:\n  argv: [npm, audit, --json]\n  expect_exit: [0, 1]\n  parse: json\n",
};

#[async_trait]
impl Kind for Command {
    fn form(&self) -> &'static KindForm {
        &FORM
    }

    fn describe(&self, spec: &Value) -> PlannedChange {
        let argv = spec.get("argv").and_then(Value::as_array);
        let arguments: Vec<String> = argv.into_iter().flatten().map(shown).collect();
        PlannedChange {
            what: format!("run `{}`", text::one_line(&arguments.join(" "), SHOWN_LIMIT)),
            place: program::place(spec),
            ..PlannedChange::default()
        }
    }

    async fn perform(&self, spec: &Value, context: &Context) -> Outcome {
        match read(spec) {
            Ok((argv, fields)) => {
                let program = argv.first().map_or("", |path| path.rsplit('/').next().unwrap_or(path));
                let program = text::one_line(&context.redactor.scrub(program), SHOWN_LIMIT);
                fields.run(argv, &program, context).await
            }
            Err(reason) => Outcome::failed(reason, Value::Null),
        }
    }
}

/// The argument vector and the other fields.
fn read(spec: &Value) -> Result<(Vec<String>, ProgramFields), String> {
    let mut fields = spec.as_object().cloned().unwrap_or_default();
    let argv = fields.remove("argv").unwrap_or_default();
    let argv = argv.as_array().ok_or("`argv` is not a list")?;
    let argument = |(at, value)| argument_text(value).map_err(|reason| format!("`argv[{at}]` {reason}"));
    let argv = argv.iter().enumerate().map(argument).collect::<Result<_, _>>()?;
    Ok((argv, ProgramFields::read(fields)?))
}

/// An argument for people, in quotes if it holds special characters.
fn shown(argument: &Value) -> String {
    let text = argument_text(argument).unwrap_or_else(|_| argument.to_string());
    let is_plain = |c: char| c.is_alphanumeric() || "-_./:=@,+%".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
}
