//! Paths, programs and repositories, and everything that the estate itself names.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Needs, Reader, Users, note};
use crate::domain::config::estate::{Channel, Environment, Estate, Variable};
use crate::domain::core::glob_name::suffixed;
use crate::domain::core::secret_ref::SecretRef;
use crate::domain::runbook::Action;

/// Fields whose text is a path, by kind.
const PATHS: &[(&str, &str)] =
    &[("disk", "path"), ("journal", "directory"), ("tls", "ca"), ("command", "cwd"), ("shell", "cwd")];

/// Programs that start the program that is their first argument which is no option.
const STARTERS: &[&str] = &["sudo", "env", "nice", "timeout"];

impl Reader<'_> {
    pub(super) fn places(&mut self, action: &Action) {
        for (_, field) in PATHS.iter().filter(|(kind, _)| *kind == action.kind) {
            for text in texts(action.spec.get(*field)) {
                if let Some(path) = self.known(text) {
                    // A certificate is read by this program itself.
                    self.is_here |= action.kind == "tls";
                    self.place(|needs| &mut needs.paths, &path);
                }
            }
        }
        match action.kind.as_str() {
            "git" => self.repository(action),
            "shell" => {
                let shell = action.spec.get("shell").and_then(Value::as_str).unwrap_or("sh");
                self.place(|needs| &mut needs.programs, shell);
            }
            "command" => self.command(&texts(action.spec.get("argv"))),
            _ => {}
        }
    }

    /// Writes down that the step needs a path or a program where it acts.
    fn place(&mut self, into: fn(&mut Needs) -> &mut BTreeMap<String, Users>, name: &str) {
        note(into(self.needs), name, self.user);
        if self.is_here {
            note(&mut self.needs.here, name, self.user);
        }
    }

    fn repository(&mut self, action: &Action) {
        self.place(|needs| &mut needs.programs, "git");
        if let Some(tree) = texts(action.spec.get("repository")).first().and_then(|tree| self.known(tree)) {
            note(&mut self.needs.repositories, &tree, self.user);
        }
    }

    fn command(&mut self, argv: &[&str]) {
        // An expression may be the whole list.
        let whole = match argv {
            [whole] => self.known(whole).and_then(|text| serde_json::from_str::<Vec<String>>(&text).ok()),
            _ => None,
        };
        if let Some(words) = whole.filter(|words| words.len() > 1) {
            return self.command(&words.iter().map(String::as_str).collect::<Vec<_>>());
        }
        let Some((program, arguments)) = argv.split_first() else { return };
        if let Some(program) = self.known(program) {
            self.place(|needs| &mut needs.programs, &program);
            if STARTERS.contains(&program.as_str()) {
                return self.started(arguments);
            }
        }
        self.arguments(arguments);
    }

    /// What a starter starts: a bare name or a path; `timeout`'s length of time and assignments are neither.
    fn started(&mut self, arguments: &[&str]) {
        let is_program = |word: &&&str| {
            !word.starts_with('-') && !word.contains('=') && !word.starts_with(|c: char| c.is_ascii_digit())
        };
        if let Some(program) = arguments.iter().find(is_program).and_then(|program| self.known(program)) {
            self.place(|needs| &mut needs.programs, &program);
        }
        self.arguments(arguments);
    }

    fn arguments(&mut self, arguments: &[&str]) {
        for argument in arguments {
            let path = self.known(argument).filter(|text| text.starts_with('/') && !text.contains(['*', '\n']));
            if let Some(path) = path.filter(|path| !self.needs.programs.contains_key(path)) {
                self.place(|needs| &mut needs.arguments, &path);
            }
        }
    }
}

/// One text or several.
fn texts(value: Option<&Value>) -> Vec<&str> {
    match value {
        Some(Value::Array(items)) => items.iter().filter_map(Value::as_str).collect(),
        Some(value) => value.as_str().into_iter().collect(),
        None => Vec::new(),
    }
}

impl Needs {
    pub(super) fn add_environment(&mut self, name: &str, environment: &Environment) {
        let user = format!("environment {name}");
        if let Some(tree) = &environment.repository {
            note(&mut self.repositories, tree, &user);
            note(&mut self.programs, "git", &user);
        }
        if let Some(journal) = &environment.journal {
            note(&mut self.paths, journal, &user);
        }
        // A fact that is an absolute path is there to be used; the work tree is looked at as such.
        let facts = environment.vars.values().filter_map(Value::as_str);
        for path in facts.filter(|fact| fact.starts_with('/') && environment.repository.as_deref() != Some(fact)) {
            note(&mut self.paths, path, &user);
        }
    }

    pub(super) fn add_estate(&mut self, estate: &Estate) {
        for (name, service) in &estate.services {
            note(&mut self.units, &suffixed(service.unit.clone()), &format!("service {name}"));
        }
        for (name, store) in &estate.datastores {
            let user = format!("datastore {name}");
            if let Some(unit) = &store.unit {
                note(&mut self.units, &suffixed(unit.clone()), &user);
            }
            self.secret(store.url.as_ref(), &user);
        }
        for (name, channel) in &estate.channels {
            self.add_channel(&format!("channel {name}"), channel);
        }
        for (name, sender) in &estate.senders {
            let user = format!("sender {name}");
            sender.auth.secrets().iter().for_each(|secret| note(&mut self.secrets, secret, &user));
            sender.certificate.iter().for_each(|file| self.own_file(file, &user));
        }
        if let Some(app) = &estate.slack {
            self.secret(app.app_token.as_ref(), "the Slack app");
            self.secret(app.signing_secret.as_ref(), "the Slack app");
        }
        estate.postmortem.template.iter().for_each(|file| self.own_file(file, "post-mortems"));
    }

    /// A file that this program itself reads.
    fn own_file(&mut self, file: &str, user: &str) {
        note(&mut self.paths, file, user);
        note(&mut self.here, file, user);
    }

    fn add_channel(&mut self, user: &str, channel: &Channel) {
        self.secret(channel.token.as_ref(), user);
        self.secret(channel.slack_webhook.as_ref(), user);
        self.secret(channel.webhook.as_ref().map(|webhook| &webhook.secret), user);
        if let Some(email) = &channel.email {
            self.secret(email.password.as_ref(), user);
            email.trust.iter().for_each(|file| self.own_file(file, user));
        }
        if let Some(program) = &channel.command {
            if let Some(name) = program.argv.first() {
                note(&mut self.programs, name, user);
                note(&mut self.here, name, user);
            }
            for variable in program.env.values() {
                if let Variable::Secret(secret) = variable {
                    self.secret(Some(secret), user);
                }
            }
        }
    }

    fn secret(&mut self, secret: Option<&SecretRef>, user: &str) {
        if let Some(secret) = secret {
            note(&mut self.secrets, &secret.secret, user);
        }
    }
}
