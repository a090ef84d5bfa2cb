//! The kind `shell`: runs a script with `sh` or `bash`.
//!
//! The renderer quotes every value inserted into the script. The shell stops at the first failing command and at the
//! first unset variable (`-eu`). It reads no start-up files.

use async_trait::async_trait;
use serde_json::Value;

use super::support::program;
use super::support::program::ProgramFields;
use crate::actions::{Context, Kind};
use crate::domain::config::kind_schema::{Field, KindForm, Shape};
use crate::domain::core::effect::EffectClass;
use crate::domain::core::text;
use crate::domain::incident::outcome::Outcome;
use crate::domain::incident::plan::PlannedChange;

/// Implements the kind `shell`.
#[derive(Debug)]
pub struct Shell;

/// Characters of the script in the description of the change.
const SHOWN_LIMIT: usize = 120;

static FORM: KindForm = KindForm {
    name: "shell",
    summary: "Runs a shell script; every value put into it is quoted.",
    shorthand: Some("script"),
    verbs: &[],
    fields: &[
        Field::required("script", Shape::Script, "The script; it stops at the first command that fails."),
        Field::optional("shell", Shape::OneOf(&["sh", "bash"]), "The shell; `sh` by default."),
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
    example: "shell:\n  script: |\n    df -h /var/log | tail -n 1\n  parse: lines\n",
};

#[async_trait]
impl Kind for Shell {
    fn form(&self) -> &'static KindForm {
        &FORM
    }

    fn describe(&self, spec: &Value) -> PlannedChange {
        let script = spec.get("script").and_then(Value::as_str).unwrap_or_default();
        let what = format!("run the script `{}`", text::one_line(script, SHOWN_LIMIT));
        PlannedChange { what, place: program::place(spec), ..PlannedChange::default() }
    }

    async fn perform(&self, spec: &Value, context: &Context) -> Outcome {
        match read(spec) {
            Ok((argv, fields)) => fields.run(argv, "script", context).await,
            Err(reason) => Outcome::failed(reason, Value::Null),
        }
    }
}

/// The argument vector and the other fields.
fn read(spec: &Value) -> Result<(Vec<String>, ProgramFields), String> {
    let mut fields = spec.as_object().cloned().unwrap_or_default();
    let script = fields.remove("script").unwrap_or_default();
    let script = program::argument_text(&script).map_err(|reason| format!("`script` {reason}"))?;
    let argv = match fields.remove("shell").as_ref().map(Value::as_str) {
        None | Some(Some("sh")) => vec!["sh".to_owned(), "-eu".to_owned(), "-c".to_owned(), script],
        // With `pipefail`, a pipeline fails if any of its commands fails; plain `sh` has no such option.
        Some(Some("bash")) => ["bash", "-eu", "-o", "pipefail", "-c", &script].map(str::to_owned).to_vec(),
        _ => return Err("`shell` is neither `sh` nor `bash`".to_owned()),
    };
    Ok((argv, ProgramFields::read(fields)?))
}
