//! A change of tokens while the server runs.

use super::server::{ADA, SlackServer};
use crate::real::slack::{Fault, SECOND, TOKEN};

#[test]
fn a_new_token_is_used_without_a_restart() {
    let server = SlackServer::with_token_file("xoxb-of-old-times");
    server.reply_to(ADA, "start p1");
    let is_used = |server: &SlackServer, token: &str| {
        let bearer = format!("Bearer {token}");
        server.slack.requests().iter().any(|request| request.authorization.as_ref() == Some(&bearer))
    };
    server.until("the old one was tried", || is_used(&server, "xoxb-of-old-times"));
    assert_eq!(server.slack.messages().len(), 0, "Slack does not know the old one");
    server.write("bot_token", TOKEN);
    server.reload("secret `bot` changed");
    server.message("Live platform down");
    assert!(server.reply_to(ADA, "ack").contains("Acknowledged"), "commands still work");
    server.message("acknowledged by ada");
}

#[test]
fn a_message_being_posted_during_a_token_change_is_posted_once() {
    let server = SlackServer::with_token_file(TOKEN);
    server.slack.next(Fault::Late(4_000));
    server.reply_to(ADA, "start p1");
    server.until("the message has arrived", || server.slack.messages().len() == 1);
    let id = server.incident();
    assert!(!server.timeline(&id).contains("shown in"), "the answer of Slack is still pending");
    server.write("bot_token", SECOND);
    server.reload("secret `bot` changed");
    server.reply_to(ADA, "ack");
    server.message("acknowledged by ada");
    let live = server.slack.messages().into_iter().filter(|message| message.thread.is_none()).count();
    assert_eq!(live, 1, "the next update has waited for the answer");
    let bearer = Some(format!("Bearer {SECOND}"));
    assert!(server.slack.requests().iter().any(|request| request.authorization == bearer));
}
