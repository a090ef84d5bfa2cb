//! The rules of senders: each has a form, authentication, and only the keys of its form.

use super::{EstateChecker, entries, entry};
use crate::domain::config::estate_schema::FORMS;
use crate::domain::config::yaml::fields::list;
use crate::domain::config::yaml::node::{Content, Entry, Node};
use crate::domain::core::diagnostic::Problem;

/// The keys that belong to one form, with that form.
const KEYS_OF_ONE_FORM: [(&str, &str); 5] = [
    ("topics", "sns"),
    ("certificate", "sns"),
    ("catch_up", "alertmanager"),
    ("mapping", "mapping"),
    ("workflows", "github"),
];

impl EstateChecker<'_> {
    pub(super) fn senders(&mut self, estate: &Node) {
        for sender in entries(estate, "senders").filter(|sender| sender.value.as_map().is_some()) {
            let form = match sender.value.get("form") {
                Some(node) => node.as_text().filter(|form| FORMS.contains(form)),
                None => self.default_form(sender),
            };
            self.auth(sender, form);
            if let Some(form) = form {
                self.keys_fit_form(sender, form);
            }
            self.workflows(&sender.value);
        }
    }

    fn default_form<'n>(&mut self, sender: &'n Entry) -> Option<&'n str> {
        let form = form_of(&sender.key, None, sender.value.get("mapping").is_some());
        if form.is_none() {
            let problem = Problem::new(sender.key_span.clone(), "the sender has no `form`");
            self.report.add(problem.help(format!("Give it a `form`, one of {}.", list(&FORMS))));
        }
        form
    }

    /// The sender has the keys that its form needs, and none that belongs to another form.
    fn keys_fit_form(&mut self, sender: &Entry, form: &str) {
        for (key, owner) in KEYS_OF_ONE_FORM {
            if let Some(found) = entry(&sender.value, key).filter(|_| owner != form) {
                let message = format!("only a sender of the form `{owner}` has `{key}`");
                self.report.add(Problem::new(found.key_span.clone(), message));
            }
        }
        let needed = match form {
            "sns" if sender.value.get("auth").is_none() => Some("topics"),
            "mapping" => Some("mapping"),
            "github" => Some("workflows"),
            _ => None,
        };
        if let Some(needed) = needed.filter(|key| sender.value.get(key).is_none()) {
            let message = format!("a sender of the form `{form}` needs `{needed}`");
            self.report.add(Problem::new(sender.key_span.clone(), message).help(format!("Add `{needed}: …`.")));
        }
    }

    fn auth(&mut self, sender: &Entry, form: Option<&str>) {
        match sender.value.get("auth") {
            None if form != Some("sns") => {
                let problem = Problem::new(sender.key_span.clone(), "the sender has no authentication");
                self.report.add(problem.help("Add `auth: { bearer: { secret: … } }`, or another key of `auth`."));
            }
            Some(auth) => {
                if let Some(node) = auth.get("none").filter(|node| node.content == Content::Boolean(false)) {
                    self.report.add(Problem::new(node.span.clone(), "`none` is either `true` or left out"));
                }
            }
            None => {}
        }
    }

    fn workflows(&mut self, sender: &Node) {
        for workflow in entries(sender, "workflows").filter(|workflow| workflow.value.as_map().is_some()) {
            if workflow.value.get("failure").is_none() && workflow.value.get("success").is_none() {
                let problem = Problem::new(workflow.key_span.clone(), "no run of the workflow becomes an alert");
                self.report.add(problem.help("Give it `failure: <name of the alert>`, `success: …`, or both."));
            }
        }
    }
}

/// The form of a sender: the given one, otherwise `mapping` if it has one, otherwise its name if that is a form.
pub(super) fn form_of<'n>(name: &'n str, written: Option<&'n str>, has_mapping: bool) -> Option<&'n str> {
    written.or(has_mapping.then_some("mapping")).or_else(|| FORMS.iter().copied().find(|form| *form == name))
}

#[cfg(test)]
mod tests;
