//! `runbook kinds`: lists the kinds of action.

use std::fmt::Write as _;

use serde::Serialize;
use serde_json::{Value, json};

use crate::actions;
use crate::domain::config::kind_schema::{Field, KindForm, Shape};
use crate::surface::cli::context::session::Session;
use crate::surface::cli::output::error::{Failure, Result};
use crate::surface::cli::output::table::{Table, wrapped};
use crate::surface::exit::Exit;

/// The width of a manual page if the terminal's width is unknown.
const DEFAULT_WIDTH: usize = 80;

/// List the kinds of action, or show one with all its fields
///
/// Examples:
///   runbook kinds
///   runbook kinds systemd
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Kinds {
    /// The kind to show
    #[arg(value_name = "KIND")]
    kind: Option<String>,
}

/// One kind, as JSON.
#[derive(Serialize)]
struct KindRow {
    kind: &'static str,
    summary: &'static str,
    verbs: Vec<Value>,
    fields: Vec<Value>,
    outputs: Vec<Value>,
    example: &'static str,
}

impl Kinds {
    /// Lists the kinds, or shows one of them.
    pub fn run(self, session: &Session) -> Result {
        match &self.kind {
            None => list(session)?,
            Some(name) => show(session, name)?,
        }
        Ok(Exit::DONE)
    }
}

fn list(session: &Session) -> Result<()> {
    let forms = actions::forms();
    if session.output.is_table() {
        let mut table = Table::new(["KIND", "SUMMARY", "VERBS"]);
        for form in &forms {
            let verbs: Vec<&str> = form.verbs.iter().map(|verb| verb.field.name).collect();
            table.row([form.name.to_owned(), form.summary.to_owned(), verbs.join(", ")]);
        }
        session.output.text(&table.render(session.settings.width()))?;
    } else {
        session.output.list(&forms.iter().map(|form| row(form)).collect::<Vec<_>>())?;
    }
    let first = forms.first().map_or("<kind>", |form| form.name);
    session.output.next(&[session.command(&format!("kinds {first}"))]);
    Ok(())
}

fn show(session: &Session, name: &str) -> Result<()> {
    let kind = actions::kind(name).ok_or_else(|| {
        Failure::usage(format!("there is no kind `{}`", name.escape_debug()))
            .did_you_mean(name, actions::forms().into_iter().map(|form| form.name))
            .hint("`runbook kinds` shows every one.")
    })?;
    if session.output.is_table() {
        session.output.text(&manual(kind.form(), session.settings.width().unwrap_or(DEFAULT_WIDTH)))?;
    } else {
        session.output.document(&row(kind.form()))?;
    }
    session.output.next(&[session.command("kinds")]);
    Ok(())
}

fn row(form: &'static KindForm) -> KindRow {
    let field = |field: &Field| json!({"name": field.name, "shape": shape(&field.shape), "required": field.required, "help": field.help});
    let verb = |verb: &crate::domain::config::kind_schema::Verb| {
        let mut value = field(&verb.field);
        value["effect"] = json!(verb.effect);
        value
    };
    KindRow {
        kind: form.name,
        summary: form.summary,
        verbs: form.verbs.iter().map(verb).collect(),
        fields: form.fields.iter().map(field).collect(),
        outputs: form.outputs.iter().map(|output| json!({"name": output.name, "help": output.help})).collect(),
        example: form.example,
    }
}

fn manual(form: &KindForm, width: usize) -> String {
    let mut out = wrapped(&format!("{}: {}", form.name, form.summary), width, "");
    if !form.verbs.is_empty() {
        out.push_str("\nexactly one of\n");
    }
    for verb in form.verbs {
        entry(
            &mut out,
            &format!("{}: {}  [{}]", verb.field.name, shape(&verb.field.shape), verb.effect),
            verb.field.help,
            width,
        );
    }
    if !form.fields.is_empty() {
        out.push_str("\nfields\n");
    }
    for field in form.fields {
        let required = if field.required { "  [required]" } else { "" };
        entry(&mut out, &format!("{}: {}{required}", field.name, shape(&field.shape)), field.help, width);
    }
    if !form.outputs.is_empty() {
        out.push_str("\nwhat later steps may refer to\n");
    }
    for output in form.outputs {
        entry(&mut out, &format!("steps.<id>.{}", output.name), output.help, width);
    }
    out.push_str("\nexample\n");
    for line in form.example.trim_end().lines() {
        let _ = writeln!(out, "  {line}");
    }
    out
}

fn entry(out: &mut String, head: &str, help: &str, width: usize) {
    out.push_str(&wrapped(head, width, "  "));
    out.push_str(&wrapped(help, width, "      "));
}

/// The name of a shape.
fn shape(shape: &Shape) -> String {
    match shape {
        Shape::Text => "text".to_owned(),
        Shape::Script => "shell script".to_owned(),
        Shape::Integer { min, max } if *max == i64::MAX => format!("whole number from {min}"),
        Shape::Integer { min, max } => format!("whole number from {min} to {max}"),
        Shape::Number => "number".to_owned(),
        Shape::Boolean => "true or false".to_owned(),
        Shape::Duration => "length of time".to_owned(),
        Shape::Any => "any value".to_owned(),
        Shape::OneOf(values) => values.join(" | "),
        Shape::Unit => "unit".to_owned(),
        Shape::Service => "service".to_owned(),
        Shape::Datastore => "datastore".to_owned(),
        Shape::Channel => "channel".to_owned(),
        Shape::Secret => "text or {secret: name}".to_owned(),
        Shape::Expression => "expression".to_owned(),
        Shape::Sql => "SQL".to_owned(),
        Shape::ListOf(inner) => format!("list of {}", self::shape(inner)),
        Shape::OneOrMany(inner) => format!("{}, or a list", self::shape(inner)),
        Shape::MapOf(inner) => format!("mapping to {}", self::shape(inner)),
        Shape::Record(fields) => {
            let names: Vec<&str> = fields.iter().map(|field| field.name).collect();
            format!("{{{}}}", names.join(", "))
        }
    }
}
