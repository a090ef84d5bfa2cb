//! The engine, by scenarios: steps go in, a story comes out.

use chrono::TimeDelta;
use runbook::domain::core::id::StepKey;
use runbook::domain::core::time::Span;
use runbook::domain::incident::command::Request;
use runbook::domain::incident::command::target::StepTarget;
use runbook::domain::incident::event::{Conclusion, Event, Gate, Mode, RunOutcome, StepEvent};
use runbook::domain::incident::run::RunStatus;
use runbook::engine::{EngineError, Stop};
use serde_json::{Value, json};

use crate::world::{World, run, set, with};

fn key(text: &str) -> StepKey {
    text.parse().unwrap()
}

async fn answer(world: &World, step: &str, value: Value) -> Request {
    Request::Answer { target: world.target(step).await, value }
}

#[tokio::test]
async fn steps_are_done_in_order_and_the_draft_is_written() {
    let world = World::new();
    world.start(json!([set("a", json!({"x": 1})), set("b", json!({"y": "{{ steps.a.x + 1 }}"}))])).await;
    assert_eq!(world.drive().await, Stop::Over);
    assert_eq!(
        world.story().await,
        [
            "incident_opened",
            "run_started",
            "step_started a",
            "step_ended a Succeeded",
            "step_concluded a Succeeded",
            "step_started b",
            "step_ended b Succeeded",
            "step_concluded b Succeeded",
            "run_ended Succeeded",
            "postmortem_written",
        ]
    );
    let incident = world.incident().await;
    assert_eq!(incident.runs[0].state(&key("b")).unwrap().outcome.as_ref().unwrap().output, json!({"y": 2}));
}

#[tokio::test]
async fn a_question_waits_and_its_answer_decides_what_follows() {
    let world = World::new();
    let ask = json!({"id": "cause", "name": "Why?", "body": {"ask": {"choices": ["infrastructure", "code"], "suggest": "code"}}});
    let when =
        |id: &str, cause: &str| with(set(id, json!({})), json!({"when": format!("steps.cause.answer == '{cause}'")}));
    world.start(json!([ask, when("rollback", "code"), when("restart", "infrastructure")])).await;
    assert_eq!(world.drive().await, Stop::NeedsPerson);
    let refused = world.submit(answer(&world, "cause", "cod".into()).await).await.unwrap_err();
    assert!(
        matches!(&refused, EngineError::Refused(refused) if refused.hint.as_deref() == Some("Answer one of: infrastructure, code.")),
        "{refused:?}"
    );
    world.submit(answer(&world, "cause", "infrastructure".into()).await).await.unwrap();
    assert_eq!(world.drive().await, Stop::Over);
    assert_eq!(
        world.story_of(&["step_skipped", "step_concluded"]).await,
        ["step_skipped rollback", "step_concluded restart Succeeded"]
    );
}

#[tokio::test]
async fn an_automatic_run_takes_the_suggestion_only_where_it_may() {
    for (auto, stop) in [(true, Stop::Over), (false, Stop::NeedsPerson)] {
        let world = World::new();
        let ask = json!({"choices": ["yes", "no"], "suggest": "{{ 'yes' if 1 else 'no' }}", "auto": auto});
        world.start(json!([{"id": "go", "name": "Go?", "body": {"ask": ask}}])).await;
        assert_eq!(world.drive().await, stop);
    }
}

#[tokio::test]
async fn after_an_item_that_stops_the_run_no_further_one_begins_and_those_at_work_end() {
    let world = World::new();
    let step = run("each", "read", &["sh", "-c", "exit {{ item }}"]);
    let each = json!({"for_each": "[0, 1, 0, 0, 0]", "max_parallel": 2, "on_failure": "stop"});
    world.start(json!([with(step, each), set("after", json!({}))])).await;
    assert_eq!(world.drive().await, Stop::Over);
    let begun: Vec<String> = world.story_of(&["step_started"]).await;
    assert!(begun.len() >= 2 && begun.len() < 5, "{begun:?}");
    assert!(begun.iter().all(|line| line.starts_with("step_started each[")), "{begun:?}");
    let ended = world.story_of(&["step_ended"]).await;
    assert_eq!(ended.len(), begun.len(), "{ended:?}");
    assert_eq!(world.incident().await.runs[0].status, RunStatus::Ended(RunOutcome::Failed));
}

#[tokio::test]
async fn a_for_each_goes_through_its_items_one_after_the_other() {
    let world = World::new();
    let each = with(set("say", json!({"it": "{{ item.name }}"})), json!({"for_each": "steps.list.services"}));
    world.start(json!([set("list", json!({"services": [{"name": "one"}, {"name": "two"}]})), each])).await;
    assert_eq!(world.drive().await, Stop::Over);
    assert_eq!(
        world.story_of(&["step_expanded", "step_started say", "step_concluded say"]).await,
        [
            "step_expanded say",
            "step_started say[0]",
            "step_concluded say[0] Succeeded",
            "step_started say[1]",
            "step_concluded say[1] Succeeded",
            "step_concluded say Succeeded"
        ]
    );
}

#[tokio::test]
async fn steps_in_parallel_begin_together() {
    let world = World::new();
    let group = json!({"id": "look", "name": "Look", "body": {"parallel": [set("a", json!({})), set("b", json!({}))]}});
    world.start(json!([group, set("after", json!({}))])).await;
    assert_eq!(world.drive().await, Stop::Over);
    let story = world.story().await;
    let at = |line: &str| story.iter().position(|told| told == line).unwrap_or_else(|| panic!("{line} in {story:#?}"));
    assert!(at("step_started b") < at("step_ended a Succeeded"), "{story:#?}");
    assert!(at("step_concluded look Succeeded") < at("step_started after"));
}

#[tokio::test]
async fn a_failing_step_is_tried_again_with_growing_pauses() {
    let world = World::new();
    let step = with(
        run("flaky", "read", &["false"]),
        json!({"retry": {"attempts": 3, "backoff": "10s"}, "on_failure": "stop"}),
    );
    world.start(json!([step])).await;
    let drive = world.drive();
    let clock = async {
        for (ended, pause) in [(1, 9), (1, 1), (2, 19), (2, 1)] {
            world.rests_after(ended).await;
            world.clock.advance(TimeDelta::seconds(pause));
        }
    };
    let (stop, ()) = tokio::join!(drive, clock);
    assert_eq!(stop, Stop::Over);
    let log = world.engine.log(&world.id).await.unwrap();
    let begun: Vec<i64> = log
        .iter()
        .filter(|recorded| matches!(recorded.event, Event::Step(StepEvent::Started { .. })))
        .map(|recorded| (recorded.at - log[0].at).num_seconds())
        .collect();
    assert_eq!(begun, [0, 10, 30]);
    assert_eq!(world.incident().await.runs[0].status, RunStatus::Ended(RunOutcome::Failed));
}

#[tokio::test]
async fn a_failure_asks_a_person_who_may_retry_skip_or_stop() {
    type OfStep = fn(StepTarget) -> Request;
    let requests: [(OfStep, Option<RunOutcome>); 3] = [
        (|target| Request::Skip { target, reason: "not needed".to_owned() }, Some(RunOutcome::Succeeded)),
        (|_| Request::Cancel { reason: "stand down".to_owned() }, Some(RunOutcome::Cancelled)),
        (|target| Request::Retry { target }, None),
    ];
    for (request, end) in requests {
        let world = World::new();
        world
            .start_whole(json!({"steps": [run("change", "once", &["false"])], "finally": [set("tidy", json!({}))]}))
            .await;
        assert_eq!(world.drive().await, Stop::NeedsPerson);
        let incident = world.submit(request(world.target("change").await)).await.unwrap();
        let again = world.drive().await;
        match end {
            Some(outcome) => {
                assert_eq!(world.incident().await.runs[0].status, RunStatus::Ended(outcome));
                assert_eq!(world.story_of(&["step_concluded tidy"]).await, ["step_concluded tidy Succeeded"]);
            }
            None => {
                assert_eq!(again, Stop::NeedsPerson, "it failed again: {incident:?}");
                assert_eq!(world.story_of(&["step_started"]).await.len(), 2);
            }
        }
    }
}

#[tokio::test]
async fn a_guided_run_asks_before_a_change_and_only_what_was_agreed_to_runs() {
    let mut world = World::new();
    world.mode = Mode::Guided;
    world.start(json!([set("look", json!({})), run("change", "once", &["true"])])).await;
    assert_eq!(world.drive().await, Stop::NeedsPerson);
    let incident = world.incident().await;
    let (_, step, gate) = incident.waiting_for_person()[0];
    let Gate::Approve { digest, change, .. } = gate else { panic!("{gate:?}") };
    assert_eq!((step.to_string().as_str(), change.place.contains("production")), ("change", true), "{change:?}");
    let stale = Request::Approve { target: world.target("change").await, digest: "0123456789".to_owned() };
    assert!(world.submit(stale).await.is_err(), "another digest is another change");
    world.submit(Request::Approve { target: world.target("change").await, digest: digest.clone() }).await.unwrap();
    assert_eq!(world.drive().await, Stop::Over);
    assert_eq!(
        world.story_of(&["asked", "approved", "step_started"]).await,
        ["step_started look", "asked change", "approved change", "step_started change"]
    );
}

#[tokio::test]
async fn a_denied_change_is_not_made_and_the_run_goes_on() {
    let mut world = World::new();
    world.mode = Mode::Guided;
    world.start(json!([run("change", "once", &["true"]), set("after", json!({}))])).await;
    world.drive().await;
    let target = world.target("change").await;
    world.submit(Request::Deny { target, reason: "too risky".to_owned() }).await.unwrap();
    assert_eq!(world.drive().await, Stop::Over);
    let incident = world.incident().await;
    assert_eq!(incident.runs[0].state(&key("change")).unwrap().conclusion(), Some(Conclusion::Skipped));
    assert_eq!(world.story_of(&["step_started"]).await, ["step_started after"]);
}

#[tokio::test]
async fn a_change_is_verified_and_one_that_is_not_verified_has_failed() {
    for (check, stop, conclusion) in
        [("true", Stop::Over, Some(Conclusion::Succeeded)), ("false", Stop::NeedsPerson, None)]
    {
        let world = World::new();
        let verify = json!({"verify": {
            "action": {"kind": "command", "spec": {"argv": [check]}, "effect": "read"}, "within": "10s", "every": "1s",
        }});
        world.start(json!([with(run("change", "once", &["true"]), verify)])).await;
        let clock = async {
            for _ in 0..20 {
                world.clock.sleeps_for(TimeDelta::seconds(1)).await;
                world.clock.advance(TimeDelta::seconds(1));
            }
        };
        let driven = tokio::select! {
            driven = world.drive() => driven,
            () = clock => panic!("it is checked for longer than `within`"),
        };
        assert_eq!(driven, stop);
        assert_eq!(world.incident().await.runs[0].state(&key("change")).unwrap().conclusion(), conclusion);
        assert_eq!(world.story_of(&["step_started change.verify"]).await.len(), 1);
    }
}

#[tokio::test]
async fn what_was_cut_off_while_it_polled_gets_the_rest_of_its_time() {
    let world = World::new();
    let until = json!({"until": {"condition": "false", "every": "1s"}, "timeout": "60s"});
    world.start(json!([with(run("poll", "read", &["true"]), until)])).await;
    let mut ends = Vec::new();
    for (passed, attempts) in [(0, 1), (40, 2), (25, 3)] {
        world.clock.advance(TimeDelta::seconds(passed));
        let cut = async {
            while world.story_of(&["step_started"]).await.len() < attempts {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            stop = world.try_drive() => panic!("it polls for ever, and not: {stop:?}"),
            () = cut => {}
        }
        let state = world.incident().await.runs[0].state(&key("poll")).cloned().unwrap();
        ends.push(Span::between(world.incident().await.opened.at, state.attempt.unwrap().deadline.unwrap()));
    }
    // After its time it still reads once more.
    assert_eq!(ends, [Span::seconds(60), Span::seconds(60), Span::seconds(66)]);
}

#[tokio::test]
async fn an_undo_on_request_runs_even_after_the_run() {
    let world = World::new();
    let undo = json!({"undo": {"kind": "command", "spec": {"argv": ["true"]}, "effect": "once"}});
    world.start(json!([with(run("change", "once", &["true"]), undo), set("other", json!({}))])).await;
    assert_eq!(world.drive().await, Stop::Over);
    assert!(world.submit(Request::Undo { target: world.target("other").await }).await.is_err());
    world.submit(Request::Undo { target: world.target("change").await }).await.unwrap();
    assert_eq!(world.drive().await, Stop::Over);
    assert_eq!(
        world.story_of(&["undo_requested", "step_concluded change.undo"]).await,
        ["undo_requested change.undo", "step_concluded change.undo Succeeded"]
    );
}

#[tokio::test]
async fn a_deadline_is_warned_of_and_missed_at_its_time_and_never_early() {
    let world = World::new();
    let deadline = json!({"name": "notify", "within": "15m", "from": "opened", "warn_at": "10m"});
    let tell = json!({"id": "tell", "name": "Tell", "body": {"manual": "Call them."}, "meets": "notify"});
    world.start_whole(json!({"deadlines": [deadline], "steps": [tell]})).await;
    for (seconds, story) in [
        (599, vec!["deadline_set notify"]),
        (1, vec!["deadline_set notify", "deadline_warned notify"]),
        (299, vec!["deadline_set notify", "deadline_warned notify"]),
        (1, vec!["deadline_set notify", "deadline_warned notify", "deadline_missed notify"]),
    ] {
        world.clock.advance(TimeDelta::seconds(seconds));
        assert_eq!(world.drive().await, Stop::NeedsPerson);
        assert_eq!(world.story_of(&["deadline"]).await, story);
    }
    world.submit(answer(&world, "tell", Value::Null).await).await.unwrap();
    world.drive().await;
    assert_eq!(world.story_of(&["deadline_met"]).await, ["deadline_met notify"], "late, and said so");
}

#[tokio::test]
async fn a_deadline_that_was_kept_is_met_however_late_that_is_noticed() {
    let world = World::new();
    let deadline = json!({"name": "notify", "within": "15m", "from": "opened"});
    let tell = json!({"id": "tell", "name": "Tell", "body": {"manual": "Call them."}, "meets": "notify"});
    world.start_whole(json!({"deadlines": [deadline], "steps": [tell]})).await;
    world.drive().await;
    world.clock.advance(TimeDelta::minutes(14));
    world.submit(answer(&world, "tell", Value::Null).await).await.unwrap();
    world.clock.advance(TimeDelta::hours(1));
    world.drive().await;
    assert_eq!(world.story_of(&["deadline_m"]).await, ["deadline_met notify"]);
}

#[tokio::test]
async fn a_timer_holds_the_run_until_its_time() {
    let world = World::new();
    world.start(json!([{"id": "pause", "name": "Pause", "body": {"wait": "5m"}}, set("after", json!({}))])).await;
    let clock = async {
        for pause in [299, 1] {
            world.clock.at_rest().await;
            assert!(world.story_of(&["step_started after"]).await.is_empty());
            world.clock.advance(TimeDelta::seconds(pause));
        }
    };
    let (stop, ()) = tokio::join!(world.drive(), clock);
    assert_eq!(stop, Stop::Over);
    assert_eq!(world.story_of(&["answered", "step_started after"]).await, ["answered pause", "step_started after"]);
}

#[tokio::test]
async fn data_is_never_evaluated_again() {
    let mut world = World::new();
    let hostile = "{{ 7 * 7 }} {% for x in y %} {{ secrets.token }} $(id) `id` \u{1b}[2J";
    world.params.insert("word".to_owned(), hostile.into());
    let param = json!([{"name": "word", "type": "text"}]);
    let steps = json!([
        set("one", json!({"word": "{{ params.word }}"})),
        set("two", json!({"word": "{{ steps.one.word }}", "text": "<{{ steps.one.word }}>"}))
    ]);
    world.start_whole(json!({"params": param, "steps": steps})).await;
    assert_eq!(world.drive().await, Stop::Over);
    let output = world.incident().await.runs[0].state(&key("two")).unwrap().outcome.clone().unwrap().output.clone();
    assert_eq!(output, json!({"word": hostile, "text": format!("<{hostile}>")}));
}

#[tokio::test]
async fn a_step_whose_template_fails_asks_a_person_instead_of_ending_the_engine() {
    let world = World::new();
    world.start(json!([set("a", json!({"x": "{{ params.nothing }}"}))])).await;
    assert_eq!(world.drive().await, Stop::NeedsPerson);
    let incident = world.incident().await;
    assert!(matches!(incident.waiting_for_person()[0].2, Gate::Failure { .. }));
}

#[tokio::test]
async fn two_workers_on_one_store_do_no_step_twice() {
    let world = std::sync::Arc::new(World::new());
    let file = world.directory.path().join("done");
    let append = format!("echo done >> {}", file.display());
    let steps: Vec<Value> = (0..20).map(|n| run(&format!("s{n}"), "once", &["sh", "-c", &append])).collect();
    world.start(Value::Array(steps)).await;
    let other = crate::world::engine(
        world.engine.parts().store.clone(),
        world.engine.parts().clock.clone(),
        world.directory.path(),
    );
    let both = [world.engine.clone(), other].map(|engine| {
        let id = world.id.clone();
        tokio::spawn(async move {
            engine
                .drive(&id, runbook::engine::ReturnWhen::UntilPerson, &tokio_util::sync::CancellationToken::new())
                .await
        })
    });
    for worker in both {
        worker.await.unwrap().unwrap();
    }
    world.drive().await;
    assert_eq!(std::fs::read_to_string(file).unwrap().lines().count(), 20);
    assert_eq!(world.story_of(&["step_started"]).await.len(), 20);
}
