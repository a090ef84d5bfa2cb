//! Tokens that are changed while the server runs.

use super::house::{ADA, House};
use crate::real::slack::TOKEN;

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
    house.reload("secret `bot` has another value");
    house.message("Live platform down");
    assert!(house.told(ADA, "ack").contains("is yours"), "and people are still heard");
    house.message("acknowledged by ada");
}
