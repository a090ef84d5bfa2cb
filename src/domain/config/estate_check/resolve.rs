//! Makes an [`Estate`] from the normal form of a file without problems: where the file has another form than the structs, the
//! value is changed here.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::sender::form_of;
use crate::domain::alert::field;
use crate::domain::config::estate::{Environment, Estate};
use crate::domain::config::sender::{Sender, SenderFormat};

/// The default ports of SMTP by `tls`: submission, submissions (RFC 8314) and smtp.
const SMTP_PORTS: [(&str, u16); 3] = [("starttls", 587), ("implicit", 465), ("none", 25)];

/// The estate.
///
/// # Errors
/// The value does not have the fields of an estate.
pub(super) fn estate(mut value: Value) -> serde_json::Result<Estate> {
    each(&mut value, "environments", |_, environment| {
        environment.get_mut("host").map(host);
        each_value(environment.get_mut("hosts"), |_, value| host(value));
    });
    each(&mut value, "channels", |_, channel| {
        channel.get_mut("email").map(email);
        channel.get_mut("command").map(command);
    });
    each(&mut value, "senders", sender);
    let mut estate: Estate = serde_json::from_value(value)?;
    set_branches(&mut estate.senders, &estate.environments);
    Ok(estate)
}

fn each(value: &mut Value, part: &str, resolve: impl Fn(&str, &mut Map<String, Value>)) {
    each_value(value.get_mut(part), |name, value| {
        if let Some(fields) = value.as_object_mut() {
            resolve(name, fields);
        }
    });
}

fn each_value(part: Option<&mut Value>, resolve: impl Fn(&str, &mut Value)) {
    for (name, value) in part.and_then(Value::as_object_mut).into_iter().flatten() {
        resolve(name, value);
    }
}

fn rename(fields: &mut Map<String, Value>, from: &str, to: &str) {
    if let Some(value) = fields.remove(from) {
        fields.insert(to.to_owned(), value);
    }
}

fn host(host: &mut Value) {
    if let Some(fields) = host.as_object_mut() {
        rename(fields, "ssh", "to");
        *host = json!({ "ssh": host.take() });
    }
}

fn email(email: &mut Value) {
    let Some(fields) = email.as_object_mut() else { return };
    let tls = fields.get("tls").and_then(Value::as_str).unwrap_or_default();
    let default = SMTP_PORTS.iter().find(|(of, _)| *of == tls).map(|(_, port)| *port);
    fields.entry("port").or_insert_with(|| default.into());
}

fn command(command: &mut Value) {
    if command.is_array() {
        *command = json!({ "argv": command.take() });
    }
}

fn sender(name: &str, sender: &mut Map<String, Value>) {
    let written = sender.get("form").and_then(Value::as_str).map(str::to_owned);
    let form = form_of(name, written.as_deref(), sender.contains_key("mapping")).map(str::to_owned);
    sender.insert("form".to_owned(), form.into());
    let auth = sender.remove("auth").map_or_else(|| "sns".into(), auth);
    sender.insert("auth".to_owned(), auth);
    if let Some(Value::Object(names)) = sender.get_mut("severities") {
        *names = std::mem::take(names).into_iter().map(|(name, severity)| (name.to_lowercase(), severity)).collect();
    }
    sender.get_mut("mapping").map(mapping);
}

fn auth(mut auth: Value) -> Value {
    if auth.get("none").is_some() {
        return "none".into();
    }
    each_value(Some(&mut auth), |_, value| {
        let Some(fields) = value.as_object_mut() else { return };
        if let Some(Value::Object(password)) = fields.remove("password") {
            fields.extend(password);
        }
        rename(fields, "secret", "secrets");
    });
    auth
}

fn mapping(mapping: &mut Value) {
    let Some(given) = mapping.as_object_mut() else { return };
    let fields: Map<String, Value> = field::mapped().filter_map(|name| given.remove_entry(name)).collect();
    given.insert("fields".to_owned(), fields.into());
    for key in ["labels", "annotations"] {
        given.get_mut(key).map(pairs);
    }
    if let Some(Value::Object(status)) = given.get_mut("status") {
        status.entry("firing").or_insert_with(|| json!([]));
    }
}

fn pairs(pairs: &mut Value) {
    let key = if pairs.is_string() { "all" } else { "each" };
    *pairs = json!({ key: pairs.take() });
}

/// Sets the environment of each branch in the senders of GitHub. A branch with two environments is left out.
fn set_branches(senders: &mut BTreeMap<String, Sender>, environments: &BTreeMap<String, Environment>) {
    let mut deployed: BTreeMap<&String, Vec<&String>> = BTreeMap::new();
    for (name, environment) in environments {
        if let Some(branch) = &environment.branch {
            deployed.entry(branch).or_default().push(name);
        }
    }
    let single = deployed.into_iter().filter(|(_, names)| names.len() == 1);
    let branches: BTreeMap<String, String> = single.map(|(branch, names)| (branch.clone(), names[0].clone())).collect();
    for sender in senders.values_mut().filter(|sender| sender.form == SenderFormat::Github) {
        sender.branches.clone_from(&branches);
    }
}
