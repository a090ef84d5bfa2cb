//! Scenarios of the engine: the events of runs of given steps.

use chrono::TimeDelta;
use runbook::domain::core::id::StepKey;
use runbook::domain::core::time::Span;
use runbook::domain::incident::command::Request;
use runbook::domain::incident::command::target::StepTarget;
use runbook::domain::incident::event::{Conclusion, Event, Gate, Mode, RunOutcome, StepEvent};
use runbook::domain::incident::run::RunStatus;
use runbook::engine::{EngineError, Stop};
use serde_json::{Value, json};

use crate::engine_fixture::{EngineFixture, run, set, with};

fn key(text: &str) -> StepKey {
    text.parse().unwrap()
}

async fn answer(fixture: &EngineFixture, step: &str, value: Value) -> Request {
    Request::Answer { target: fixture.target(step).await, value }
}

#[tokio::test]
async fn steps_are_done_in_order_and_the_draft_is_written() {
    let fixture = EngineFixture::new();
    fixture.start(json!([set("a", json!({"x": 1})), set("b", json!({"y": "{{ steps.a.x + 1 }}"}))])).await;
    assert_eq!(fixture.drive().await, Stop::Over);
    assert_eq!(
        fixture.story().await,
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
    let incident = fixture.incident().await;
    assert_eq!(incident.runs[0].state(&key("b")).unwrap().outcome.as_ref().unwrap().output, json!({"y": 2}));
}

#[tokio::test]
async fn a_question_waits_and_its_answer_decides_what_follows() {
    let fixture = EngineFixture::new();
    let ask = json!({"id": "cause", "name": "Why?", "body": {"ask": {"choices": ["infrastructure", "code"], "suggest": "code"}}});
    let when =
        |id: &str, cause: &str| with(set(id, json!({})), json!({"when": format!("steps.cause.answer == '{cause}'")}));
    fixture.start(json!([ask, when("rollback", "code"), when("restart", "infrastructure")])).await;
    assert_eq!(fixture.drive().await, Stop::NeedsPerson);
    let refused = fixture.submit(answer(&fixture, "cause", "cod".into()).await).await.unwrap_err();
    assert!(
        matches!(&refused, EngineError::Refused(refused) if refused.hint.as_deref() == Some("Answer one of: infrastructure, code.")),
        "{refused:?}"
    );
    fixture.submit(answer(&fixture, "cause", "infrastructure".into()).await).await.unwrap();
    assert_eq!(fixture.drive().await, Stop::Over);
    assert_eq!(
        fixture.story_of(&["step_skipped", "step_concluded"]).await,
        ["step_skipped rollback", "step_concluded restart Succeeded"]
    );
}

#[tokio::test]
async fn an_automatic_run_takes_the_suggestion_only_where_it_may() {
    for (auto, stop) in [(true, Stop::Over), (false, Stop::NeedsPerson)] {
        let fixture = EngineFixture::new();
        let ask = json!({"choices": ["yes", "no"], "suggest": "{{ 'yes' if 1 else 'no' }}", "auto": auto});
        fixture.start(json!([{"id": "go", "name": "Go?", "body": {"ask": ask}}])).await;
        assert_eq!(fixture.drive().await, stop);
    }
}

#[tokio::test]
async fn after_an_item_that_stops_the_run_no_other_starts_and_running_ones_end() {
    let fixture = EngineFixture::new();
    let step = run("each", "read", &["sh", "-c", "exit {{ item }}"]);
    let each = json!({"for_each": "[0, 1, 0, 0, 0]", "max_parallel": 2, "on_failure": "stop"});
    fixture.start(json!([with(step, each), set("after", json!({}))])).await;
    assert_eq!(fixture.drive().await, Stop::Over);
    let started: Vec<String> = fixture.story_of(&["step_started"]).await;
    assert!(started.len() >= 2 && started.len() < 5, "{started:?}");
    assert!(started.iter().all(|line| line.starts_with("step_started each[")), "{started:?}");
    let ended = fixture.story_of(&["step_ended"]).await;
    assert_eq!(ended.len(), started.len(), "{ended:?}");
    assert_eq!(fixture.incident().await.runs[0].status, RunStatus::Ended(RunOutcome::Failed));
}

#[tokio::test]
async fn a_for_each_runs_its_items_in_order() {
    let fixture = EngineFixture::new();
    let each = with(set("say", json!({"it": "{{ item.name }}"})), json!({"for_each": "steps.list.services"}));
    fixture.start(json!([set("list", json!({"services": [{"name": "one"}, {"name": "two"}]})), each])).await;
    assert_eq!(fixture.drive().await, Stop::Over);
    assert_eq!(
        fixture.story_of(&["step_expanded", "step_started say", "step_concluded say"]).await,
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
async fn parallel_steps_start_together() {
    let fixture = EngineFixture::new();
    let group = json!({"id": "look", "name": "Look", "body": {"parallel": [set("a", json!({})), set("b", json!({}))]}});
    fixture.start(json!([group, set("after", json!({}))])).await;
    assert_eq!(fixture.drive().await, Stop::Over);
    let story = fixture.story().await;
    let at =
        |line: &str| story.iter().position(|event| event == line).unwrap_or_else(|| panic!("{line} in {story:#?}"));
    assert!(at("step_started b") < at("step_ended a Succeeded"), "{story:#?}");
    assert!(at("step_concluded look Succeeded") < at("step_started after"));
}

#[tokio::test]
async fn a_failing_step_is_retried_with_growing_pauses() {
    let fixture = EngineFixture::new();
    let step = with(
        run("flaky", "read", &["false"]),
        json!({"retry": {"attempts": 3, "backoff": "10s"}, "on_failure": "stop"}),
    );
    fixture.start(json!([step])).await;
    let drive = fixture.drive();
    let clock = async {
        for (ended, pause) in [(1, 9), (1, 1), (2, 19), (2, 1)] {
            fixture.rests_after(ended).await;
            fixture.clock.advance(TimeDelta::seconds(pause));
        }
    };
    let (stop, ()) = tokio::join!(drive, clock);
    assert_eq!(stop, Stop::Over);
    let log = fixture.engine.log(&fixture.id).await.unwrap();
    let started: Vec<i64> = log
        .iter()
        .filter(|recorded| matches!(recorded.event, Event::Step(StepEvent::Started { .. })))
        .map(|recorded| (recorded.at - log[0].at).num_seconds())
        .collect();
    assert_eq!(started, [0, 10, 30]);
    assert_eq!(fixture.incident().await.runs[0].status, RunStatus::Ended(RunOutcome::Failed));
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
        let fixture = EngineFixture::new();
        fixture
            .start_whole(json!({"steps": [run("change", "once", &["false"])], "finally": [set("tidy", json!({}))]}))
            .await;
        assert_eq!(fixture.drive().await, Stop::NeedsPerson);
        let incident = fixture.submit(request(fixture.target("change").await)).await.unwrap();
        let again = fixture.drive().await;
        match end {
            Some(outcome) => {
                assert_eq!(fixture.incident().await.runs[0].status, RunStatus::Ended(outcome));
                assert_eq!(fixture.story_of(&["step_concluded tidy"]).await, ["step_concluded tidy Succeeded"]);
            }
            None => {
                assert_eq!(again, Stop::NeedsPerson, "it failed again: {incident:?}");
                assert_eq!(fixture.story_of(&["step_started"]).await.len(), 2);
            }
        }
    }
}

#[tokio::test]
async fn a_guided_run_runs_only_the_approved_change() {
    let mut fixture = EngineFixture::new();
    fixture.mode = Mode::Guided;
    fixture.start(json!([set("look", json!({})), run("change", "once", &["true"])])).await;
    assert_eq!(fixture.drive().await, Stop::NeedsPerson);
    let incident = fixture.incident().await;
    let (_, step, gate) = incident.waiting_for_person()[0];
    let Gate::Approve { digest, change, .. } = gate else { panic!("{gate:?}") };
    assert_eq!((step.to_string().as_str(), change.place.contains("production")), ("change", true), "{change:?}");
    let stale = Request::Approve { target: fixture.target("change").await, digest: "0123456789".to_owned() };
    assert!(fixture.submit(stale).await.is_err(), "another digest is another change");
    fixture.submit(Request::Approve { target: fixture.target("change").await, digest: digest.clone() }).await.unwrap();
    assert_eq!(fixture.drive().await, Stop::Over);
    assert_eq!(
        fixture.story_of(&["asked", "approved", "step_started"]).await,
        ["step_started look", "asked change", "approved change", "step_started change"]
    );
}

#[tokio::test]
async fn a_denied_change_is_not_made_and_the_run_continues() {
    let mut fixture = EngineFixture::new();
    fixture.mode = Mode::Guided;
    fixture.start(json!([run("change", "once", &["true"]), set("after", json!({}))])).await;
    fixture.drive().await;
    let target = fixture.target("change").await;
    fixture.submit(Request::Deny { target, reason: "too risky".to_owned() }).await.unwrap();
    assert_eq!(fixture.drive().await, Stop::Over);
    let incident = fixture.incident().await;
    assert_eq!(incident.runs[0].state(&key("change")).unwrap().conclusion(), Some(Conclusion::Skipped));
    assert_eq!(fixture.story_of(&["step_started"]).await, ["step_started after"]);
}

#[tokio::test]
async fn a_change_whose_verification_fails_has_failed() {
    for (check, stop, conclusion) in
        [("true", Stop::Over, Some(Conclusion::Succeeded)), ("false", Stop::NeedsPerson, None)]
    {
        let fixture = EngineFixture::new();
        let verify = json!({"verify": {
            "action": {"kind": "command", "spec": {"argv": [check]}, "effect": "read"}, "within": "10s", "every": "1s",
        }});
        fixture.start(json!([with(run("change", "once", &["true"]), verify)])).await;
        let clock = async {
            for _ in 0..20 {
                fixture.clock.sleeps_for(TimeDelta::seconds(1)).await;
                fixture.clock.advance(TimeDelta::seconds(1));
            }
        };
        let driven = tokio::select! {
            driven = fixture.drive() => driven,
            () = clock => panic!("the check lasts longer than `within`"),
        };
        assert_eq!(driven, stop);
        assert_eq!(fixture.incident().await.runs[0].state(&key("change")).unwrap().conclusion(), conclusion);
        assert_eq!(fixture.story_of(&["step_started change.verify"]).await.len(), 1);
    }
}

#[tokio::test]
async fn an_interrupted_poll_continues_with_its_remaining_time() {
    let fixture = EngineFixture::new();
    let until = json!({"until": {"condition": "false", "every": "1s"}, "timeout": "60s"});
    fixture.start(json!([with(run("poll", "read", &["true"]), until)])).await;
    let mut ends = Vec::new();
    for (passed, attempts) in [(0, 1), (40, 2), (25, 3)] {
        fixture.clock.advance(TimeDelta::seconds(passed));
        let cut = async {
            while fixture.story_of(&["step_started"]).await.len() < attempts {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            stop = fixture.try_drive() => panic!("the poll has ended: {stop:?}"),
            () = cut => {}
        }
        let state = fixture.incident().await.runs[0].state(&key("poll")).cloned().unwrap();
        ends.push(Span::between(fixture.incident().await.opened.at, state.attempt.unwrap().deadline.unwrap()));
    }
    // After its time limit it polls once more.
    assert_eq!(ends, [Span::seconds(60), Span::seconds(60), Span::seconds(66)]);
}

#[tokio::test]
async fn an_undo_on_request_runs_even_after_the_run() {
    let fixture = EngineFixture::new();
    let undo = json!({"undo": {"kind": "command", "spec": {"argv": ["true"]}, "effect": "once"}});
    fixture.start(json!([with(run("change", "once", &["true"]), undo), set("other", json!({}))])).await;
    assert_eq!(fixture.drive().await, Stop::Over);
    assert!(fixture.submit(Request::Undo { target: fixture.target("other").await }).await.is_err());
    fixture.submit(Request::Undo { target: fixture.target("change").await }).await.unwrap();
    assert_eq!(fixture.drive().await, Stop::Over);
    assert_eq!(
        fixture.story_of(&["undo_requested", "step_concluded change.undo"]).await,
        ["undo_requested change.undo", "step_concluded change.undo Succeeded"]
    );
}

#[tokio::test]
async fn a_deadline_is_warned_of_and_missed_at_its_time() {
    let fixture = EngineFixture::new();
    let deadline = json!({"name": "notify", "within": "15m", "from": "opened", "warn_at": "10m"});
    let tell = json!({"id": "tell", "name": "Tell", "body": {"manual": "Call them."}, "meets": "notify"});
    fixture.start_whole(json!({"deadlines": [deadline], "steps": [tell]})).await;
    for (seconds, story) in [
        (599, vec!["deadline_set notify"]),
        (1, vec!["deadline_set notify", "deadline_warned notify"]),
        (299, vec!["deadline_set notify", "deadline_warned notify"]),
        (1, vec!["deadline_set notify", "deadline_warned notify", "deadline_missed notify"]),
    ] {
        fixture.clock.advance(TimeDelta::seconds(seconds));
        assert_eq!(fixture.drive().await, Stop::NeedsPerson);
        assert_eq!(fixture.story_of(&["deadline"]).await, story);
    }
    fixture.submit(answer(&fixture, "tell", Value::Null).await).await.unwrap();
    fixture.drive().await;
    assert_eq!(fixture.story_of(&["deadline_met"]).await, ["deadline_met notify"], "it is met late");
}

#[tokio::test]
async fn a_deadline_met_in_time_counts_as_met_when_noticed_late() {
    let fixture = EngineFixture::new();
    let deadline = json!({"name": "notify", "within": "15m", "from": "opened"});
    let tell = json!({"id": "tell", "name": "Tell", "body": {"manual": "Call them."}, "meets": "notify"});
    fixture.start_whole(json!({"deadlines": [deadline], "steps": [tell]})).await;
    fixture.drive().await;
    fixture.clock.advance(TimeDelta::minutes(14));
    fixture.submit(answer(&fixture, "tell", Value::Null).await).await.unwrap();
    fixture.clock.advance(TimeDelta::hours(1));
    fixture.drive().await;
    assert_eq!(fixture.story_of(&["deadline_m"]).await, ["deadline_met notify"]);
}

#[tokio::test]
async fn a_timer_holds_the_run_until_its_time() {
    let fixture = EngineFixture::new();
    fixture.start(json!([{"id": "pause", "name": "Pause", "body": {"wait": "5m"}}, set("after", json!({}))])).await;
    let clock = async {
        for pause in [299, 1] {
            fixture.clock.at_rest().await;
            assert!(fixture.story_of(&["step_started after"]).await.is_empty());
            fixture.clock.advance(TimeDelta::seconds(pause));
        }
    };
    let (stop, ()) = tokio::join!(fixture.drive(), clock);
    assert_eq!(stop, Stop::Over);
    assert_eq!(fixture.story_of(&["answered", "step_started after"]).await, ["answered pause", "step_started after"]);
}

#[tokio::test]
async fn data_is_never_evaluated_again() {
    let mut fixture = EngineFixture::new();
    let hostile = "{{ 7 * 7 }} {% for x in y %} {{ secrets.token }} $(id) `id` \u{1b}[2J";
    fixture.params.insert("word".to_owned(), hostile.into());
    let param = json!([{"name": "word", "type": "text"}]);
    let steps = json!([
        set("one", json!({"word": "{{ params.word }}"})),
        set("two", json!({"word": "{{ steps.one.word }}", "text": "<{{ steps.one.word }}>"}))
    ]);
    fixture.start_whole(json!({"params": param, "steps": steps})).await;
    assert_eq!(fixture.drive().await, Stop::Over);
    let output = fixture.incident().await.runs[0].state(&key("two")).unwrap().outcome.clone().unwrap().output.clone();
    assert_eq!(output, json!({"word": hostile, "text": format!("<{hostile}>")}));
}

#[tokio::test]
async fn a_step_whose_template_fails_asks_a_person_instead_of_ending_the_engine() {
    let fixture = EngineFixture::new();
    fixture.start(json!([set("a", json!({"x": "{{ params.nothing }}"}))])).await;
    assert_eq!(fixture.drive().await, Stop::NeedsPerson);
    let incident = fixture.incident().await;
    assert!(matches!(incident.waiting_for_person()[0].2, Gate::Failure { .. }));
}

#[tokio::test]
async fn two_workers_on_one_store_do_no_step_twice() {
    let fixture = std::sync::Arc::new(EngineFixture::new());
    let file = fixture.directory.path().join("done");
    let append = format!("echo done >> {}", file.display());
    let steps: Vec<Value> = (0..20).map(|n| run(&format!("s{n}"), "once", &["sh", "-c", &append])).collect();
    fixture.start(Value::Array(steps)).await;
    let other = crate::engine_fixture::engine(
        fixture.engine.parts().store.clone(),
        fixture.engine.parts().clock.clone(),
        fixture.directory.path(),
    );
    let both = [fixture.engine.clone(), other].map(|engine| {
        let id = fixture.id.clone();
        tokio::spawn(async move {
            engine
                .drive(&id, runbook::engine::ReturnWhen::UntilPerson, &tokio_util::sync::CancellationToken::new())
                .await
        })
    });
    for worker in both {
        worker.await.unwrap().unwrap();
    }
    fixture.drive().await;
    assert_eq!(std::fs::read_to_string(file).unwrap().lines().count(), 20);
    assert_eq!(fixture.story_of(&["step_started"]).await.len(), 20);
}
