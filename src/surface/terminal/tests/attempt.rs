//! Tests that a key answers the attempt that is on the screen.

use crossterm::event::KeyCode;
use serde_json::Value;

use super::press;
use super::story::{RUN, Story, step};
use crate::domain::core::effect::EffectClass;
use crate::domain::incident::command::Request;
use crate::domain::incident::event::{Event, Gate, StepEvent};
use crate::domain::incident::outcome::Outcome;
use crate::surface::terminal::stepper::model::Intent;
use crate::surface::terminal::stepper::prompt::Purpose;

/// The error of every attempt.
const ERROR: &str = "the unit failed again: exit code 3";

fn fails(story: &mut Story) {
    story.starts("restart", "systemd", EffectClass::Repeatable);
    story.ends("restart", Outcome::failed(ERROR, Value::Null));
    story.asks("restart", Gate::Failure { error: ERROR.to_owned() });
}

#[test]
fn a_key_answers_the_attempt_on_the_screen() {
    let mut story = Story::after_checks();
    fails(&mut story);
    press(&mut story, KeyCode::Char('s'));
    let typing = |story: &Story| story.model.typing.as_ref().map(|typing| typing.purpose.clone());
    let Some(Purpose::Skip(first)) = typing(&story) else { panic!("no line is open") };
    assert_eq!((first.run, first.attempt, first.question), (RUN, 1, 1));
    // Another person retries the step, and it fails with the same error. The open line was for the first failure.
    story.person(Event::Step(StepEvent::RetryScheduled { run: RUN, step: step("restart"), at: story.now }));
    fails(&mut story);
    assert_eq!(typing(&story), None);
    let Intent::Submit(Request::Retry { target }) = press(&mut story, KeyCode::Char('r')) else { panic!("no retry") };
    assert_eq!((target.incident.as_str(), target.run, target.attempt, target.question), ("lusab-fidok", RUN, 2, 2));
    assert_eq!(target.step, step("restart"));
}
