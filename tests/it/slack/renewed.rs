//! Tokens that are changed while the server runs.

use super::house::{ADA, House};
use crate::real::slack::{Fault, SECOND, TOKEN};

#[test]
fn a_new_token_is_taken_up_without_a_restart() {
    let mut house = House::with_token_file("xoxb-of-old-times");
    house.told(ADA, "start p1");
    let shown = |house: &House, token: &str| {
        let bearer = format!("Bearer {token}");
        house.slack.requests().iter().any(|request| request.authorization.as_ref() == Some(&bearer))
    };
    house.until("the old one was tried", || shown(&house, "xoxb-of-old-times"));
    assert_eq!(house.slack.messages().len(), 0, "Slack does not know the old one");
    house.put("bot_token", TOKEN);
    house.reload("secret `bot` changed");
    house.message("Live platform down");
    assert!(house.told(ADA, "ack").contains("Acknowledged"), "and people are still heard");
    house.message("acknowledged by ada");
}

#[test]
fn what_is_being_posted_while_tokens_change_is_posted_once() {
    let mut house = House::with_token_file(TOKEN);
    house.slack.next(Fault::Late(4_000));
    house.told(ADA, "start p1");
    house.until("it has arrived", || house.slack.messages().len() == 1);
    let id = house.incident();
    assert!(!house.timeline(&id).contains("shown in"), "and its answer is still on the way");
    house.put("bot_token", SECOND);
    house.reload("secret `bot` changed");
    house.told(ADA, "ack");
    house.message("acknowledged by ada");
    let live = house.slack.messages().into_iter().filter(|message| message.thread.is_none()).count();
    assert_eq!(live, 1, "the next board has waited for it");
    let bearer = Some(format!("Bearer {SECOND}"));
    assert!(house.slack.requests().iter().any(|request| request.authorization == bearer));
}
