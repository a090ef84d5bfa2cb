//! Renders the page from a template, with an inline style sheet.
//!
//! **Invariant:** every value is escaped, except the style sheet and the sanitised HTML of a draft. Phone numbers are
//! masked everywhere, also in the draft.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use minijinja::value::{Serde, Value};
use minijinja::{AutoEscape, Environment, Error, Output, State, UndefinedBehavior, escape_formatter};
use sha2::{Digest as _, Sha256};

use super::page_model::PageModel;
use crate::domain::core::id::IncidentId;
use crate::domain::redact::Redactor;
use crate::engine::{Engine, EngineError, report_files};

const TEMPLATE: &str = include_str!("page.html");
const STYLE: &str = include_str!("page.css");

/// The compiled template.
pub(super) struct PageTemplate(Environment<'static>);

impl PageTemplate {
    pub(super) fn new() -> Self {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_auto_escape_callback(|_| AutoEscape::Html);
        environment.set_formatter(masked);
        environment.add_function("moment", moment);
        environment.add_global("style", Value::from_safe_string(STYLE.to_owned()));
        environment.add_template("page", TEMPLATE).expect("the template of the page has no errors");
        Self(environment)
    }

    /// The content security policy: only the style sheet of the page is allowed.
    pub(super) fn policy(&self) -> String {
        let style = BASE64_STANDARD.encode(Sha256::digest(STYLE.as_bytes()));
        format!(
            "default-src 'none'; style-src 'sha256-{style}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        )
    }

    /// The page of an incident as HTML.
    pub(super) async fn page(&self, engine: &Engine, id: &IncidentId) -> Result<String, EngineError> {
        let (incident, log) = (engine.incident(id).await?, engine.log(id).await?);
        let parts = engine.parts();
        let draft = report_files::read(&parts.directory, &incident);
        Ok(self.render(&PageModel::of(&incident, &log, draft.as_deref(), parts.clock.now())))
    }

    fn render(&self, model: &PageModel) -> String {
        let page = self.0.get_template("page").expect("it was added");
        page.render(Value::from(Serde(model))).expect("the template uses only fields of the model")
    }
}

/// Writes a value escaped and with masked phone numbers. A value that is marked as safe is written unchanged.
fn masked(out: &mut Output<'_>, state: &mut State<'_, '_>, value: &Value) -> Result<(), Error> {
    match value.as_str().filter(|_| !value.is_safe()) {
        Some(text) => escape_formatter(out, state, &Value::from(Redactor::default().mask_phones(text).into_owned())),
        None => escape_formatter(out, state, value),
    }
}

/// An instant as a `<time>` element.
fn moment(at: &str) -> Value {
    // The format of `stamp`: `2026-03-29T00:50:00Z`.
    let (date, clock) = at.split_once('T').unwrap_or((at, ""));
    let clock = clock.get(..5).unwrap_or_default();
    let escape = |text: &str| minijinja::HtmlEscape(text).to_string();
    Value::from_safe_string(format!("<time datetime=\"{}\">{} {} UTC</time>", escape(at), escape(date), escape(clock)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::incident::event::Recorded;
    use crate::domain::incident::{PostmortemDraft, fold};

    const LOG: &str = include_str!("../../../tests/fixtures/postmortem/p1.jsonl");
    const DRAFT: &str = include_str!("../../../tests/fixtures/postmortem/p1.md");

    #[test]
    fn the_page_shows_the_state_after_every_event_of_an_incident() {
        let log: Vec<Recorded> = LOG.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let template = PageTemplate::new();
        for length in 1..=log.len() {
            let mut incident = fold(&log[..length]).unwrap().unwrap();
            if incident.resolved.is_some() {
                incident.draft =
                    Some(PostmortemDraft { path: "postmortems/p1.md".to_owned(), digest: String::new(), seq: 1 });
            }
            let page = template.render(&PageModel::of(&incident, &log[..length], Some(DRAFT), incident.at));
            let state = crate::domain::report::headline::state(&incident);
            assert!(page.contains(&format!("<span class=\"badge\">{state}</span>")), "{page}");
            assert_eq!(page.contains("<h2>Post-mortem, a draft"), incident.draft.is_some());
            assert!(!page.contains("<img") && !page.contains("<script"), "{page}");
        }
    }
}
