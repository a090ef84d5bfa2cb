//! Rules of the senders of an estate: each has a form and a proof, and only what its form needs.

use super::{EstateChecker, entries, entry};
use crate::domain::config::estate_schema::FORMS;
use crate::domain::config::yaml::fields::list;
use crate::domain::config::yaml::node::{Content, Entry, Node};
use crate::domain::core::diagnostic::Problem;

/// The keys that only senders of one form have.
const OF_ONE_FORM: [(&str, &str); 5] = [
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
                None => self.form_unless_written(sender),
            };
            self.proof(sender, form);
            if let Some(form) = form {
                self.form_fits(sender, form);
            }
            self.workflows(&sender.value);
        }
    }

    fn form_unless_written<'n>(&mut self, sender: &'n Entry) -> Option<&'n str> {
        let form = form_of(&sender.key, None, sender.value.get("mapping").is_some());
        if form.is_none() {
            let problem = Problem::new(sender.key_span.clone(), "it is not said what the sender speaks");
            self.report.add(problem.help(format!("Give it a `form`, one of {}.", list(&FORMS))));
        }
        form
    }

    /// The sender has what its form cannot be without, and nothing that belongs to another form.
    fn form_fits(&mut self, sender: &Entry, form: &str) {
        for (key, owner) in OF_ONE_FORM {
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

    fn proof(&mut self, sender: &Entry, form: Option<&str>) {
        match sender.value.get("auth") {
            None if form != Some("sns") => {
                let message = "it is not said how the sender proves who it is";
                let problem = Problem::new(sender.key_span.clone(), message);
                self.report.add(problem.help("Add `auth: { bearer: { secret: … } }`, or another way."));
            }
            Some(auth) => {
                if let Some(node) = auth.get("none").filter(|node| node.content == Content::Boolean(false)) {
                    self.report.add(Problem::new(node.span.clone(), "`none` is either `true` or not there"));
                }
            }
            None => {}
        }
    }

    fn workflows(&mut self, sender: &Node) {
        for workflow in entries(sender, "workflows").filter(|workflow| workflow.value.as_map().is_some()) {
            if workflow.value.get("failure").is_none() && workflow.value.get("success").is_none() {
                let problem = Problem::new(workflow.key_span.clone(), "the workflow becomes no alert");
                self.report.add(problem.help("Give it `failure: <name of the alert>`, `success: …`, or both."));
            }
        }
    }
}

/// The form of a sender: as it is written, else by its mapping, else by its name.
pub(super) fn form_of<'n>(name: &'n str, written: Option<&'n str>, has_mapping: bool) -> Option<&'n str> {
    written.or(has_mapping.then_some("mapping")).or_else(|| FORMS.iter().copied().find(|form| *form == name))
}

#[cfg(test)]
mod tests;
