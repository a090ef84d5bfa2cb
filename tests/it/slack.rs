//! A real `runbook serve` and people in Slack: from the first command to the end of an incident, and whatever is tried on the
//! way. Slack is a stand-in; what we send it is checked by Slack's own SDK.

mod faults;
mod hostile;
mod house;
mod refused;
mod socket;

use std::time::Duration;

use self::house::{ADA, BOB, House};

#[test]
fn an_incident_goes_from_a_command_to_its_end() {
    let house = House::http();
    let said = house.told(BOB, "start p1 service=search");
    assert!(said.contains("Live platform down on production"), "{said}");
    let live = house.message("Live platform down on production");
    let asked = house.message("[infrastructure]");
    house.click(BOB, &asked, "code");
    let agreed = house.message("[Run touch");
    assert!(!house.is_mended(), "nobody has agreed");
    house.click(ADA, &agreed, "Run touch");
    house.message("ada agreed");
    house.until("the change was made", || house.is_mended());
    let said = house.told(ADA, "resolve it was the search");
    assert!(said.starts_with("Resolved"), "{said}");
    let over = house.message("Resolved: Live platform down");
    assert!(house::seen(&over.blocks).contains("by ada") && over.thread.as_ref() == Some(&live.ts), "{over:?}");
    let now = house.message("P1 resolved");
    assert_eq!(now.ts, live.ts, "the same message is changed");
    for message in house.slack.messages() {
        assert!(house::button(&message.blocks, "").is_none(), "no button is left: {}", message.blocks);
    }
    assert!(house.check() > 8);
}

#[test]
fn everything_is_acknowledged_within_a_second() {
    let house = House::http();
    for words in ["start p1", "", "list", "status", "ack", "nonsense", "note seen", "role take communications", "handoff"] {
        let reply = house.command(ADA, words);
        assert_eq!(reply.status, 200);
        assert!(reply.took < Duration::from_secs(1), "`{words}` took {:?}", reply.took);
        assert!(!house.answer(&reply).is_empty(), "{words}");
    }
    house.check();
}
