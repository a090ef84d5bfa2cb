//! The worst case of a deadline: the latest time at which a run can come to the step that meets it.
//!
//! Every step before that one is assumed to run, to use its whole time, to fail, and to be tried as often as it may be. Questions
//! of a mode are not counted, because a person is present then.
//!
//! **Invariant:** a path without a known end is longer than every deadline.

use std::num::NonZeroU32;
use std::time::Duration;

use super::CheckContext;
use crate::domain::config::yaml::fields::list;
use crate::domain::core::time::Span;
use crate::domain::runbook::time_limits::{BACKOFF_LIMIT, STOP_GRACE, default_timeout};
use crate::domain::runbook::{Action, DeadlineRule, ITEM_LIMIT, OnFailure, Retry, Step, StepBody};

/// The shortest time for fallback channels: one attempt on each of three, ten seconds each.
const SHORTEST_FALLBACK: Span = Span::seconds(30);
/// How many of the longest steps a message names.
const NAMED: usize = 3;
/// How deep runbooks may start each other. A deeper path counts as one without a known end.
const DEPTH: usize = 5;

/// Why a path has no known end.
struct Endless {
    step: String,
    why: String,
}

/// The steps of a path and their longest times.
#[derive(Default)]
struct WorstCasePath {
    steps: Vec<(String, Duration)>,
}

impl WorstCasePath {
    fn length(&self) -> Duration {
        self.steps.iter().fold(Duration::ZERO, |sum, (_, length)| sum.saturating_add(*length))
    }

    /// The longest steps.
    fn longest(&self) -> Vec<String> {
        let mut steps: Vec<&(String, Duration)> = self.steps.iter().collect();
        steps.sort_by_key(|(_, length)| std::cmp::Reverse(*length));
        steps.into_iter().take(NAMED).map(|(id, length)| format!("{id} {}", Span(*length))).collect()
    }
}

/// Checks a deadline against its worst case. Returns a message and what to do.
pub(super) fn check_deadline(
    rule: &DeadlineRule,
    steps: &[Step],
    finally: &[Step],
    context: &CheckContext<'_>,
) -> Option<(String, String)> {
    if let Some(fallback_at) = rule.fallback_at {
        return by_fallback(rule, fallback_at);
    }
    let all: Vec<&Step> = steps.iter().chain(finally).collect();
    let (goal, always) = goal(&all, &rule.name)?;
    if !always {
        let message = format!("`{}` may never be met: `{}` is left out unless its `when` is true", rule.name, goal.id);
        let hint = "Take the `when` away, or write `fallback_at` to have stakeholders notified by then in any case.";
        return Some((message, hint.to_owned()));
    }
    let remedy = format!(
        "Move `{}` before what may take so long, give that a shorter `timeout` or `on_failure: continue`, \
         or write `fallback_at` to have stakeholders notified by then in any case.",
        goal.id
    );
    let name = &rule.name;
    match path_to(&all, goal, context) {
        Err(Endless { step, why }) => {
            Some((format!("`{name}` may never be met: `{step}` comes before and {why}"), remedy))
        }
        Ok(path) if path.length() > rule.within.0 => {
            let (length, longest) = (Span(path.length()), path.longest());
            let message = format!("`{name}` is due after {}, and its step may begin only after {length}", rule.within);
            Some((message, format!("The longest on the way: {}. {remedy}", longest.join(", "))))
        }
        Ok(_) => None,
    }
}

/// At that time the engine notifies stakeholders itself, wherever the run is. Fallback channels need some time after it.
fn by_fallback(rule: &DeadlineRule, fallback_at: Span) -> Option<(String, String)> {
    let left = Span(rule.within.0.saturating_sub(fallback_at.0));
    let message = format!("`fallback_at` leaves {left} for fallback channels, and each may take 10s");
    (left < SHORTEST_FALLBACK).then(|| (message, format!("Leave at least {SHORTEST_FALLBACK}.")))
}

/// The step that meets a deadline, and whether it runs without a condition. The first such step without a condition is preferred.
fn goal<'a>(steps: &[&'a Step], name: &str) -> Option<(&'a Step, bool)> {
    fn gather<'a>(
        steps: impl IntoIterator<Item = &'a Step>,
        name: &str,
        always: bool,
        into: &mut Vec<(&'a Step, bool)>,
    ) {
        for step in steps {
            let always = always && step.when.is_none();
            if step.meets.as_deref() == Some(name) {
                into.push((step, always));
            }
            if let StepBody::Parallel(children) = &step.body {
                gather(children, name, always, into);
            }
        }
    }
    let mut meeting = Vec::new();
    gather(steps.iter().copied(), name, true, &mut meeting);
    let always = meeting.iter().find(|(_, always)| *always).copied();
    always.or_else(|| meeting.first().copied())
}

/// The path up to the end of a step. If the step sends a message, the path ends before it.
fn path_to(steps: &[&Step], goal: &Step, context: &CheckContext<'_>) -> Result<WorstCasePath, Endless> {
    let mut path = WorstCasePath::default();
    for step in steps {
        let children = match &step.body {
            StepBody::Parallel(children) => children.as_slice(),
            _ => &[],
        };
        let inside = children.iter().find(|child| child.id == goal.id);
        match inside.or((step.id == goal.id).then_some(*step)) {
            Some(found) if is_message(found) => {
                add_approval(found, &mut path)?;
                return Ok(path);
            }
            Some(found) => {
                add_step(found, found.on_failure != OnFailure::Ask, &mut path, context, DEPTH)?;
                return Ok(path);
            }
            None => add_step(step, true, &mut path, context, DEPTH)?,
        }
    }
    Ok(path)
}

fn is_message(step: &Step) -> bool {
    matches!(&step.body, StepBody::Action(action) if action.is_message())
}

/// Adds the longest time of a step. `fails` is whether its failure affects later steps.
fn add_step(
    step: &Step,
    fails: bool,
    path: &mut WorstCasePath,
    context: &CheckContext<'_>,
    depth: usize,
) -> Result<(), Endless> {
    let endless = |why: &str| Err(Endless { step: step.id.clone(), why: why.to_owned() });
    let once = match &step.body {
        StepBody::Ask(_) => return endless("asks a person"),
        StepBody::Manual(_) => return endless("waits for a person to do something"),
        StepBody::Wait(length) => length.0,
        StepBody::Start(start) => return add_runbook(step, &start.runbook, path, context, depth),
        StepBody::Parallel(children) => return add_group(step, children, fails, path, context, depth),
        StepBody::Action(action) => {
            add_approval(step, path)?;
            match step.on_failure {
                OnFailure::Ask if fails => return endless("asks a person when it fails"),
                OnFailure::Stop if fails => return endless("stops the run when it fails"),
                _ => attempts(step, action),
            }
        }
    };
    path.steps.push((step.id.clone(), once.saturating_mul(rounds(step))));
    Ok(())
}

/// Adds the wait for an approval.
fn add_approval(step: &Step, path: &mut WorstCasePath) -> Result<(), Endless> {
    let Some(approve) = &step.approve else { return Ok(()) };
    match approve.expires.filter(|_| step.on_failure == OnFailure::Continue) {
        Some(expires) => path.steps.push((format!("{} (approval)", step.id), expires.0)),
        None => {
            let why = "waits for people to approve".to_owned();
            return Err(Endless { step: step.id.clone(), why });
        }
    }
    Ok(())
}

/// The time of all attempts, each with its check, and of the pauses between them.
fn attempts(step: &Step, action: &Action) -> Duration {
    let timeout = step.timeout.unwrap_or_else(|| default_timeout(action));
    let grace = if action.is_message() { Duration::ZERO } else { STOP_GRACE.0 };
    let check = step.verify.as_ref().map_or(Duration::ZERO, |verify| verify.within.0.saturating_add(STOP_GRACE.0));
    let one = timeout.0.saturating_add(grace).saturating_add(check);
    let Some(Retry { attempts, backoff, .. }) = &step.retry else { return one };
    let pauses = (1..attempts.get()).fold(Duration::ZERO, |sum, attempt| {
        let pause = backoff.0.saturating_mul(2_u32.saturating_pow(attempt - 1)).min(BACKOFF_LIMIT.0);
        sum.saturating_add(pause)
    });
    one.saturating_mul(attempts.get()).saturating_add(pauses)
}

/// How many items of a step run one after the other. The number of items is [`ITEM_LIMIT`] if the list is not in the file.
fn rounds(step: &Step) -> u32 {
    let Some(list) = &step.for_each else { return 1 };
    let items = serde_json::from_str::<Vec<serde_json::Value>>(list).map_or(ITEM_LIMIT, |items| items.len());
    let at_once = step.max_parallel.map_or(1, NonZeroU32::get);
    u32::try_from(items).unwrap_or(u32::MAX).div_ceil(at_once)
}

/// Adds a group, which takes as long as the longest of its steps.
fn add_group(
    step: &Step,
    children: &[Step],
    fails: bool,
    path: &mut WorstCasePath,
    context: &CheckContext<'_>,
    depth: usize,
) -> Result<(), Endless> {
    let mut longest = Duration::ZERO;
    for child in children {
        let mut alone = WorstCasePath::default();
        add_step(child, fails, &mut alone, context, depth)?;
        longest = longest.max(alone.length());
    }
    path.steps.push((step.id.clone(), longest));
    Ok(())
}

/// Adds another runbook, which takes as long as all its steps.
fn add_runbook(
    step: &Step,
    id: &str,
    path: &mut WorstCasePath,
    context: &CheckContext<'_>,
    depth: usize,
) -> Result<(), Endless> {
    let peer = context.peers.iter().find(|peer| peer.id == id).filter(|_| depth > 0);
    let Some(peer) = peer else {
        let why = format!("starts {}, whose length is not known", list(&[id]));
        return Err(Endless { step: step.id.clone(), why });
    };
    let mut alone = WorstCasePath::default();
    for inner in peer.steps.iter().chain(&peer.finally) {
        add_step(inner, true, &mut alone, context, depth - 1).map_err(|Endless { step: inner, why }| Endless {
            step: step.id.clone(),
            why: format!("starts `{id}`, where `{inner}` {why}"),
        })?;
    }
    path.steps.push((step.id.clone(), alone.length()));
    Ok(())
}
