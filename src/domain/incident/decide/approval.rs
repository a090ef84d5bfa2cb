//! Approving and denying a change: whether it waits, whether it is the same change, and whether the person may.
//!
//! **Invariant:** every such refusal is recorded with the person, up to a limit.

use super::required_text;
use super::step::{run, unchanged};
use super::step_verb::StepVerb;
use crate::domain::core::id::{RunId, StepKey};
use crate::domain::core::text::one_line;
use crate::domain::core::time::Timestamp;
use crate::domain::incident::Incident;
use crate::domain::incident::command::target::{StepReference, StepTarget};
use crate::domain::incident::command::{Refused, TEXT_LIMIT};
use crate::domain::incident::event::{Actor, ApprovalRefusal, ApprovalRefusalCause, Event, Gate, RoleEvent, StepEvent};
use crate::domain::incident::permission::{approvers, is_one_of, person_key};
use crate::domain::incident::run::Run;

/// The fewest characters that identify a digest; git uses seven in a small repository.
const DIGEST_MIN: usize = 8;
/// The most refusals that one incident records, so that repeated attempts do not fill the log.
const REFUSALS_LIMIT: u32 = 200;
/// The number of recorded refusals from which those of unknown users are no longer recorded. The rest is for approvals.
const UNKNOWN_USERS_LIMIT: u32 = 100;

/// The record of a refused approval or denial, without its cause.
pub(super) struct RefusalRecord<'a> {
    pub run: Option<RunId>,
    pub step: Option<&'a StepKey>,
    /// The digest that the person gave.
    pub digest: Option<&'a str>,
}

impl<'a> RefusalRecord<'a> {
    fn of(target: &'a StepTarget, digest: Option<&'a str>) -> Self {
        Self { run: Some(target.run), step: Some(&target.step), digest }
    }

    /// The refusal with this record, unless the incident has too many.
    pub(super) fn attach(&self, incident: &Incident, cause: ApprovalRefusalCause, refused: Refused) -> Refused {
        if incident.refusals >= REFUSALS_LIMIT {
            return refused;
        }
        let event = Event::Role(RoleEvent::ApprovalRefused(ApprovalRefusal {
            run: self.run,
            step: self.step.cloned(),
            digest: self.digest.map(|digest| one_line(digest, 64)),
            cause,
            reason: one_line(&refused.message, TEXT_LIMIT),
        }));
        refused.recorded(event)
    }
}

pub(super) fn approve(
    incident: &Incident,
    by: &Actor,
    target: &StepTarget,
    seen: &str,
    now: Timestamp,
) -> Result<Vec<Event>, Refused> {
    let record = RefusalRecord::of(target, Some(seen));
    let (run, gate) = waiting(incident, target, &record, StepVerb::Approve)?;
    let Gate::Approve { by: roles, digest, not_requester, expires_at, given, .. } = gate else {
        return Err(Refused::usage("no change waits for agreement"));
    };
    let step = &target.step;
    let refuse = |cause, refused| Err(record.attach(incident, cause, refused));
    if expires_at.is_some_and(|at| now >= at) {
        let refused = Refused::usage(format!("the approval request for `{step}` has expired"));
        let again = incident.reference(run.id, step).shell_word();
        let again = format!("Ask again: `runbook retry {} {again}`.", incident.id);
        return refuse(ApprovalRefusalCause::Expired, refused.hint(again));
    }
    if !matches_digest(seen, digest) {
        let refused = Refused::usage(format!("the change of `{step}` differs from the one that you saw"));
        return refuse(
            ApprovalRefusalCause::AnotherPlan,
            refused.hint(format!("Look again: `runbook watch {}`.", incident.id)),
        );
    }
    if let Err(refused) = unchanged(incident, target) {
        return refuse(ApprovalRefusalCause::AnotherPlan, refused);
    }
    if let Err(refused) = may(incident, run, by, roles) {
        return refuse(ApprovalRefusalCause::WrongPerson, refused);
    }
    let person = person_key(&run.estate, by);
    if *not_requester && person == person_key(&run.estate, &run.by) {
        let refused = Refused::not_allowed(format!("`{}` has started this, and somebody else must agree", by.name()));
        return refuse(ApprovalRefusalCause::Requester, refused.hint(whom_to_ask(run, roles)));
    }
    if given.contains(&person) {
        let refused = Refused::not_allowed(format!("`{}` has agreed already, and somebody else is wanted", by.name()));
        return refuse(ApprovalRefusalCause::Twice, refused.hint(whom_to_ask(run, roles)));
    }
    Ok(vec![Event::Step(StepEvent::Approved {
        run: run.id,
        step: step.clone(),
        digest: digest.clone(),
        person: Some(person),
    })])
}

pub(super) fn deny(incident: &Incident, by: &Actor, target: &StepTarget, reason: &str) -> Result<Vec<Event>, Refused> {
    let record = RefusalRecord::of(target, None);
    let (run, gate) = waiting(incident, target, &record, StepVerb::Deny)?;
    unchanged(incident, target)
        .map_err(|refused| record.attach(incident, ApprovalRefusalCause::AnotherPlan, refused))?;
    if let Gate::Approve { by: roles, .. } = gate {
        may(incident, run, by, roles)
            .map_err(|refused| record.attach(incident, ApprovalRefusalCause::WrongPerson, refused))?;
    }
    let reason = required_text("reason", reason)?;
    Ok(vec![Event::Step(StepEvent::Denied { run: run.id, step: target.step.clone(), reason })])
}

/// The run of a target and the gate at which its change waits.
fn waiting<'a>(
    incident: &'a Incident,
    target: &StepTarget,
    record: &RefusalRecord<'_>,
    verb: StepVerb,
) -> Result<(&'a Run, &'a Gate), Refused> {
    let run = run(incident, target)?;
    let checked = verb.check(incident, run, &target.step);
    checked.map_err(|refused| record.attach(incident, ApprovalRefusalCause::NotWaiting, refused))?;
    let gate = run.state(&target.step).and_then(|state| state.gate());
    gate.map(|gate| (run, gate)).ok_or_else(|| Refused::usage("no change waits for agreement"))
}

/// Whether `typed` is the digest, or at least [`DIGEST_MIN`] characters of its beginning.
pub(super) fn matches_digest(typed: &str, digest: &str) -> bool {
    typed.len() >= DIGEST_MIN && digest.starts_with(typed)
}

/// The event that an interface refused a request of an unknown user, unless the incident has too many.
pub(super) fn refuse_unknown_user(
    incident: &Incident,
    by: &Actor,
    step: Option<&StepReference>,
    wanted: &str,
) -> Vec<Event> {
    if incident.refusals >= UNKNOWN_USERS_LIMIT {
        return Vec::new();
    }
    let refused = Refused::not_allowed(format!("`{}` may not {wanted}", by.name()));
    let (run, step) = (step.and_then(|step| step.run), step.map(|step| &step.step));
    let recorded =
        RefusalRecord { run, step, digest: None }.attach(incident, ApprovalRefusalCause::UnknownUser, refused).record;
    recorded.into_iter().map(|event| *event).collect()
}

fn may(incident: &Incident, run: &Run, by: &Actor, roles: &[String]) -> Result<(), Refused> {
    if is_one_of(incident, &run.estate, by, roles) {
        return Ok(());
    }
    let wanted = if roles.is_empty() { "one of the estate's `people`".to_owned() } else { roles.join(" or ") };
    let refused = Refused::not_allowed(format!("`{}` is not {wanted}", by.name()));
    Err(refused.hint(whom_to_ask(run, roles)))
}

/// A sentence that names the people who may approve.
fn whom_to_ask(run: &Run, roles: &[String]) -> String {
    let names = approvers(&run.estate, roles);
    if names.is_empty() { "Ask anybody else.".to_owned() } else { format!("Ask one of: {}.", names.join(", ")) }
}
