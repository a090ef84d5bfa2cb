//! `runbook start --plan`: exactly what would run, and what is missing for it.
//!
//! **Invariant:** nothing is touched: no store, no runtime, no network, no child.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::actions;
use crate::domain::config::estate::Estate;
use crate::domain::config::kind_schema::{Field, Shape};
use crate::domain::core::text::shell_word;
use crate::domain::incident::command::StartRequest;
use crate::surface::cli::context::project::Project;
use crate::surface::cli::context::secrets;
use crate::surface::cli::context::session::{Session, hostname};
use crate::surface::cli::output::error::Result;
use crate::surface::cli::output::runbook_outline;
use crate::surface::cli::output::template_preview::Filling;
use crate::surface::exit::Exit;

/// Prints the plan of a start.
pub fn show(session: &Session, shop: &Project, start: StartRequest) -> Result {
    let mut next = format!("start {} --env {}", start.runbook.id, shell_word(&start.environment));
    for (name, value) in &start.params {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        next.push_str(&format!(" --param {}", shell_word(&format!("{name}={text}"))));
    }
    let (runbook, estate, environment) = (start.runbook.clone(), start.estate.clone(), start.environment.clone());
    let filling = Filling::of(start, &shop.catalog)?;
    let mut outline = runbook_outline::of(&runbook, &filling);
    outline.warnings = warnings(session, shop, &estate, &environment, &outline);
    if session.output.is_table() {
        session.output.text(&outline.render(session.settings.width()))?;
        for warning in &outline.warnings {
            session.output.warn(warning);
        }
    } else {
        session.output.document(&outline)?;
    }
    session.output.print_message("nothing has been done");
    session.output.next(&[session.command(&next)]);
    Ok(if outline.warnings.is_empty() { Exit::DONE } else { Exit::PROBLEMS })
}

fn warnings(
    session: &Session,
    shop: &Project,
    estate: &Estate,
    environment: &str,
    outline: &runbook_outline::Outline,
) -> Vec<String> {
    let mut warnings = Vec::new();
    let hostname = hostname();
    if let Some(pattern) = estate.environments.get(environment).and_then(|there| there.refuses(&hostname)) {
        warnings.push(format!("`{hostname}` is not a host of `{environment}`, whose hosts are `{pattern}`"));
    }
    let values = secrets::read(estate, &shop.directory, &session.settings.environment);
    let needed: BTreeSet<String> = outline
        .steps
        .iter()
        .filter_map(|item| item.action.as_ref())
        .flat_map(|planned| needed(&planned.kind, &planned.spec, estate))
        .collect();
    warnings.extend(needed.iter().filter_map(|name| values.get(name).err()));
    warnings
}

/// The secrets that an action needs: those it names, and those of its channels and datastores.
fn needed(kind: &str, spec: &Value, estate: &Estate) -> Vec<String> {
    let mut names = Vec::new();
    named(spec, &mut names);
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

fn named(value: &Value, into: &mut Vec<String>) {
    match value {
        Value::Object(fields) => match fields.get("secret") {
            Some(Value::String(name)) if fields.len() == 1 => into.push(name.clone()),
            _ => fields.values().for_each(|field| named(field, into)),
        },
        Value::Array(items) => items.iter().for_each(|item| named(item, into)),
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

fn field_texts<'a>(spec: &'a Value, field: &Field) -> Vec<&'a str> {
    match spec.get(field.name) {
        Some(Value::String(word)) => vec![word],
        Some(Value::Array(field_texts)) => words.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}
