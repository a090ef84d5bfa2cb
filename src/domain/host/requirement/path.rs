//! The paths, programs and repositories that steps need, and all that the estate needs.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Needs, Reader, Users, note};
use crate::domain::config::estate::{Channel, Environment, Estate, Variable};
use crate::domain::core::glob_name::suffixed;
use crate::domain::core::secret_ref::SecretRef;
use crate::domain::host::unit_permission::texts;
use crate::domain::runbook::Action;

/// The fields that are paths, as kind and field.
const PATHS: &[(&str, &str)] =
    &[("disk", "path"), ("journal", "directory"), ("tls", "ca"), ("command", "cwd"), ("shell", "cwd")];

/// Programs that start another program: their first argument that is neither an option nor a value of one.
const WRAPPERS: &[&str] = &["sudo", "env", "nice", "timeout"];

impl Reader<'_> {
    /// Adds the paths, programs and repositories of an action.
    pub(super) fn paths_and_programs(&mut self, action: &Action) {
        for (_, field) in PATHS.iter().filter(|(kind, _)| *kind == action.kind) {
            for text in texts_of(action, field) {
                for path in self.known_values(text) {
                    // This program reads the certificate.
                    self.is_here |= action.kind == "tls";
                    self.add(|needs| &mut needs.paths, &path);
                }
            }
        }
        match action.kind.as_str() {
            "git" => self.repository(action),
            "shell" => {
                let shell = action.spec.get("shell").and_then(Value::as_str).unwrap_or("sh");
                self.add(|needs| &mut needs.programs, shell);
            }
            "command" => self.command(&texts_of(action, "argv")),
            _ => {}
        }
    }

    /// Adds a path or a program that the step needs on its host.
    fn add(&mut self, into: fn(&mut Needs) -> &mut BTreeMap<String, Users>, name: &str) {
        note(into(self.needs), name, self.user);
        if self.is_here {
            note(&mut self.needs.here, name, self.user);
        }
    }

    fn repository(&mut self, action: &Action) {
        self.add(|needs| &mut needs.programs, "git");
        if let Some(tree) = texts_of(action, "repository").first().and_then(|tree| self.known(tree)) {
            note(&mut self.needs.repositories, &tree, self.user);
        }
    }

    fn command(&mut self, argv: &[&str]) {
        // One expression may give the whole list.
        let whole = match argv {
            [whole] => self.known(whole).and_then(|text| serde_json::from_str::<Vec<String>>(&text).ok()),
            _ => None,
        };
        if let Some(argv) = whole.filter(|argv| argv.len() > 1) {
            return self.command(&argv.iter().map(String::as_str).collect::<Vec<_>>());
        }
        let Some((program, arguments)) = argv.split_first() else { return };
        // One expression may give a list of only the program.
        if let Some(program) = self.known_values(program).into_iter().next() {
            self.add(|needs| &mut needs.programs, &program);
            if WRAPPERS.contains(&program.as_str()) {
                return self.wrapped(arguments);
            }
        }
        self.arguments(arguments);
    }

    /// Adds the program that a wrapper starts. The duration of `timeout` and the assignments of `env` are not the program.
    fn wrapped(&mut self, arguments: &[&str]) {
        let is_program = |text: &&&str| {
            !text.starts_with('-') && !text.contains('=') && !text.starts_with(|c: char| c.is_ascii_digit())
        };
        if let Some(program) = arguments.iter().find(is_program).and_then(|program| self.known(program)) {
            self.add(|needs| &mut needs.programs, &program);
        }
        self.arguments(arguments);
    }

    fn arguments(&mut self, arguments: &[&str]) {
        for argument in arguments {
            let path = self.known(argument).filter(|text| text.starts_with('/') && !text.contains(['*', '\n']));
            if let Some(path) = path.filter(|path| !self.needs.programs.contains_key(path)) {
                self.add(|needs| &mut needs.arguments, &path);
            }
        }
    }
}

/// The texts of a field that is one text or a list; none if the field is missing.
fn texts_of<'a>(action: &'a Action, field: &str) -> Vec<&'a str> {
    action.spec.get(field).map(texts).unwrap_or_default()
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
        // A variable that is an absolute path is needed. The repository is checked as a work tree.
        let vars = environment.vars.values().filter_map(Value::as_str);
        for path in vars.filter(|text| text.starts_with('/') && environment.repository.as_deref() != Some(text)) {
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
            sender.certificate.iter().for_each(|file| self.local_file(file, &user));
        }
        self.secret(estate.page.as_ref().map(|page| &page.secret), "the incident page");
        if let Some(app) = &estate.slack {
            self.secret(app.app_token.as_ref(), "the Slack app");
            self.secret(app.signing_secret.as_ref(), "the Slack app");
        }
        estate.postmortem.template.iter().for_each(|file| self.local_file(file, "post-mortems"));
    }

    /// Adds a file that this program reads.
    fn local_file(&mut self, file: &str, user: &str) {
        note(&mut self.paths, file, user);
        note(&mut self.here, file, user);
    }

    fn add_channel(&mut self, user: &str, channel: &Channel) {
        self.secret(channel.token.as_ref(), user);
        self.secret(channel.slack_webhook.as_ref(), user);
        self.secret(channel.webhook.as_ref().map(|webhook| &webhook.secret), user);
        if let Some(email) = &channel.email {
            self.secret(email.password.as_ref(), user);
            email.trust.iter().for_each(|file| self.local_file(file, user));
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
