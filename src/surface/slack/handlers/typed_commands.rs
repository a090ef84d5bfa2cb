//! Typed commands: selects the function for each command, and has those that need no file of their own.

use super::super::parse::command::{HELP, Typed, first};
use super::super::parse::identity::Permission;
use super::super::render::block_kit::{Blocks, Text, text};
use super::super::render::card::Card;
use super::questions::done;
use super::{HandlerReply, HandlerResult, Interaction, reply_text};
use crate::domain::core::suggest::{did_you_mean, nearest};
use crate::domain::core::text::one_line;
use crate::domain::incident::command::Request;

/// The commands whose only argument is an incident.
const INCIDENT_ONLY: [&str; 7] = ["status", "watch", "timeline", "page", "verify", "handoff", "ack"];

impl Interaction<'_> {
    pub(super) async fn typed(&self, typed: Typed) -> HandlerResult {
        let typed = if INCIDENT_ONLY.contains(&typed.verb.as_str()) { self.with_incident(typed).await? } else { typed };
        match typed.verb.as_str() {
            "" => self.waiting().await,
            "help" => Ok(HandlerReply::Message(help())),
            "start" => self.start_typed(&typed).await,
            "status" | "watch" => {
                self.may(Permission::Read)?;
                Ok(HandlerReply::Message(self.live(&self.incident_or_last(&typed).await?)))
            }
            "list" => self.list().await,
            "incidents" => self.latest().await,
            "timeline" => self.timeline(&typed).await,
            "page" => self.page(&typed).await,
            "show" => self.show(&typed).await,
            "verify" => self.verify(&typed).await,
            "retry" => self.retry(&typed).await,
            "skip" => self.skip(&typed).await,
            "undo" => self.undo(&typed).await,
            "cancel" => self.text_request(&typed, "Cancelled", |reason| Request::Cancel { reason }).await,
            "ack" => {
                let by = self.may_typed(&typed, Permission::Acknowledge).await?;
                let incident = self.target_incident(&typed).await?;
                Ok(done("Acknowledged", &self.ask(&incident.id, by, Request::Acknowledge).await?))
            }
            "approve" => self.approve(&typed).await,
            "deny" => self.deny(&typed).await,
            "answer" => self.answer(&typed).await,
            "note" => self.text_request(&typed, "Note added", Request::Note).await,
            "update" => self.text_request(&typed, "The update is being sent", Request::Update).await,
            "role" => self.role(&typed).await,
            "severity" => self.severity(&typed).await,
            "resolve" => {
                let summary = Some(typed.rest.clone()).filter(|words| !words.is_empty());
                self.request(&typed, "Resolved", Request::Resolve { summary }).await
            }
            "postmortem" => self.postmortem(&typed).await,
            "handoff" => self.handoff(&typed).await,
            other => Err(reply_text(&unknown_command(other))),
        }
    }

    /// Submits a request to the incident of the command, and confirms it.
    pub(super) async fn request(&self, typed: &Typed, what: &str, request: Request) -> HandlerResult {
        self.may_typed(typed, Permission::Act).await?;
        let incident = self.target_incident(typed).await?;
        Ok(done(what, &self.act(&incident.id, request).await?))
    }

    /// As [`request`](Self::request), for a command whose argument is free text.
    async fn text_request(&self, typed: &Typed, what: &str, request: fn(String) -> Request) -> HandlerResult {
        if typed.rest.is_empty() {
            let argument = if typed.verb == "cancel" { "reason" } else { "text" };
            return Err(reply_text(&format!("Type `/runbook {} <{argument}>`.", typed.verb)));
        }
        self.request(typed, what, request(typed.rest.clone())).await
    }

    async fn severity(&self, typed: &Typed) -> HandlerResult {
        self.may_typed(typed, Permission::Act).await?;
        self.target_incident(typed).await?;
        let severity = typed.rest.to_lowercase().parse().map_err(|_| {
            let word = one_line(&typed.rest, 40);
            let wrong = if word.is_empty() { String::new() } else { format!("`{word}` is no severity. ") };
            reply_text(&format!("{wrong}Type `/runbook severity p1`, or one of p2, p3, p4."))
        })?;
        self.request(typed, &format!("Severity {severity}"), Request::ChangeSeverity(severity)).await
    }

    /// Handles `role take`, `role release` and `role give`. `role <role>` takes the role.
    async fn role(&self, typed: &Typed) -> HandlerResult {
        let (verb, rest) = typed.split();
        let (role, to) = first(rest);
        let (what, request) = match (verb, role, to) {
            ("take" | "give" | "release", "", _) | ("", ..) | ("give", _, "") => return Err(reply_text(&self.roles())),
            ("take", role, "") => (format!("You are {role}"), Request::TakeRole { role: role.to_owned() }),
            ("release", role, "") => (format!("Nobody is {role}"), Request::ReleaseRole { role: role.to_owned() }),
            ("give", role, to) => {
                (format!("{to} is {role}"), Request::GiveRole { role: role.to_owned(), to: whom(to) })
            }
            (role, "", _) => (format!("You are {role}"), Request::TakeRole { role: role.to_owned() }),
            _ => return Err(reply_text(&self.roles())),
        };
        self.request(typed, &one_line(&what, 80), request).await
    }

    fn roles(&self) -> String {
        let known: Vec<&str> = self.estate.roles.keys().map(String::as_str).collect();
        let known = if known.is_empty() { "the estate names none".to_owned() } else { known.join(", ") };
        format!(
            "Type `/runbook role take <role>`, `/runbook role give <role> <person>` or `/runbook role release <role>`. Roles: {known}."
        )
    }

    async fn postmortem(&self, typed: &Typed) -> HandlerResult {
        let incident = self.incident_or_last(typed).await?;
        if matches!(typed.rest.as_str(), "complete" | "done" | "--done") {
            self.may_typed(typed, Permission::Act).await?;
            return Ok(done(
                "The post-mortem is complete",
                &self.act(&incident.id, Request::CompletePostmortem).await?,
            ));
        }
        self.may(Permission::Read)?;
        let id = &incident.id;
        let mut line = Vec::new();
        match (&incident.completed, &incident.draft) {
            (Some(mark), _) => {
                line.extend([
                    text(format!("{} completed the post-mortem of {id} ", mark.by.name())),
                    Text::Time(mark.at),
                ]);
            }
            (None, Some(draft)) => {
                line.push(text(format!("The draft of {id} is {}. When it is complete: ", draft.path)));
                line.push(Text::Code(format!("/runbook postmortem {id} complete")));
            }
            (None, None) => {
                line.push(text(format!("There is no draft of {id} yet; it is written when the incident is over. ")));
                line.push(Text::Code(format!("/runbook status {id}")));
            }
        }
        if let Some(url) = self.handlers.engine.page_link(id).filter(|_| incident.draft.is_some()) {
            line.extend([text(" · "), Text::Link { url, words: "Read it" }]);
        }
        let mut blocks = Blocks::default();
        blocks.line(line);
        Ok(HandlerReply::Message(Card { summary: format!("The post-mortem of {id}"), blocks }))
    }
}

/// Parses a person: a mention as Slack encodes it (`<@U024BE7LH|ada>`), `@ada`, or a plain name.
fn whom(word: &str) -> String {
    let id = word.strip_prefix("<@").and_then(|rest| rest.split(['|', '>']).next());
    id.map_or_else(|| word.trim_start_matches('@').to_owned(), |id| format!("slack:{id}"))
}

fn unknown_command(word: &str) -> String {
    let commands = HELP.iter().filter_map(|(typed, _)| typed.split(' ').nth(1));
    let near = nearest(word, commands).map(|near| did_you_mean(&format!("/runbook {near}")) + " ").unwrap_or_default();
    format!("There is no command `{}`. {near}`/runbook help` lists all commands.", one_line(word, 40))
}

fn help() -> Card {
    let mut blocks = Blocks::default();
    blocks.lines(HELP.iter().map(|(typed, what)| vec![Text::Code((*typed).to_owned()), text(format!(" {what}"))]));
    blocks.note(
        "If more than one incident is open, name it after the command: /runbook note lusab-fidok the disk is full",
    );
    blocks.note("If more than one run has the step, put the run's number before it: /runbook answer 2:cause load");
    Card { summary: "Commands of `/runbook`".to_owned(), blocks }
}
