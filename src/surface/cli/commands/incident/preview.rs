//! `runbook start --plan`: prints exactly what would run, and what is missing for it.
//!
//! **Invariant:** no store, runtime, network or child process is used.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::actions;
use crate::domain::config::estate::Estate;
use crate::domain::config::kind_schema::{Field, Shape};
use crate::domain::core::text::shell_word;
use crate::domain::incident::command::StartRequest;
use crate::surface::cli::context::hostname::hostname;
use crate::surface::cli::context::project::Project;
use crate::surface::cli::context::secrets;
use crate::surface::cli::context::session::Session;
use crate::surface::cli::output::error::Result;
use crate::surface::cli::output::runbook_outline;
use crate::surface::cli::output::template_preview::Preview;
use crate::surface::cli::output::writer::value_text;
use crate::surface::exit::Exit;

/// Prints the plan of a start request.
pub fn show(session: &Session, project: &Project, start: StartRequest) -> Result {
    let mut next = format!("start {} --env {}", start.runbook.id, shell_word(&start.environment));
    for (name, value) in &start.params {
        next.push_str(&format!(" --param {}", shell_word(&format!("{name}={}", value_text(value)))));
    }
    let (runbook, estate, environment) = (start.runbook.clone(), start.estate.clone(), start.environment.clone());
    let preview = Preview::of(start, &project.catalog)?;
    let mut outline = runbook_outline::of(&runbook, &preview);
    outline.warnings = warnings(session, project, &estate, &environment, &outline);
    if session.output.is_table() {
        session.output.text(&outline.render(session.settings.width()))?;
        for warning in &outline.warnings {
            session.output.warn(warning);
        }
    } else {
        session.output.document(&outline)?;
    }
    session.output.print_message("nothing was started");
    session.output.next(&[session.command(&next)]);
    Ok(if outline.warnings.is_empty() { Exit::DONE } else { Exit::PROBLEMS })
}

fn warnings(
    session: &Session,
    project: &Project,
    estate: &Estate,
    environment: &str,
    outline: &runbook_outline::Outline,
) -> Vec<String> {
    let mut warnings = Vec::new();
    let hostname = hostname();
    if let Some(pattern) = estate.environments.get(environment).and_then(|environment| environment.refuses(&hostname)) {
        warnings.push(format!("`{hostname}` is not a host of `{environment}`, whose hosts are `{pattern}`"));
    }
    let secrets = secrets::read(estate, &project.directory, &session.settings.environment);
    let needed: BTreeSet<String> = outline
        .steps
        .iter()
        .filter_map(|item| item.action.as_ref())
        .flat_map(|planned| needed(&planned.kind, &planned.spec, estate))
        .collect();
    warnings.extend(needed.iter().filter_map(|name| secrets.get(name).err()));
    warnings
}

/// The secrets that an action needs: those it names, and those of its channels and datastores.
fn needed(kind: &str, spec: &Value, estate: &Estate) -> Vec<String> {
    let mut names = Vec::new();
    collect_secrets(spec, &mut names);
    let Some(form) = actions::kind(kind).map(actions::Kind::form) else { return names };
    let fields = || form.verbs.iter().map(|verb| &verb.field).chain(form.fields);
    for store in
        fields().filter(|field| matches!(field.shape, Shape::Datastore)).flat_map(|field| field_texts(spec, field))
    {
        let url = estate.datastores.get(store).and_then(|store| store.url.as_ref());
        names.extend(url.map(|reference| reference.secret.clone()));
    }
    for channel in fields().filter(|field| is_channel(&field.shape)).flat_map(|field| field_texts(spec, field)) {
        let channel = estate.channels.get(channel);
        let secrets = channel.into_iter().flat_map(|channel| [&channel.token, &channel.slack_webhook]);
        names.extend(secrets.flatten().map(|reference| reference.secret.clone()));
    }
    names
}

/// Collects the names in all references `{ secret: NAME }`.
fn collect_secrets(value: &Value, into: &mut Vec<String>) {
    match value {
        Value::Object(fields) => match fields.get("secret") {
            Some(Value::String(name)) if fields.len() == 1 => into.push(name.clone()),
            _ => fields.values().for_each(|field| collect_secrets(field, into)),
        },
        Value::Array(items) => items.iter().for_each(|item| collect_secrets(item, into)),
        _ => {}
    }
}

fn is_channel(shape: &Shape) -> bool {
    match shape {
        Shape::Channel => true,
        Shape::ListOf(inner) | Shape::OneOrMany(inner) => is_channel(inner),
        _ => false,
    }
}

/// The texts of a field, which holds one or a list.
fn field_texts<'a>(spec: &'a Value, field: &Field) -> Vec<&'a str> {
    match spec.get(field.name) {
        Some(Value::String(text)) => vec![text],
        Some(Value::Array(texts)) => texts.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}
