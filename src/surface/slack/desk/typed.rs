//! Typed commands: a function a word.

use serde_json::Value;

use super::super::block::{Button, Look};
use super::super::block::{Part, Sheet, text};
use super::super::card::Card;
use super::super::person::{self, Wish};
use super::super::press::{Deed, Press};
use super::super::question::{self, Waiting};
use super::super::word::{HELP, Typed, first};
use super::{Answer, Said, Visit, say};
use crate::domain::command::Request;
use crate::domain::decide::suggest;
use crate::domain::event::Gate;
use crate::domain::handover::Handover;
use crate::domain::id::StepKey;
use crate::domain::incident::Incident;
use crate::domain::text::one_line;

/// The most incidents that a list shows.
const LISTED: usize = 20;
/// The most questions that are shown at once.
const QUESTIONS: usize = 10;

impl Visit<'_> {
    pub(super) async fn typed(&self, typed: Typed) -> Said {
        match typed.verb.as_str() {
            "" => self.waiting().await,
            "help" => Ok(Answer::Say(help(None))),
            "start" => self.start_typed(typed.incident.clone(), &typed.rest).await,
            "status" | "watch" => {
                self.may(Wish::Look)?;
                Ok(Answer::Say(self.live(&self.meant_or_last(&typed).await?)))
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
            "cancel" => self.words(&typed, "Stopped", |reason| Request::Cancel { reason }).await,
            "ack" => {
                let by = self.may(Wish::Acknowledge)?;
                let incident = self.meant(&typed).await?;
                let incident = self.ask(&incident.id, by, Request::Acknowledge).await?;
                Ok(Answer::Say(say(&format!("{} is yours: {}", incident.id, incident.title))))
            }
            "approve" => self.approve(&typed).await,
            "deny" => self.deny(&typed).await,
            "answer" => self.answer(&typed).await,
            "note" => self.words(&typed, "Written down", Request::Note).await,
            "update" => self.words(&typed, "Stakeholders are being told", Request::Update).await,
            "role" => self.role(&typed).await,
            "severity" => {
                let severity = typed.rest.parse().map_err(|why: String| say(&super::capital(&why)))?;
                self.request(&typed, &format!("Severity {severity}"), Request::Regrade(severity)).await
            }
            "resolve" => {
                let summary = Some(typed.rest.clone()).filter(|words| !words.is_empty());
                self.request(&typed, "Resolved", Request::Resolve { summary }).await
            }
            "postmortem" => self.postmortem(&typed).await,
            "handoff" => self.handoff(&typed).await,
            other => Ok(Answer::Say(help(Some(other)))),
        }
    }

    /// Does something to the incident that is meant, and says so.
    pub(super) async fn request(&self, typed: &Typed, done: &str, request: Request) -> Said {
        self.may(Wish::Act)?;
        let incident = self.meant(typed).await?;
        self.act(&incident.id, request).await?;
        Ok(Answer::Say(say(&format!("{done}: {}", incident.id))))
    }

    async fn words(&self, typed: &Typed, done: &str, request: fn(String) -> Request) -> Said {
        if typed.rest.is_empty() {
            let what = if typed.verb == "cancel" { "reason" } else { "words" };
            return Err(say(&format!("Type `/runbook {} <{what}>`.", typed.verb)));
        }
        self.request(typed, done, request(typed.rest.clone())).await
    }

    /// What waits for a person, in every incident that is not over.
    async fn waiting(&self) -> Said {
        self.may(Wish::Look)?;
        let open = self.open().await?;
        let waiting: Vec<Waiting<'_>> = open.iter().flat_map(question::all).collect();
        let mut sheet = Sheet::default();
        let summary = match (open.len(), waiting.len()) {
            (0, _) => "Nothing waits for you: there is no open incident".to_owned(),
            (open, 0) => format!("Nothing waits for you; open incidents: {open}"),
            (_, waiting) => format!("Questions that wait for you: {waiting}"),
        };
        sheet.line(vec![Part::Strong(summary.clone())]);
        for one in waiting.iter().take(QUESTIONS) {
            sheet.note(&format!("{} {} {}", one.incident.severity, one.incident.id, one.incident.title));
            one.draw(&mut sheet);
        }
        if waiting.is_empty() {
            listed(&mut sheet, &open);
        }
        Ok(Answer::Say(Card { summary, sheet }))
    }

    async fn list(&self) -> Said {
        self.may(Wish::Look)?;
        let open = self.open().await?;
        let summary = format!("Open incidents: {}", open.len());
        let mut sheet = Sheet::default();
        sheet.line(vec![Part::Strong(summary.clone())]);
        listed(&mut sheet, &open);
        Ok(Answer::Say(Card { summary, sheet }))
    }

    /// Shows the change with its button; with the digest of what was shown, agrees at once.
    async fn approve(&self, typed: &Typed) -> Said {
        let incident = self.meant(typed).await?;
        let (step, digest) = typed.split();
        let step: Option<StepKey> =
            Some(step).filter(|step| !step.is_empty()).map(str::parse).transpose().map_err(|why: String| say(&why))?;
        if !digest.is_empty() {
            let by = person::actor(self.estate, &self.from.user);
            self.ask(&incident.id, by, Request::Approve { step, digest: Some(digest.to_owned()) }).await?;
            return Ok(Answer::Say(say(&format!("Agreed: {}", incident.id))));
        }
        self.may(Wish::Look)?;
        let changes = question::all(&incident).into_iter().filter(|one| {
            matches!(one.gate, Gate::Approve { .. }) && step.as_ref().is_none_or(|step| step == one.step)
        });
        let mut sheet = Sheet::default();
        let count = changes.take(QUESTIONS).map(|one| one.draw(&mut sheet)).count();
        if count == 0 {
            return Err(say(&format!("No change of {} waits for agreement.", incident.id)));
        }
        Ok(Answer::Say(Card { summary: "Look, then press the button".to_owned(), sheet }))
    }

    async fn deny(&self, typed: &Typed) -> Said {
        if typed.rest.is_empty() {
            return Err(say("Type `/runbook deny <reason>`."));
        }
        let by = person::actor(self.estate, &self.from.user);
        let incident = self.meant(typed).await?;
        self.ask(&incident.id, by, Request::Deny { step: None, reason: typed.rest.clone() }).await?;
        Ok(Answer::Say(say(&format!("Refused: {}", incident.id))))
    }

    /// The only question that waits, or the one whose step is named first.
    async fn answer(&self, typed: &Typed) -> Said {
        self.may(Wish::Act)?;
        let incident = self.meant(typed).await?;
        let asks = |gate: &Gate| matches!(gate, Gate::Ask { .. } | Gate::Manual { .. } | Gate::Unclear { .. });
        let questions: Vec<Waiting<'_>> = question::all(&incident).into_iter().filter(|one| asks(one.gate)).collect();
        let (word, rest) = typed.split();
        let named = questions.iter().find(|one| one.step.to_string() == word);
        let (step, words) = match (named, questions.as_slice()) {
            (Some(one), _) => (one.step.clone(), rest),
            (None, [only]) => (only.step.clone(), typed.rest.as_str()),
            (None, []) => return Err(say(&format!("{} asks nothing.", incident.id))),
            (None, several) => {
                let steps: Vec<String> = several.iter().map(|one| format!("`{}`", one.step)).collect();
                return Err(say(&format!(
                    "Name the step: `/runbook answer <step> <words>`, one of {}.",
                    steps.join(", ")
                )));
            }
        };
        let request = Request::Answer { step, value: Value::String(words.to_owned()) };
        self.act(&incident.id, request).await?;
        Ok(Answer::Say(say(&format!("Answered: {}", incident.id))))
    }

    /// `take`, `release` or `give` a role; a role alone is taken.
    async fn role(&self, typed: &Typed) -> Said {
        let (verb, rest) = typed.split();
        let (role, to) = first(rest);
        let request = match (verb, role, to) {
            ("take", role, "") if !role.is_empty() => Request::TakeRole { role: role.to_owned() },
            ("release", role, "") if !role.is_empty() => Request::ReleaseRole { role: role.to_owned() },
            ("give", role, to) if !to.is_empty() => Request::GiveRole { role: role.to_owned(), to: whom(to) },
            (role, "", _) if !role.is_empty() => Request::TakeRole { role: role.to_owned() },
            _ => {
                return Err(say(
                    "Type `/runbook role take <role>`, `role give <role> <person>` or `role release <role>`.",
                ));
            }
        };
        self.request(typed, "Roles changed", request).await
    }

    async fn postmortem(&self, typed: &Typed) -> Said {
        let incident = self.meant_or_last(typed).await?;
        if typed.rest == "complete" {
            self.act(&incident.id, Request::CompletePostmortem).await?;
            return Ok(Answer::Say(say(&format!("The post-mortem of {} is complete", incident.id))));
        }
        self.may(Wish::Look)?;
        Ok(Answer::Say(say(&match (&incident.completed, &incident.draft) {
            (Some(mark), _) => format!("{} completed the post-mortem of {}", mark.by.name(), incident.id),
            (None, Some(draft)) => format!(
                "The draft of {} is {}. Then type `/runbook postmortem {} complete`.",
                incident.id, draft.path, incident.id
            ),
            (None, None) => {
                format!("There is no draft of {} yet; it is written when the incident is over.", incident.id)
            }
        })))
    }

    async fn handoff(&self, typed: &Typed) -> Said {
        self.may(Wish::Look)?;
        let incident = self.meant_or_last(typed).await?;
        let log = self.desk.engine.log(&incident.id).await.map_err(|error| super::no(&error))?;
        let now = self.desk.engine.parts().clock.now();
        let handover = Handover::of(&incident, &log, now);
        let Card { summary, mut sheet } = self.live(&incident);
        let roles =
            handover.roles.iter().map(|one| format!("{}: {}", one.role, one.person.as_deref().unwrap_or("nobody")));
        let parts = [
            ("Who", roles.collect()),
            ("Waits", handover.waits),
            ("Deadlines", handover.deadlines),
            ("Known", handover.known),
            ("Done", handover.done),
            ("Told", handover.told),
            ("Said", handover.said),
        ];
        for (title, lines) in parts.into_iter().filter(|(_, lines)| !lines.is_empty()) {
            let title = vec![Part::Strong(title.to_owned())];
            sheet.lines(std::iter::once(title).chain(lines.into_iter().map(|line| vec![text(line)])));
        }
        Ok(Answer::Say(Card { summary, sheet }))
    }
}

/// `<@U024BE7LH|ada>`, as Slack writes a mention when it is told to; else the word itself.
fn whom(word: &str) -> String {
    let id = word.strip_prefix("<@").and_then(|rest| rest.split(['|', '>']).next());
    id.map_or_else(|| word.to_owned(), |id| format!("slack:{id}"))
}

fn listed(sheet: &mut Sheet, open: &[Incident]) {
    for incident in open.iter().take(LISTED) {
        let words = format!(" {} {} on {}", incident.severity, one_line(&incident.title, 100), incident.environment);
        sheet.line(vec![Part::Code(incident.id.to_string()), text(words)]);
        let value = Press { incident: incident.id.clone(), deed: Deed::Status }.encoded();
        sheet.buttons([Button { label: format!("Show {}", incident.id), value, look: Look::Plain, confirm: None }]);
    }
}

fn help(unknown: Option<&str>) -> Card {
    let mut sheet = Sheet::default();
    let mut lines = Vec::new();
    if let Some(word) = unknown {
        let known: Vec<&str> = HELP.iter().filter_map(|(typed, _)| typed.split(' ').nth(1)).collect();
        let near = suggest(word, &known, "/runbook");
        lines.push(vec![Part::Strong(format!("There is no `{}`. {near}", one_line(word, 40)))]);
    }
    lines.extend(HELP.iter().map(|(typed, what)| vec![Part::Code((*typed).to_owned()), text(format!(" {what}"))]));
    sheet.lines(lines);
    Card { summary: "What `/runbook` can do".to_owned(), sheet }
}
