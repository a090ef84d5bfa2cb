//! Whether a person may approve or deny a change.
//!
//! **Invariant:** a refusal because of the person, the plan or the time is recorded with who asked; no other refusal is.

use super::required_text;
use crate::domain::core::id::{RunId, StepKey};
use crate::domain::core::text::one_line;
use crate::domain::core::time::Timestamp;
use crate::domain::incident::Incident;
use crate::domain::incident::command::{Refused, WORDS_LIMIT};
use crate::domain::incident::event::{Actor, Event, Gate, RoleEvent, StepEvent};
use crate::domain::incident::permission::{ApprovalRefusal, RefusalCause, counted, is_one_of, named};
use crate::domain::incident::run::Run;

/// The fewest characters of a digest that name it: what git takes for unmistakable in a small repository is seven.
const DIGEST_SHORTEST: usize = 8;
/// The most refusals that one incident records: who goes on asking fills no log.
const REFUSALS_LIMIT: u32 = 200;
/// How many of them are recorded at most when a stranger is turned away: the others are kept for agreement.
const STRANGERS_LIMIT: u32 = 100;

/// A change that waits.
struct WaitingChange<'a> {
    run: &'a Run,
    step: StepKey,
    gate: &'a Gate,
}

/// What was asked, for the record of a no.
struct ApprovalRequest<'a> {
    incident: &'a Incident,
    step: Option<&'a StepKey>,
    digest: Option<&'a str>,
}

impl ApprovalRequest<'_> {
    fn no(&self, run: Option<RunId>, step: Option<&StepKey>, cause: RefusalCause, refused: Refused) -> Refused {
        if self.incident.refusals >= REFUSALS_LIMIT {
            return refused;
        }
        let event = Event::Role(RoleEvent::ApprovalRefused(ApprovalRefusal {
            run,
            step: step.or(self.step).cloned(),
            digest: self.digest.map(|digest| one_line(digest, 64)),
            cause,
            reason: one_line(&refused.message, WORDS_LIMIT),
        }));
        refused.recorded(event)
    }
}

pub(super) fn approve(
    incident: &Incident,
    by: &Actor,
    step: Option<&StepKey>,
    seen: Option<&str>,
    now: Timestamp,
) -> Result<Vec<Event>, Refused> {
    let asked = ApprovalRequest { incident, step, digest: seen };
    let change = change(&asked)?;
    let WaitingChange { run, step, gate } = &change;
    let Gate::Approve { by: roles, digest, not_requester, expires_at, given, .. } = gate else {
        return Err(Refused::usage("no change waits for agreement"));
    };
    let no = |cause, refused| Err(asked.no(Some(run.id), Some(step), cause, refused));
    if expires_at.is_some_and(|at| now >= at) {
        let refused = Refused::usage(format!("the time to agree to `{step}` is over"));
        return no(RefusalCause::Expired, refused.hint(format!("Ask again: `runbook retry {} {step}`.", incident.id)));
    }
    if seen.is_some_and(|seen| seen.len() < DIGEST_SHORTEST || !digest.starts_with(seen)) {
        let refused = Refused::usage(format!("what `{step}` would do has changed since, or that was another question"));
        return no(RefusalCause::AnotherPlan, refused.hint(format!("Look again: `runbook watch {}`.", incident.id)));
    }
    if let Err(refused) = may(incident, run, by, roles) {
        return no(RefusalCause::WrongPerson, refused);
    }
    let person = counted(&run.estate, by);
    if *not_requester && person == counted(&run.estate, &run.by) {
        let refused = Refused::not_allowed(format!("`{}` has started this, and somebody else must agree", by.name()));
        return no(RefusalCause::Requester, refused.hint(who(run, roles)));
    }
    if given.contains(&person) {
        let refused = Refused::not_allowed(format!("`{}` has agreed already, and somebody else is wanted", by.name()));
        return no(RefusalCause::Twice, refused.hint(who(run, roles)));
    }
    Ok(vec![Event::Step(StepEvent::Approved {
        run: run.id,
        step: step.clone(),
        digest: digest.clone(),
        person: Some(person),
    })])
}

pub(super) fn deny(
    incident: &Incident,
    by: &Actor,
    step: Option<&StepKey>,
    reason: &str,
) -> Result<Vec<Event>, Refused> {
    let asked = ApprovalRequest { incident, step, digest: None };
    let WaitingChange { run, step, gate } = change(&asked)?;
    if let Gate::Approve { by: roles, .. } = gate
        && let Err(refused) = may(incident, run, by, roles)
    {
        return Err(asked.no(Some(run.id), Some(&step), RefusalCause::WrongPerson, refused));
    }
    Ok(vec![Event::Step(StepEvent::Denied { run: run.id, step, reason: required_text("reason", reason)? })])
}

/// That somebody was turned away by a face, as long as there is room for it.
pub(super) fn refuse_unknown_user(incident: &Incident, by: &Actor, step: Option<&StepKey>, wanted: &str) -> Vec<Event> {
    if incident.refusals >= STRANGERS_LIMIT {
        return Vec::new();
    }
    let refused = Refused::not_allowed(format!("`{}` may not {wanted}", by.name()));
    let asked = ApprovalRequest { incident, step, digest: None };
    let recorded = asked.no(None, None, RefusalCause::Stranger, refused).record;
    recorded.into_iter().map(|event| *event).collect()
}

/// The change that a person speaks of: the step named, or the only one that waits.
fn change<'a>(asked: &ApprovalRequest<'a>) -> Result<WaitingChange<'a>, Refused> {
    let (incident, step) = (asked.incident, asked.step);
    let mut open = incident.waiting_for_person().into_iter().filter_map(|(run, key, gate)| {
        let fits = matches!(gate, Gate::Approve { .. }) && step.is_none_or(|step| step == key);
        Some(WaitingChange { run: incident.run(run).filter(|_| fits)?, step: key.clone(), gate })
    });
    let none = |refused| Err(asked.no(None, None, RefusalCause::NotWaiting, refused));
    match (open.next(), open.next(), step) {
        (Some(one), None, _) => Ok(one),
        (Some(one), Some(two), _) => Err(Refused::usage("more than one change waits for agreement")
            .hint(format!("Name one: `{}`, `{}` …", one.step, two.step))),
        (None, _, Some(step)) => none(
            Refused::usage(format!("`{step}` does not wait for agreement"))
                .hint(format!("See what waits: `runbook watch {}`.", incident.id)),
        ),
        (None, _, None) => none(Refused::usage("no change waits for agreement")),
    }
}

fn may(incident: &Incident, run: &Run, by: &Actor, roles: &[String]) -> Result<(), Refused> {
    if is_one_of(incident, &run.estate, by, roles) {
        return Ok(());
    }
    let wanted = if roles.is_empty() { "one of the estate's `people`".to_owned() } else { roles.join(" or ") };
    let refused = Refused::not_allowed(format!("`{}` is not {wanted}", by.name()));
    Err(refused.hint(who(run, roles)))
}

/// A sentence that says whom to ask.
fn who(run: &Run, roles: &[String]) -> String {
    let names = named(&run.estate, roles);
    if names.is_empty() { "Ask anybody else.".to_owned() } else { format!("Ask one of: {}.", names.join(", ")) }
}
