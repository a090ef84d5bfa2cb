//! Faults: Slack does not answer, or the log is locked.

use std::time::Duration;

use super::blocks::text_of;
use super::server::{ADA, BOB, SlackServer};
use crate::real::slack::{Fault, Message};

#[test]
fn the_incident_message_is_posted_when_slack_answers_again() {
    let server = SlackServer::http();
    server.slack.next(Fault::TooMany(1)).next(Fault::Status(500)).next(Fault::Error("internal_error"));
    server.reply_to(ADA, "start p1");
    server.message("Live platform down");
    server.slack.always_for("chat.update", Fault::Status(503));
    server.reply_to(ADA, "ack");
    server.slack.recover();
    server.message("acknowledged by ada");
    let live = server.slack.messages().into_iter().filter(|message| message.thread.is_none()).count();
    assert_eq!(live, 1, "refused requests posted nothing");
}

#[test]
fn a_lost_answer_causes_at_most_one_duplicate_and_blocks_nothing() {
    let server = SlackServer::http();
    server.slack.next(Fault::Lost);
    let reply = server.command(ADA, "start p1");
    assert!(server.answer(&reply).contains("Live platform down"));
    assert!(server.reply_to(ADA, "note seen").contains("Note added"), "only the incident message hangs");
    server.until("it is posted again", || {
        server.slack.messages().iter().filter(|message| message.thread.is_none()).count() == 2
    });
    server.reply_to(ADA, "ack");
    server.message("acknowledged by ada");
    assert_eq!(server.slack.messages().iter().filter(|message| message.thread.is_none()).count(), 2);
}

#[test]
fn after_a_restart_the_same_messages_are_changed() {
    let mut server = SlackServer::http();
    server.reply_to(BOB, "start p1");
    server.message("[infrastructure]");
    server.until("both are posted", || server.slack.messages().len() == 2);
    let id = server.incident();
    // A message that is posted and not yet recorded would be posted again.
    server.until("both are recorded", || server.timeline(&id).matches("shown in").count() >= 2);
    server.stop();
    server.cli(&["answer", &id, "cause", "code", "--detach"]);
    server.start();
    server.message("answered: code");
    server.message("[Run touch");
    server.until("the next question is posted", || server.slack.messages().len() == 3);
    let asked = |message: &Message| message.thread.is_some() && text_of(&message.blocks).contains("bob answered: code");
    assert_eq!(server.slack.messages().into_iter().filter(asked).count(), 0, "no message repeats the answer");
}

#[test]
fn a_command_is_answered_within_a_second_while_the_log_is_locked() {
    let server = SlackServer::http();
    server.reply_to(ADA, "start p1");
    server.message("Live platform down");
    let log = rusqlite::Connection::open(server.log_file()).unwrap();
    log.busy_timeout(Duration::from_secs(30)).unwrap();
    log.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let begun = std::time::Instant::now();
    let reply = server.command(ADA, "note written while it was locked");
    assert_eq!(reply.status, 200);
    let text = server.answer(&reply);
    let took = begun.elapsed();
    assert!(text.contains("takes longer than usual"), "{text}");
    assert!(took < Duration::from_secs(1), "{took:?}");
    log.execute_batch("COMMIT").unwrap();
    server.until("the note is recorded", || server.slack.replies(&reply.number).len() == 2);
    let text = text_of(&server.slack.replies(&reply.number)[1]["blocks"]);
    assert!(text.contains("Note added"), "{text}");
    assert!(server.timeline(&server.incident()).contains("written while it was locked"));
}
