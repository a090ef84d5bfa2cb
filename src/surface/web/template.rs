//! The form of the page: a template in which everything that is put in is text, and one sheet of style.
//!
//! **Invariant:** only the style, which is ours, and the HTML of a draft, which is made harmless before, are put in as they
//! are. Telephone numbers of customers are masked wherever they stand.

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
        environment.add_template("page", TEMPLATE).expect("the page's template is right");
        Self(environment)
    }

    /// The content security policy: the page's own style, and nothing else.
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
        let written = report_files::read(&parts.directory, &incident);
        Ok(self.drawn(&PageModel::of(&incident, &log, written.as_deref(), parts.clock.now())))
    }

    /// A page model as HTML.
    pub(super) fn drawn(&self, sheet: &PageModel) -> String {
        let page = self.0.get_template("page").expect("it was added");
        page.render(Value::from(Serde(sheet))).expect("the template names what a sheet has")
    }
}

/// Writes a value escaped, with phone numbers masked; a value marked as safe is written unchanged.
fn masked(out: &mut Output<'_>, state: &mut State<'_, '_>, value: &Value) -> Result<(), Error> {
    match value.as_str().filter(|_| !value.is_safe()) {
        Some(text) => escape_formatter(out, state, &Value::from(Redactor::default().mask_phones(text).into_owned())),
        None => escape_formatter(out, state, value),
    }
}

/// An instant as a `<time>` element.
fn moment(at: &str) -> Value {
    // Our own format: `2026-03-29T00:50:00Z`.
    let (date, clock) = at.split_once('T').unwrap_or((at, ""));
    let clock = clock.get(..5).unwrap_or_default();
    let shown = |text: &str| minijinja::HtmlEscape(text).to_string();
    Value::from_safe_string(format!("<time datetime=\"{}\">{} {} UTC</time>", shown(at), shown(date), shown(clock)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::incident::event::Recorded;
    use crate::domain::incident::{PostmortemDraft, fold};

    const LOG: &str = include_str!("../../../tests/fixtures/postmortem/p1.jsonl");
    const DRAFT: &str = include_str!("../../../tests/fixtures/postmortem/p1.md");

    #[test]
    fn every_moment_of_an_incident_has_a_page_that_says_how_it_stands() {
        let log: Vec<Recorded> = LOG.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let form = PageTemplate::new();
        for length in 1..=log.len() {
            let mut incident = fold(&log[..length]).unwrap().unwrap();
            if incident.resolved.is_some() {
                incident.draft =
                    Some(PostmortemDraft { path: "postmortems/p1.md".to_owned(), digest: String::new(), seq: 1 });
            }
            let page = form.drawn(&PageModel::of(&incident, &log[..length], Some(DRAFT), incident.at));
            let state = crate::domain::report::headline::state(&incident);
            assert!(page.contains(&format!("<span class=\"badge\">{state}</span>")), "{page}");
            assert_eq!(page.contains("<h2>Post-mortem, a draft"), incident.draft.is_some());
            assert!(!page.contains("<img") && !page.contains("<script"), "{page}");
        }
    }
}
