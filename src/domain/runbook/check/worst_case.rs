//! The longest way to a notice: whether a run can come to it after its deadline, whatever fails on the way.
//!
//! Every step before it is taken to be wanted, to use its whole time, to fail, and to be tried as often as it may be. What a
//! mode asks besides the runbook is not counted: a person is there then.
//!
//! **Invariant:** a way that is not known to end is longer than every deadline.

use std::num::NonZeroU32;
use std::time::Duration;

use super::CheckContext;
use crate::domain::config::yaml::fields::list;
use crate::domain::core::time::Span;
use crate::domain::runbook::time_limits::{BACKOFF_LIMIT, STOP_GRACE, usual_timeout};
use crate::domain::runbook::{Action, DeadlineRule, ITEM_LIMIT, OnFailure, Retry, Step, StepBody};

/// The shortest time that may be left for other ways: one try by each of three, ten seconds each.
const SHORTEST_FALLBACK: Span = Span::seconds(30);
/// How many of the steps that take longest are named.
const NAMED: usize = 3;
/// How deep one runbook may start another before the way is taken to have no end.
const DEPTH: usize = 5;

/// Why a way has no end that is known.
struct Endless {
    step: String,
    why: String,
}

/// The way so far.
#[derive(Default)]
struct WorstCasePath {
    taken: Vec<(String, Duration)>,
}

impl WorstCasePath {
    fn length(&self) -> Duration {
        self.taken.iter().fold(Duration::ZERO, |sum, (_, one)| sum.saturating_add(*one))
    }

    /// The steps that take longest.
    fn longest(&self) -> Vec<String> {
        let mut taken: Vec<&(String, Duration)> = self.taken.iter().collect();
        taken.sort_by_key(|(_, length)| std::cmp::Reverse(*length));
        taken.into_iter().take(NAMED).map(|(id, length)| format!("{id} {}", Span(*length))).collect()
    }
}

/// What is wrong with a deadline, and what to do about it.
pub(super) fn judge(
    rule: &DeadlineRule,
    steps: &[Step],
    finally: &[Step],
    world: &CheckContext<'_>,
) -> Option<(String, String)> {
    if let Some(fallback_at) = rule.fallback_at {
        return by_fallback(rule, fallback_at);
    }
    let all: Vec<&Step> = steps.iter().chain(finally).collect();
    let (goal, always) = goal(&all, &rule.name)?;
    if !always {
        let message = format!("`{}` may never be met: `{}` is left out unless its `when` is true", rule.name, goal.id);
        let hint = "Take the `when` away, or write `fallback_at` to have stakeholders told by then in any case.";
        return Some((message, hint.to_owned()));
    }
    let ways = format!(
        "Move `{}` before what may take so long, give that a shorter `timeout` or `on_failure: continue`, \
         or write `fallback_at` to have stakeholders told by then in any case.",
        goal.id
    );
    let name = &rule.name;
    match path_to(&all, goal, world) {
        Err(Endless { step, why }) => {
            Some((format!("`{name}` may never be met: `{step}` comes before and {why}"), ways))
        }
        Ok(way) if way.length() > rule.within.0 => {
            let (length, longest) = (Span(way.length()), way.longest());
            let message = format!("`{name}` is due after {}, and its step may begin only after {length}", rule.within);
            Some((message, format!("The longest on the way: {}. {ways}", longest.join(", "))))
        }
        Ok(_) => None,
    }
}

/// The engine tells stakeholders itself at that time, wherever the run stands; other ways need some time as well.
fn by_fallback(rule: &DeadlineRule, fallback_at: Span) -> Option<(String, String)> {
    let left = Span(rule.within.0.saturating_sub(fallback_at.0));
    let message = format!("`fallback_at` leaves {left} for other ways, and each may take 10s");
    (left < SHORTEST_FALLBACK).then(|| (message, format!("Leave at least {SHORTEST_FALLBACK}.")))
}

/// The step that is meant to meet a deadline, and whether it is reached whatever is found: the first such one, else the first.
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

/// The way until the step is done, or, where it is a message, until that is sent.
fn path_to(steps: &[&Step], goal: &Step, world: &CheckContext<'_>) -> Result<WorstCasePath, Endless> {
    let mut way = WorstCasePath::default();
    for step in steps {
        let children = match &step.body {
            StepBody::Parallel(children) => children.as_slice(),
            _ => &[],
        };
        let inside = children.iter().find(|child| child.id == goal.id);
        match inside.or((step.id == goal.id).then_some(*step)) {
            Some(found) if is_message(found) => {
                agreed(found, &mut way)?;
                return Ok(way);
            }
            Some(found) => {
                take(found, found.on_failure != OnFailure::Ask, &mut way, world, DEPTH)?;
                return Ok(way);
            }
            None => take(step, true, &mut way, world, DEPTH)?,
        }
    }
    Ok(way)
}

fn is_message(step: &Step) -> bool {
    matches!(&step.body, StepBody::Action(action) if action.is_message())
}

/// Adds what a step may take. `fails` says whether its failing matters for what comes after.
fn take(
    step: &Step,
    fails: bool,
    way: &mut WorstCasePath,
    world: &CheckContext<'_>,
    depth: usize,
) -> Result<(), Endless> {
    let endless = |why: &str| Err(Endless { step: step.id.clone(), why: why.to_owned() });
    let once = match &step.body {
        StepBody::Ask(_) => return endless("asks a person"),
        StepBody::Manual(_) => return endless("waits for a person to do something"),
        StepBody::Wait(length) => length.0,
        StepBody::Start(start) => return started(step, &start.runbook, way, world, depth),
        StepBody::Parallel(children) => return group(step, children, fails, way, world, depth),
        StepBody::Action(action) => {
            agreed(step, way)?;
            match step.on_failure {
                OnFailure::Ask if fails => return endless("asks a person when it fails"),
                OnFailure::Stop if fails => return endless("stops the run when it fails"),
                _ => attempts(step, action),
            }
        }
    };
    way.taken.push((step.id.clone(), once.saturating_mul(items(step))));
    Ok(())
}

/// The wait for people who have to agree.
fn agreed(step: &Step, way: &mut WorstCasePath) -> Result<(), Endless> {
    let Some(approve) = &step.approve else { return Ok(()) };
    match approve.expires.filter(|_| step.on_failure == OnFailure::Continue) {
        Some(expires) => way.taken.push((format!("{} (agreement)", step.id), expires.0)),
        None => {
            let why = "waits for people to agree".to_owned();
            return Err(Endless { step: step.id.clone(), why });
        }
    }
    Ok(())
}

/// Every attempt with its check and the pauses between.
fn attempts(step: &Step, action: &Action) -> Duration {
    let timeout = step.timeout.unwrap_or_else(|| usual_timeout(action));
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

/// How often a step is done one after the other: as often as its list is long, where that stands in the file, unless
/// several items are worked on at once.
fn items(step: &Step) -> u32 {
    let Some(list) = &step.for_each else { return 1 };
    let written = serde_json::from_str::<Vec<serde_json::Value>>(list).map_or(ITEM_LIMIT, |items| items.len());
    let at_once = step.max_parallel.map_or(1, NonZeroU32::get);
    u32::try_from(written).unwrap_or(u32::MAX).div_ceil(at_once)
}

/// A group takes as long as the longest of it.
fn group(
    step: &Step,
    children: &[Step],
    fails: bool,
    way: &mut WorstCasePath,
    world: &CheckContext<'_>,
    depth: usize,
) -> Result<(), Endless> {
    let mut longest = Duration::ZERO;
    for child in children {
        let mut alone = WorstCasePath::default();
        take(child, fails, &mut alone, world, depth)?;
        longest = longest.max(alone.length());
    }
    way.taken.push((step.id.clone(), longest));
    Ok(())
}

/// Another runbook takes as long as all its steps.
fn started(
    step: &Step,
    id: &str,
    way: &mut WorstCasePath,
    world: &CheckContext<'_>,
    depth: usize,
) -> Result<(), Endless> {
    let peer = world.peers.iter().find(|peer| peer.id == id).filter(|_| depth > 0);
    let Some(peer) = peer else {
        let why = format!("starts {}, whose length is not known", list(&[id]));
        return Err(Endless { step: step.id.clone(), why });
    };
    let mut alone = WorstCasePath::default();
    for inner in peer.steps.iter().chain(&peer.finally) {
        take(inner, true, &mut alone, world, depth - 1).map_err(|Endless { step: inner, why }| Endless {
            step: step.id.clone(),
            why: format!("starts `{id}`, where `{inner}` {why}"),
        })?;
    }
    way.taken.push((step.id.clone(), alone.length()));
    Ok(())
}
