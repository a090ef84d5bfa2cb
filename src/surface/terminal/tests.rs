//! Tests the screens of the stepper at 80 and at 40 columns, without a terminal.

mod attempt;
mod story;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use insta::assert_snapshot;

use self::story::{RUN, Story, step};
use super::stepper::model::Intent;
use super::stepper::summary;
use super::widgets::styled_text::UNICODE;
use super::widgets::wrap;
use crate::domain::core::effect::EffectClass;
use crate::domain::incident::command::Request;
use crate::domain::incident::event::{
    Conclusion, DeadlineEvent, Delivery, Event, Gate, MessageEvent, RunEvent, RunOutcome, StepEvent,
};
use crate::domain::incident::message::MessageId;
use crate::domain::incident::outcome::Outcome;

fn press(story: &mut Story, code: KeyCode) -> Intent {
    story.model.key(KeyEvent::new(code, KeyModifiers::NONE), story.now)
}

#[test]
fn a_successful_step_has_one_line() {
    let story = Story::after_checks();
    assert_snapshot!(story.scrollback(80), @r"
        ● P1 Live platform down
          lusab-fidok · production · opened by chanda 2026-11-25 03:04:05 UTC
          Customers cannot use the shop.

        identify
        03:04:05 ✓ State of every unit · 19 units: 18 active, 1 failed              0.3s
                   (pakashop-gateway.service)
        03:04:05 ✓ What was deployed last · 2 commits in 24h                        0.5s
        03:04:06 ✓ The gateway's last five minutes · 41 errors; commonest: connect  1.2s
                   ECONNREFUSED 127.0.0.1:6379
    ");
    assert_snapshot!(story.scrollback(40), @r"
        ● P1 Live platform down
          lusab-fidok · production · opened by
          chanda 2026-11-25 03:04:05 UTC
          Customers cannot use the shop.

        identify
        ✓ State of every unit · 19 units:   0.3s
          18 active, 1 failed
          (pakashop-gateway.service)
        ✓ What was deployed last · 2        0.5s
          commits in 24h
        ✓ The gateway's last five minutes   1.2s
          · 41 errors; commonest: connect
          ECONNREFUSED 127.0.0.1:6379
    ");
}

#[test]
fn running_steps_show_their_time_and_the_countdown_runs() {
    let mut story = Story::opened();
    story.starts("board", "systemd", EffectClass::Read);
    story.starts("gateway_log", "journal", EffectClass::Read);
    story.after(42_000);
    assert_snapshot!(story.region(80), @r"
        ── lusab-fidok · P1 · production ──────────────────────── notify due in 14:18 ──
         ● State of every unit                                              0:42 of 5:00
         ● The gateway's last five minutes                                  0:42 of 5:00
         o output · w note · a ack · x stop · ? help · q detach
    ");
    assert_snapshot!(story.region(40), @r"
        ─ lusab-fidok P1 produ… ─ notify 14:18 ─
         ● State of every unit      0:42 of 5:00
         ● The gateway's last fiv…  0:42 of 5:00
         o output · w note · a ack · x stop
         ? help · q detach
    ");
}

#[test]
fn choices_are_numbered_and_the_suggested_one_is_marked() {
    let mut story = Story::after_checks();
    story.asks("cause", Story::cause());
    assert_snapshot!(story.region(80), @r"
        ── lusab-fidok · P1 · production ──────────────────────── notify due in 14:58 ──
         ? Infrastructure or code?
           1 infrastructure
         ▸ 2 code · suggested
         enter take 2 · 1-2 choose · s skip · o output · w note · ? help · q detach
    ");
    assert_snapshot!(story.region(40), @r"
        ─ lusab-fidok P1 produ… ─ notify 14:58 ─
         ? Infrastructure or code?
           1 infrastructure
         ▸ 2 code · suggested
         enter take 2 · 1-2 choose · s skip
         o output · w note · ? help · q detach
    ");
}

#[test]
fn an_approval_shows_what_where_why_how_to_undo_and_who_may_approve() {
    let mut story = Story::after_checks();
    story.asks("rollback", Story::rollback());
    assert_snapshot!(story.region(80), @r#"
        ── lusab-fidok · P1 · production ──────────────────────── notify due in 14:58 ──
         ◆ Revert the last merge                                          a change, once
           what   revert 4f1c2aa "Merge branch 'coupons'" on production and push it
           where  production, /opt/pakashop
           why    A bad merge is the commonest cause, and a revert redeploys in minutes.
           undo   revert the revert
           who    incident_commander (mwansa) · not chanda
         y do it · n deny · s skip · o output · w note · a ack · ? help · q detach
    "#);
    assert_snapshot!(story.region(40), @r#"
        ─ lusab-fidok P1 produ… ─ notify 14:58 ─
         ◆ Revert the last merge            once
           what   revert 4f1c2aa "Merge branch
                  'coupons'" on production and
                  push it
           where  production, /opt/pakashop
           why    A bad merge is the commonest
                  cause, and a revert redeploys
                  in minutes.
           undo   revert the revert
           who    incident_commander (mwansa) ·
                  not chanda
         y do it · n deny · s skip · o output
         w note · a ack · ? help · q detach
    "#);
}

#[test]
fn a_failure_is_shown_with_the_output_and_asks_what_to_do() {
    let mut story = Story::after_checks();
    story.starts("restart", "systemd", EffectClass::Once);
    story.after(2_100);
    let output = "starting\ncould not connect to 127.0.0.1:6379\ngiving up\n";
    story.ends(
        "restart",
        Outcome::failed("the unit failed again: exit code 3", serde_json::Value::Null).with_transcript(output),
    );
    story.asks("restart", Gate::Failure { error: "the unit failed again: exit code 3".to_owned() });
    let scrollback = story.scrollback(80);
    assert_snapshot!(scrollback.rsplit_once("mitigate").unwrap().1, @r"
        03:04:08 ✗ Restart the gateway · the unit failed again: exit code 3         2.1s
                   │ starting
                   │ could not connect to 127.0.0.1:6379
                   │ giving up
    ");
    assert_snapshot!(story.region(80), @r"
        ── lusab-fidok · P1 · production ──────────────────────── notify due in 14:56 ──
         ✗ Restart the gateway failed: what now?
           why    the unit failed again: exit code 3
         r retry · s skip · x stop the run · o output · w note · ? help · q detach
    ");
    assert_snapshot!(story.region(40), @r"
        ─ lusab-fidok P1 produ… ─ notify 14:56 ─
         ✗ Restart the gateway failed: what now?
           why    the unit failed again: exit
                  code 3
         r retry · s skip · x stop the run
         o output · w note · ? help · q detach
    ");
}

#[test]
fn the_output_of_a_step_is_shown_on_demand() {
    let mut story = Story::after_checks();
    story.starts("restart", "systemd", EffectClass::Once);
    story.prints("restart", "stopping\u{1b}[2J");
    story.prints("restart", "starting");
    assert!(!story.region(80).contains("starting"));
    press(&mut story, KeyCode::Char('o'));
    assert_snapshot!(story.region(80), @r"
        ── lusab-fidok · P1 · production ──────────────────────── notify due in 14:59 ──
         ● Restart the gateway                                              0:00 of 5:00
           │ stopping␛[2J
           │ starting
         o output · w note · a ack · x stop · ? help · q detach
    ");
}

#[test]
fn tab_shows_the_next_question() {
    let mut story = Story::after_checks();
    story.asks("cause", Story::cause());
    story.asks("call", Gate::Manual { instruction: "Call the hosting company and note the ticket.".to_owned() });
    assert!(story.region(80).contains("1 of 2"), "{}", story.region(80));
    press(&mut story, KeyCode::Tab);
    assert_snapshot!(story.region(80), @r"
        ── lusab-fidok · P1 · production ──────────────────────── notify due in 14:57 ──
         ◆ By hand: Call the hosting company                                      2 of 2
           Call the hosting company and note the ticket.
         enter done · s skip · tab next · o output · w note · a ack · ? help · q detach
    ");
}

#[test]
fn denying_a_change_asks_for_a_reason() {
    let mut story = Story::after_checks();
    story.asks("rollback", Story::rollback());
    press(&mut story, KeyCode::Char('n'));
    for c in "too risky".chars() {
        press(&mut story, KeyCode::Char(c));
    }
    assert_snapshot!(story.region(40), @r#"
        ─ lusab-fidok P1 produ… ─ notify 14:58 ─
         ◆ Revert the last merge            once
           what   revert 4f1c2aa "Merge branch
                  'coupons'" on production and
                  push it
           where  production, /opt/pakashop
           why    A bad merge is the commonest
                  cause, and a revert redeploys
                  in minutes.
           undo   revert the revert
           who    incident_commander (mwansa) ·
                  not chanda
         why not? too risky
         enter send · esc back · ctrl-c detach
    "#);
    let Intent::Submit(Request::Deny { reason, .. }) = press(&mut story, KeyCode::Enter) else { panic!("no denial") };
    assert_eq!(reason, "too risky");
}

#[test]
fn a_key_that_comes_too_soon_after_a_question_is_ignored() {
    let mut story = Story::after_checks();
    story.engine(Event::Step(StepEvent::Asked { run: RUN, step: step("rollback"), gate: Story::rollback() }));
    story.after(100);
    assert_eq!(press(&mut story, KeyCode::Enter), Intent::None);
    let says_too_soon = |story: &Story| story.region(80).contains("that key came too soon after the question");
    assert!(says_too_soon(&story), "{}", story.region(80));
    let accepts_keys_at = story.model.wake_at().expect("the screen changes when keys are accepted");
    story.model.tick(story.now);
    assert!(says_too_soon(&story) && story.now < accepts_keys_at);
    story.now = accepts_keys_at;
    story.model.tick(accepts_keys_at);
    let says_press_again = |story: &Story| story.region(80).contains("press that key again");
    assert!(!says_too_soon(&story) && says_press_again(&story), "{}", story.region(80));
    assert_eq!(story.model.wake_at(), None);
    assert!(matches!(press(&mut story, KeyCode::Enter), Intent::Submit(Request::Approve { .. })));
    assert_eq!(press(&mut story, KeyCode::Enter), Intent::None, "a second key does not submit a second request");
}

#[test]
fn a_line_typed_for_one_question_does_not_answer_the_next() {
    let mut story = Story::after_checks();
    story.asks("rollback", Story::rollback());
    press(&mut story, KeyCode::Char('n'));
    press(&mut story, KeyCode::Char('y'));
    story.person(Event::Step(StepEvent::Approved {
        run: RUN,
        step: step("rollback"),
        digest: "d1".to_owned(),
        person: None,
    }));
    story.asks("call", Gate::Manual { instruction: "Call".to_owned() });
    assert_eq!(story.model.typing, None);
}

#[test]
fn the_help_lists_every_key() {
    let mut story = Story::after_checks();
    press(&mut story, KeyCode::Char('?'));
    assert_snapshot!(story.region(40), @r"
        ─ lusab-fidok P1 produ… ─ notify 14:59 ─
           enter  take the choice, agree, say
                  it is done
           1-9    choose; arrows move
           y n s  do it, deny with a reason,
                  skip
           r h    retry; it happened
           tab    the next question
           o      what the step at work prints
           w      write a note into the log
           a      acknowledge the incident
           x      stop the run
           q      detach; nothing is lost (or
                  ctrl-c)
         o output · w note · a ack · x stop
         ? help · q detach
    ");
}

#[test]
#[expect(clippy::too_many_lines, reason = "one story with its screens")]
fn the_closing_summary_lists_failures_changes_and_deadlines() {
    let mut story = Story::after_checks();
    story.starts("restart", "systemd", EffectClass::Once);
    story.after(2_100);
    story.ends(
        "restart",
        Outcome::succeeded("restarted pakashop-gateway.service, active after 1.4s", serde_json::Value::Null),
    );
    story.starts("rollback", "git", EffectClass::Once);
    story.after(800);
    story.ends(
        "rollback",
        Outcome::failed("the work tree is dirty", serde_json::Value::Null).with_transcript(" M src/coupon.js\n"),
    );
    story.engine(Event::Step(StepEvent::Concluded {
        run: RUN,
        step: step("rollback"),
        conclusion: Conclusion::Tolerated,
        reason: None,
    }));
    story.after(230_000);
    story.starts("stakeholders", "notify", EffectClass::Once);
    let delivery = Delivery::new(&MessageId::Step(RUN, step("stakeholders")), "incidents", "incidents");
    story.engine(Event::Message(MessageEvent::Notified {
        delivery,
        message: None,
        place: Some("#incidents".to_owned()),
    }));
    story.ends("stakeholders", Outcome::succeeded("told 1 channel", serde_json::Value::Null));
    story.engine(Event::Deadline(DeadlineEvent::Met {
        name: "notify".to_owned(),
        met_at: story.now,
        step: Some(step("stakeholders")),
    }));
    story.engine(Event::Run(RunEvent::Ended { run: RUN, outcome: RunOutcome::Succeeded }));
    let summary = summary::summary(story.model.incident().unwrap(), story.now, &UNICODE);
    story.lines.extend(summary);
    let scrollback = story.scrollback(80);
    assert_snapshot!(scrollback.split_once("mitigate").unwrap().1, @r"
        03:04:08 ✓ Restart the gateway · restarted pakashop-gateway.service,        2.1s
                   active after 1.4s
        03:04:09 ✗ Revert the last merge · the work tree is dirty                   0.8s
                   │  M src/coupon.js
        03:04:09 ! Revert the last merge failed; the run goes on

        notify
        03:07:59 → told incidents (#incidents)
        03:07:59 ✓ Tell stakeholders · told 1 channel                                0ms
        03:07:59 ✓ notify done, 11:05 to spare

        ✓ Live platform down: p1 succeeded · 3:54 · 5 done, 1 failed
          failed   tolerated: Revert the last merge · the work tree is dirty
                   │  M src/coupon.js
          changed  Restart the gateway · restarted pakashop-gateway.service, active
                   after 1.4s
          tried    Revert the last merge · the work tree is dirty
          deadline notify done, 11:05 to spare
          still    the incident is not resolved
    ");
    let all: String = wrap::all(&story.lines, 40).iter().map(|row| row.text() + "\n").collect();
    assert_snapshot!(all.split_once("mitigate").unwrap().1, @r"
        ✓ Restart the gateway · restarted   2.1s
          pakashop-gateway.service, active
          after 1.4s
        ✗ Revert the last merge · the work  0.8s
          tree is dirty
          │  M src/coupon.js
        ! Revert the last merge failed; the run
          goes on

        notify
        → told incidents (#incidents)
        ✓ Tell stakeholders · told 1 channel 0ms
        ✓ notify done, 11:05 to spare

        ✓ Live platform down: p1 succeeded ·
          3:54 · 5 done, 1 failed
          failed   tolerated: Revert the last
                   merge · the work tree is
                   dirty
                   │  M src/coupon.js
          changed  Restart the gateway ·
                   restarted
                   pakashop-gateway.service,
                   active after 1.4s
          tried    Revert the last merge · the
                   work tree is dirty
          deadline notify done, 11:05 to spare
          still    the incident is not resolved
    ");
}

#[test]
fn a_small_terminal_shows_the_countdown_and_the_keys() {
    use super::stepper::view::view;
    use super::widgets::frame::Size;
    let mut story = Story::after_checks();
    story.asks("rollback", Story::rollback());
    for (columns, rows) in [(40, 6), (30, 10), (20, 5), (200, 8)] {
        let frame = view(&story.model, story.now, Size { columns, rows });
        assert!(frame.rows.len() < rows, "{columns}x{rows}: {} rows", frame.rows.len());
        let text: Vec<String> = frame.rows.iter().map(wrap::WrappedRow::text).collect();
        assert!(text.iter().any(|row| row.contains("notify")), "{text:#?}");
        assert!(text.iter().any(|row| row.contains("y do it")), "{text:#?}");
    }
}
