//! GitHub: the results of runs of the workflows that the estate names.
//!
//! A workflow that fails on a branch is one alert until it succeeds there, however often it runs. If the estate names an alert
//! for success too, each successful run fires it once.
//!
//! **Invariant:** a run for a pull request or a fork is not an alert, because its author chooses title, branch name and code.

use chrono::SecondsFormat;

use crate::domain::alert::{Alert, AlertStatus};
use crate::domain::config::sender::Workflow;
use crate::domain::core::text::one_line;
use crate::domain::core::time::Timestamp;
use crate::surface::intake::parse::field_reader;
use crate::surface::intake::parse::field_reader::Object;
use crate::surface::intake::parse::lenient_json;
use crate::surface::intake::{ParsedBody, SenderInput};

/// Conclusions that count as a failure. A cancelled or skipped run is ignored.
const FAILURES: [&str; 4] = ["failure", "timed_out", "startup_failure", "action_required"];

pub(crate) fn read(input: &SenderInput<'_>) -> Result<ParsedBody, String> {
    let event = input.post.header("x-github-event");
    if let Some(other) = event.filter(|event| *event != "workflow_run") {
        return Ok(ParsedBody::Ignored(format!("event `{}` is not a workflow run", one_line(other, 80))));
    }
    let form = form_field(input);
    let body = lenient_json::json(form.as_deref().unwrap_or(input.post.body))?;
    let mut whole = Object::new(&body.value)?;
    let action = whole.text("action").ok_or("it has no `action`")?;
    let mut run = whole.object("workflow_run");
    let Some(run_id) = run.get("id").and_then(field_reader::text_of) else {
        return Err("it has no `workflow_run.id`".to_owned());
    };
    if action != "completed" {
        return Ok(ParsedBody::Ignored("the run has not ended".to_owned()));
    }
    let repository = whole.object("repository").text("full_name").unwrap_or_default();
    let ended = EndedWorkflow::read(&mut run, run_id, repository);
    Ok(ended.parse(input, body.warning.into_iter().chain(run.warnings).collect()))
}

/// The body inside a form, if the webhook is configured to send one.
fn form_field(input: &SenderInput<'_>) -> Option<Vec<u8>> {
    let kind = input.post.header("content-type")?;
    if !kind.starts_with("application/x-www-form-urlencoded") {
        return None;
    }
    let mut fields = url::form_urlencoded::parse(input.post.body);
    fields.find(|(name, _)| name == "payload").map(|(_, value)| value.into_owned().into_bytes())
}

/// A run that has ended.
struct EndedWorkflow {
    id: String,
    attempt: String,
    repository: String,
    source: Option<String>,
    file: String,
    title: Option<String>,
    branch: String,
    commit: Option<String>,
    event: String,
    conclusion: String,
    began: Option<Timestamp>,
    ended: Option<Timestamp>,
    link: Option<String>,
}

impl EndedWorkflow {
    fn read(run: &mut Object<'_>, id: String, repository: String) -> Self {
        let path = run.text("path").unwrap_or_default();
        // The path of a reusable workflow ends in `@ref`.
        let file = path.split('@').next().unwrap_or_default().rsplit('/').next().unwrap_or_default();
        Self {
            id,
            attempt: run.get("run_attempt").and_then(field_reader::text_of).unwrap_or_else(|| "1".to_owned()),
            repository,
            source: run.object("head_repository").text("full_name"),
            file: file.to_owned(),
            title: run.text("name"),
            branch: run.text("head_branch").unwrap_or_default(),
            commit: run.text("head_sha"),
            event: run.text("event").unwrap_or_default(),
            conclusion: run.text("conclusion").unwrap_or_default(),
            began: run.instant("run_started_at").or_else(|| run.instant("created_at")),
            ended: run.instant("updated_at"),
            link: field_reader::link(run.text("html_url")),
        }
    }

    fn parse(&self, input: &SenderInput<'_>, warnings: Vec<String>) -> ParsedBody {
        let Some(workflow) = input.sender.workflows.get(&self.file) else {
            return ParsedBody::Ignored(format!("the estate does not name workflow `{}`", one_line(&self.file, 80)));
        };
        if self.event.starts_with("pull_request")
            || self.source.as_ref().is_some_and(|source| *source != self.repository)
        {
            return ParsedBody::Ignored("it ran for a pull request or a fork".to_owned());
        }
        let base = Alert { warnings, ..self.base(input, workflow) };
        let alerts: Vec<Alert> = match self.conclusion.as_str() {
            "success" => self.recovered(workflow, &base).into_iter().chain(self.succeeded(workflow, &base)).collect(),
            failure if FAILURES.contains(&failure) => self.failed(workflow, &base).into_iter().collect(),
            other => {
                let reason = format!("the conclusion `{}` is neither a success nor a failure", one_line(other, 80));
                return ParsedBody::Ignored(reason);
            }
        };
        if alerts.is_empty() {
            return ParsedBody::Ignored(format!(
                "the estate has no alert for `{}` of `{}`",
                self.conclusion, self.file
            ));
        }
        ParsedBody::Alerts(alerts)
    }

    /// The fields that every alert of this run has.
    fn base(&self, input: &SenderInput<'_>, workflow: &Workflow) -> Alert {
        let labels = [
            ("workflow", Some(self.file.clone())),
            ("repository", Some(self.repository.clone())),
            ("branch", Some(self.branch.clone())),
            ("event", Some(self.event.clone())),
            ("conclusion", Some(self.conclusion.clone())),
            ("commit", self.commit.clone()),
            ("run_id", Some(self.id.clone())),
            ("run_attempt", Some(self.attempt.clone())),
        ];
        let title = self.title.as_deref().unwrap_or(&self.file);
        let labels = labels.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
        // A scheduled run is always on the default branch, so its branch does not show the environment.
        let deployed = Some(&self.branch)
            .filter(|_| self.event != "schedule")
            .and_then(|branch| input.sender.branches.get(branch));
        Alert {
            summary: Some(format!("{title} on {}: {}", self.branch, self.conclusion)),
            environment: workflow.environment.clone().or_else(|| deployed.cloned()),
            link: self.link.clone(),
            labels: labels.filter(|(_, value)| !value.is_empty()).collect(),
            ..Alert::default()
        }
    }

    /// The identity of the alert for failures of this workflow on this branch.
    fn identity(&self) -> String {
        format!("{} {} {}", self.repository, self.file, self.branch)
    }

    fn failed(&self, workflow: &Workflow, base: &Alert) -> Option<Alert> {
        let name = workflow.failure.clone()?;
        Some(Alert { firing: self.identity(), recurs: true, name, starts_at: self.ended, ..base.clone() })
    }

    fn recovered(&self, workflow: &Workflow, base: &Alert) -> Option<Alert> {
        let status = AlertStatus::Resolved;
        self.failed(workflow, base).map(|alert| Alert { status, starts_at: None, ends_at: self.ended, ..alert })
    }

    fn succeeded(&self, workflow: &Workflow, base: &Alert) -> Option<Alert> {
        let name = workflow.success.clone()?;
        let mut base = base.clone();
        if let Some(began) = self.began {
            base.annotations.insert("began".to_owned(), began.to_rfc3339_opts(SecondsFormat::Secs, true));
        }
        Some(Alert { firing: format!("run {} {}", self.id, self.attempt), name, starts_at: self.ended, ..base })
    }
}
