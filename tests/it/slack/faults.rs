//! Slack that does not answer, and a log that does not.

use std::time::Duration;

use super::house::{ADA, BOB, House};
use super::look::seen;
use crate::real::slack::{Fault, Message};

#[test]
fn the_board_is_shown_when_slack_answers_again() {
    let house = House::http();
    house.slack.next(Fault::TooMany(1)).next(Fault::Status(500)).next(Fault::Error("internal_error"));
    house.told(ADA, "start p1");
    house.message("Live platform down");
    house.slack.hinder("chat.update", Fault::Status(503));
    house.told(ADA, "ack");
    house.slack.recover();
    house.message("acknowledged by ada");
    let live = house.slack.messages().into_iter().filter(|message| message.thread.is_none()).count();
    assert_eq!(live, 1, "what was refused was not posted");
}

#[test]
fn a_lost_answer_costs_one_message_more_at_most_and_nobody_else_waits() {
    let house = House::http();
    house.slack.next(Fault::Lost);
    let reply = house.command(ADA, "start p1");
    assert!(house.answer(&reply).contains("Live platform down"));
    assert!(house.told(ADA, "note seen").contains("Note added"), "the board hangs, and nothing else");
    house.until("it is posted again", || {
        house.slack.messages().iter().filter(|message| message.thread.is_none()).count() == 2
    });
    house.told(ADA, "ack");
    house.message("acknowledged by ada");
    assert_eq!(house.slack.messages().iter().filter(|message| message.thread.is_none()).count(), 2);
}

#[test]
fn after_a_restart_the_same_messages_are_changed() {
    let mut house = House::http();
    house.told(BOB, "start p1");
    house.message("[infrastructure]");
    house.until("both are posted", || house.slack.messages().len() == 2);
    let id = house.incident();
    // One that was posted and not yet written down would be posted once more.
    house.until("both are written down", || house.timeline(&id).matches("shown in").count() >= 2);
    house.end();
    house.cli(&["answer", &id, "cause", "code", "--detach"]);
    house.begin();
    house.message("answered: code");
    house.message("[Run touch");
    house.until("the next question is posted", || house.slack.messages().len() == 3);
    let asked = |message: &Message| message.thread.is_some() && seen(&message.blocks).contains("bob answered: code");
    assert_eq!(house.slack.messages().into_iter().filter(asked).count(), 0, "nobody says what somebody else answered");
}

#[test]
fn who_asks_is_answered_within_a_second_whatever_the_log_does() {
    let house = House::http();
    house.told(ADA, "start p1");
    house.message("Live platform down");
    let log = rusqlite::Connection::open(house.log_file()).unwrap();
    log.busy_timeout(Duration::from_secs(30)).unwrap();
    log.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let begun = std::time::Instant::now();
    let reply = house.command(ADA, "note written while it was locked");
    assert_eq!(reply.status, 200);
    let said = house.answer(&reply);
    let took = begun.elapsed();
    assert!(said.contains("takes longer than usual"), "{said}");
    assert!(took < Duration::from_secs(1), "{took:?}");
    log.execute_batch("COMMIT").unwrap();
    house.until("it is written down", || house.slack.replies(&reply.number).len() == 2);
    let said = seen(&house.slack.replies(&reply.number)[1]["blocks"]);
    assert!(said.contains("Note added"), "{said}");
    assert!(house.timeline(&house.incident()).contains("written while it was locked"));
}
