//! From what a person typed to the one step that is meant.
//!
//! **Invariant:** exactly one step that the command makes sense for becomes the target. Of several none is chosen.

use super::approval::{ApprovalRequest, names_digest};
use super::step_verb::StepVerb;
use super::suggest;
use crate::domain::core::id::{RunId, StepKey, StepPart};
use crate::domain::incident::Incident;
use crate::domain::incident::command::Refused;
use crate::domain::incident::command::target::{StepReference, StepTarget};
use crate::domain::incident::event::{Gate, RefusalCause};
use crate::domain::incident::run::Run;

/// The most steps that a refusal lists.
const LISTED: usize = 8;

/// A step that the command makes sense for.
type Candidate<'a> = (&'a Run, &'a StepKey);

/// The one step that `verb` makes sense for among those that `typed` stands for; of all that wait when nothing is typed.
///
/// # Errors
/// There is none, or more than one.
pub fn target(incident: &Incident, verb: StepVerb, typed: Option<&StepReference>) -> Result<StepTarget, Refused> {
    only(incident, verb, &candidates(incident, verb, typed, None)?)
}

/// The one change that waits for approval among those that `typed` stands for, with its digest. A digest that was typed is
/// kept; of several changes it chooses the one that it belongs to.
///
/// # Errors
/// There is none, or more than one.
pub fn change(
    incident: &Incident,
    typed: Option<&StepReference>,
    digest: Option<&str>,
) -> Result<(StepTarget, String), Refused> {
    let mut found = candidates(incident, StepVerb::Approve, typed, digest)?;
    let shown = |(run, step): &Candidate<'_>| match run.state(step).and_then(|state| state.gate()) {
        Some(Gate::Approve { digest, .. }) => digest.clone(),
        _ => String::new(),
    };
    if let (true, Some(digest)) = (found.len() > 1, digest)
        && let Some(one) = found.iter().copied().find(|one| names_digest(digest, &shown(one)))
    {
        // A digest is made of its incident, run, step and question: no other change has it.
        found = vec![one];
    }
    let target = only(incident, StepVerb::Approve, &found)?;
    let present = found.first().map(shown).unwrap_or_default();
    Ok((target, digest.map_or(present, str::to_owned)))
}

/// Whether `verb` makes sense for any step that `typed` stands for.
pub fn fits(incident: &Incident, verb: StepVerb, typed: &StepReference) -> bool {
    candidates(incident, verb, Some(typed), None).is_ok()
}

fn only(incident: &Incident, verb: StepVerb, found: &[Candidate<'_>]) -> Result<StepTarget, Refused> {
    match found {
        [(run, step)] => Ok(incident.target(run.id, step)),
        several => Err(ambiguous(incident, verb, several)),
    }
}

/// The steps that the command makes sense for: one at least.
fn candidates<'a>(
    incident: &'a Incident,
    verb: StepVerb,
    typed: Option<&'a StepReference>,
    digest: Option<&str>,
) -> Result<Vec<Candidate<'a>>, Refused> {
    let run = typed.and_then(|typed| typed.run);
    let asked = ApprovalRequest { run, step: typed.map(|typed| &typed.step), digest };
    fitting(incident, verb, typed).map_err(|refused| match verb {
        StepVerb::Approve | StepVerb::Deny => asked.record(incident, RefusalCause::NotWaiting, refused),
        StepVerb::Answer | StepVerb::Retry | StepVerb::Skip | StepVerb::Undo => refused,
    })
}

fn fitting<'a>(
    incident: &'a Incident,
    verb: StepVerb,
    typed: Option<&'a StepReference>,
) -> Result<Vec<Candidate<'a>>, Refused> {
    let (mut fitting, mut refusals) = (Vec::new(), Vec::new());
    let places = places(incident, typed)?;
    for &(run, step) in &places {
        match verb.check(incident, run, step) {
            Ok(()) => fitting.push((run, step)),
            Err(refused) => refusals.push((run, refused)),
        }
    }
    if !fitting.is_empty() {
        if verb == StepVerb::Undo {
            // A step that was undone in one run does not show that the step of another run is meant.
            let is_undone = |(run, step): &Candidate<'_>| run.state(&step.part(StepPart::Undo)).is_some();
            fitting.extend(places.into_iter().filter(is_undone));
            fitting.sort_by_key(|(run, _)| run.id);
        }
        return Ok(fitting);
    }
    let Some(StepReference { step, .. }) = typed else { return Err(nothing(incident, verb)) };
    // Of several runs that have the step, one that waits for something says why not; otherwise the latest.
    let waits = |run: &Run| run.state(step).is_some_and(|state| state.gate().is_some());
    let told = refusals.into_iter().max_by_key(|(run, _)| (waits(run), run.id));
    Err(told.map_or_else(|| nothing(incident, verb), |(_, refused)| refused))
}

/// The places that were typed, in every run that is meant and has them; everything that waits when nothing was typed.
fn places<'a>(incident: &'a Incident, typed: Option<&'a StepReference>) -> Result<Vec<Candidate<'a>>, Refused> {
    let Some(StepReference { run, step }) = typed else {
        let waiting = incident.waiting_for_person().into_iter();
        return Ok(waiting.filter_map(|(run, step, _)| Some((incident.run(run)?, step))).collect());
    };
    if let Some(id) = run
        && incident.run(*id).is_none()
    {
        let runs = incident.runs.iter().map(|run| format!("{} (`{}`)", run.id, run.runbook.id));
        return Err(Refused::usage(format!("there is no run {id}"))
            .hint(format!("Runs: {}.", runs.collect::<Vec<_>>().join(", "))));
    }
    let meant = || incident.runs.iter().filter(|one| run.is_none_or(|run| run == one.id));
    let places: Vec<Candidate<'a>> = meant().filter(|run| run.has(step)).map(|run| (run, step)).collect();
    if places.is_empty() {
        return Err(unknown(step, *run, &meant().collect::<Vec<_>>()));
    }
    Ok(places)
}

/// No run that is meant has such a step.
fn unknown(step: &StepKey, run: Option<RunId>, runs: &[&Run]) -> Refused {
    let mut known: Vec<&str> = Vec::new();
    for step in runs.iter().flat_map(|run| run.runbook.all_steps()) {
        if !known.contains(&step.id.as_str()) {
            known.push(&step.id);
        }
    }
    let (message, lead) = match run {
        Some(run) => (format!("run {run} has no step `{step}`"), format!("{run}:")),
        None => (format!("there is no step `{step}`"), String::new()),
    };
    // A step that is known has no such item or part.
    let refused = Refused::usage(message);
    if known.contains(&step.id.as_str()) { refused } else { refused.hint(suggest(&step.id, &known, &lead)) }
}

/// Nothing was typed, and nothing waits.
fn nothing(incident: &Incident, verb: StepVerb) -> Refused {
    let message = match verb {
        StepVerb::Answer => "no question waits for an answer",
        StepVerb::Approve | StepVerb::Deny => "no change waits for agreement",
        StepVerb::Retry => "no step has failed and waits",
        StepVerb::Skip => "no step waits",
        StepVerb::Undo => "no change that waits can be undone",
    };
    Refused::usage(message).hint(format!("See what waits: `runbook watch {}`.", incident.id))
}

/// More than one step is meant: each as it is typed, and the command for the first.
fn ambiguous(incident: &Incident, verb: StepVerb, several: &[Candidate<'_>]) -> Refused {
    let message = match verb {
        StepVerb::Answer => "more than one question waits for an answer",
        StepVerb::Approve | StepVerb::Deny => "more than one change waits for agreement",
        StepVerb::Retry => "more than one step can be tried again",
        StepVerb::Skip => "more than one step can be skipped",
        StepVerb::Undo => "more than one run has changed something at this step",
    };
    let named =
        |(run, step): &Candidate<'_>| format!("`{}` (runbook `{}`)", incident.reference(run.id, step), run.runbook.id);
    let mut listed: Vec<String> = several.iter().take(LISTED).map(named).collect();
    if several.len() > LISTED {
        listed.push(format!("{} more", several.len() - LISTED));
    }
    let example = several.iter().find(|(run, step)| verb.check(incident, run, step).is_ok());
    let example = example.map(|(run, step)| incident.reference(run.id, step).to_string()).unwrap_or_default();
    let (name, arguments, id) = (verb.name(), verb.arguments(), &incident.id);
    Refused::usage(format!("{message}: {}", listed.join(", ")))
        .hint(format!("Name one: `runbook {name} {id} {example}{arguments}`."))
}
