//! Messages in the thread of the incident message, and when they are posted: a question only when nobody answers it at once.

use super::blocks::text_of;
use super::server::{ADA, BOB, SlackServer};
use crate::real::slack::Message;

/// The messages in threads with this text.
fn posted(server: &SlackServer, text: &str) -> Vec<Message> {
    let has_text = |message: &Message| message.thread.is_some() && text_of(&message.blocks).contains(text);
    server.slack.messages().into_iter().filter(has_text).collect()
}

#[test]
fn a_question_that_is_answered_at_once_is_not_posted() {
    let server = SlackServer::http();
    server.reply_to(BOB, "start p3 service=search reason=slow");
    server.message("[Answer What is seen");
    let first = server.incident();
    server.cli(&["answer", &first, "look", "nothing", "--detach"]);
    server.message("answered: nothing");
    // A later question that nobody answers.
    server.reply_to(BOB, "start p3 service=gateway reason=slow");
    let second = server.until_second(&first);
    server.until("the waiting question is posted", || !posted(&server, "What is seen in gateway").is_empty());
    let asked = posted(&server, "What is seen in search");
    assert!(asked.is_empty(), "{asked:?}");
    assert!(server.timeline(&second).matches("shown in").count() >= 2);
    server.validate_messages();
}

#[test]
fn a_deadline_at_risk_and_its_miss_are_posted() {
    let server = SlackServer::http();
    server.reply_to(BOB, "start p4");
    server.until("it is at risk", || !posted(&server, "Deadline owner at risk").is_empty());
    server.until("it is missed", || !posted(&server, "Deadline owner missed").is_empty());
    let live = server.message("missed at");
    assert_eq!(live.thread, None, "the incident message shows it too");
    assert_eq!(posted(&server, "Deadline owner").len(), 2, "each once");
    server.validate_messages();
}

#[test]
fn the_live_message_names_who_answered() {
    let server = SlackServer::http();
    server.reply_to(BOB, "start p1");
    let asked = server.message("[infrastructure]");
    assert_eq!(asked.thread, None, "the incident message has the buttons before anything is posted");
    server.click(BOB, &asked, "code");
    let answered = server.message("bob answered: code");
    assert_eq!((answered.ts, answered.thread), (asked.ts, None));
    server.click(ADA, &server.message("[Run touch"), "Run touch");
    server.message("ada agreed");
    server.validate_messages();
}
