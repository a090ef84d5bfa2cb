//! What is posted besides the live message, and when: a question only when nobody answers it at once.

use super::house::{ADA, BOB, House};
use super::look::seen;
use crate::real::slack::Message;

/// The messages of the thread that read so.
fn posted(house: &House, words: &str) -> Vec<Message> {
    let reads = |message: &Message| message.thread.is_some() && seen(&message.blocks).contains(words);
    house.slack.messages().into_iter().filter(reads).collect()
}

#[test]
fn a_question_that_is_answered_at_once_rings_nobody() {
    let house = House::http();
    house.told(BOB, "start p3 service=search reason=slow");
    house.message("[Answer What is seen");
    let first = house.incident();
    house.cli(&["answer", &first, "look", "nothing", "--detach"]);
    house.message("answered: nothing");
    // Another question, later, that nobody answers.
    house.told(BOB, "start p3 service=gateway reason=slow");
    let second = house.until_second(&first);
    house.until("the one that waits is posted", || !posted(&house, "What is seen in gateway").is_empty());
    let asked = posted(&house, "What is seen in search");
    assert!(asked.is_empty(), "{asked:?}");
    assert!(house.timeline(&second).matches("shown in").count() >= 2);
    house.check();
}

#[test]
fn a_deadline_that_comes_near_is_posted_and_so_is_its_miss() {
    let house = House::http();
    house.told(BOB, "start p4");
    house.until("it is at risk", || !posted(&house, "Deadline owner at risk").is_empty());
    house.until("it is missed", || !posted(&house, "Deadline owner missed").is_empty());
    let live = house.message("missed at");
    assert_eq!(live.thread, None, "the live message says it too");
    assert_eq!(posted(&house, "Deadline owner").len(), 2, "each once");
    house.check();
}

#[test]
fn who_has_answered_in_the_live_message_stands_there() {
    let house = House::http();
    house.told(BOB, "start p1");
    let asked = house.message("[infrastructure]");
    assert_eq!(asked.thread, None, "the live message has the buttons before anything is posted");
    house.click(BOB, &asked, "code");
    let answered = house.message("bob answered: code");
    assert_eq!((answered.ts, answered.thread), (asked.ts, None));
    house.click(ADA, &house.message("[Run touch"), "Run touch");
    house.message("ada agreed");
    house.check();
}
