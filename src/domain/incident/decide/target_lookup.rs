//! Resolves the step reference that a person typed to the target of a command.
//!
//! **Invariant:** the target is the only step that the reference matches and the command fits. Of several, none is
//! chosen unless a digest selects one.

use super::approval::{RefusalRecord, matches_digest};
use super::step_verb::StepVerb;
use super::suggest;
use crate::domain::core::id::{RunId, StepKey, StepPart};
use crate::domain::incident::Incident;
use crate::domain::incident::command::Refused;
use crate::domain::incident::command::target::{StepReference, StepTarget};
use crate::domain::incident::event::{ApprovalRefusalCause, Gate};
use crate::domain::incident::run::Run;

/// The most steps that a refusal lists.
const LISTED: usize = 8;

/// A step of a run that the reference matches.
type Candidate<'a> = (&'a Run, &'a StepKey);

/// The only step that `typed` matches and `verb` fits. Without a reference, every step that waits for a person is considered.
///
/// # Errors
/// There is none, or more than one.
pub fn target(incident: &Incident, verb: StepVerb, typed: Option<&StepReference>) -> Result<StepTarget, Refused> {
    only(incident, verb, &candidates(incident, verb, typed, None)?)
}

/// The only change that `typed` matches and that waits for approval, with its digest. If several changes match, `digest` selects
/// one. A typed digest is returned unchanged.
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
        && let Some(one) = found.iter().copied().find(|one| matches_digest(digest, &shown(one)))
    {
        // No two requests for approval have the same digest.
        found = vec![one];
    }
    let target = only(incident, StepVerb::Approve, &found)?;
    let present = found.first().map(shown).unwrap_or_default();
    Ok((target, digest.map_or(present, str::to_owned)))
}

/// Whether `verb` fits any step that `typed` matches.
pub fn fits(incident: &Incident, verb: StepVerb, typed: &StepReference) -> bool {
    candidates(incident, verb, Some(typed), None).is_ok()
}

fn only(incident: &Incident, verb: StepVerb, found: &[Candidate<'_>]) -> Result<StepTarget, Refused> {
    match found {
        [(run, step)] => Ok(incident.target(run.id, step)),
        several => Err(ambiguous(incident, verb, several)),
    }
}

/// The steps that `typed` matches and `verb` fits: at least one. A refused approval is recorded.
fn candidates<'a>(
    incident: &'a Incident,
    verb: StepVerb,
    typed: Option<&'a StepReference>,
    digest: Option<&str>,
) -> Result<Vec<Candidate<'a>>, Refused> {
    let run = typed.and_then(|typed| typed.run);
    let record = RefusalRecord { run, step: typed.map(|typed| &typed.step), digest };
    fitting(incident, verb, typed).map_err(|refused| match verb {
        StepVerb::Approve | StepVerb::Deny => record.attach(incident, ApprovalRefusalCause::NotWaiting, refused),
        StepVerb::Answer | StepVerb::Retry | StepVerb::Skip | StepVerb::Undo => refused,
    })
}

fn fitting<'a>(
    incident: &'a Incident,
    verb: StepVerb,
    typed: Option<&'a StepReference>,
) -> Result<Vec<Candidate<'a>>, Refused> {
    let (mut fitting, mut refusals) = (Vec::new(), Vec::new());
    let matching = matching(incident, typed)?;
    for &(run, step) in &matching {
        match verb.check(incident, run, step) {
            Ok(()) => fitting.push((run, step)),
            Err(refused) => refusals.push((run, refused)),
        }
    }
    if !fitting.is_empty() {
        if verb == StepVerb::Undo {
            // That a step was undone in one run does not mean that the person refers to another run.
            let is_undone = |(run, step): &Candidate<'_>| run.state(&step.part(StepPart::Undo)).is_some();
            fitting.extend(matching.into_iter().filter(is_undone));
            fitting.sort_by_key(|(run, _)| run.id);
        }
        return Ok(fitting);
    }
    let Some(StepReference { step, .. }) = typed else { return Err(nothing_waits(incident, verb)) };
    // The refusal is that of a run that waits at the step, if there is one, else that of the latest run.
    let waits = |run: &Run| run.state(step).is_some_and(|state| state.gate().is_some());
    let chosen = refusals.into_iter().max_by_key(|(run, _)| (waits(run), run.id));
    Err(chosen.map_or_else(|| nothing_waits(incident, verb), |(_, refused)| refused))
}

/// The steps that `typed` matches; without a reference, those that wait for a person.
fn matching<'a>(incident: &'a Incident, typed: Option<&'a StepReference>) -> Result<Vec<Candidate<'a>>, Refused> {
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
    let runs = || incident.runs.iter().filter(|one| run.is_none_or(|run| run == one.id));
    let matching: Vec<Candidate<'a>> = runs().filter(|run| run.has(step)).map(|run| (run, step)).collect();
    if matching.is_empty() {
        return Err(unknown_step(step, *run, &runs().collect::<Vec<_>>()));
    }
    Ok(matching)
}

/// The refusal of a reference that matches no step.
fn unknown_step(step: &StepKey, run: Option<RunId>, runs: &[&Run]) -> Refused {
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
    // If the step is known, its item or part is wrong, and another step is no suggestion.
    let refused = Refused::usage(message);
    if known.contains(&step.id.as_str()) { refused } else { refused.hint(suggest(&step.id, &known, &lead)) }
}

/// The refusal of a command without a reference when no step waits for it.
fn nothing_waits(incident: &Incident, verb: StepVerb) -> Refused {
    let message = match verb {
        StepVerb::Answer => "no question waits for an answer",
        StepVerb::Approve | StepVerb::Deny => "no change waits for agreement",
        StepVerb::Retry => "no step has failed and waits",
        StepVerb::Skip => "no step waits",
        StepVerb::Undo => "no change that waits can be undone",
    };
    Refused::usage(message).hint(format!("See what waits: `runbook watch {}`.", incident.id))
}

/// The refusal of a command that fits several steps: lists them, with the command for the first.
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
    let example = example.map(|(run, step)| incident.reference(run.id, step).shell_word()).unwrap_or_default();
    let (name, arguments, id) = (verb.name(), verb.arguments(), &incident.id);
    Refused::usage(format!("{message}: {}", listed.join(", ")))
        .hint(format!("Name one: `runbook {name} {id} {example}{arguments}`."))
}
