//! What the terminal can do, Slack can do; and what the terminal says of people and messages.

use super::house::{ADA, BOB, House};
use crate::real::slack::Fault;

/// Commands of the terminal that are nobody's at three in the morning, and why.
const WORKSHOP: [(&str, &str); 17] = [
    ("serve", "it is what answers"),
    ("simulate", "it looks at a file on the host"),
    ("confirm", "it is for who sets up a sender"),
    ("lint", "for who writes runbooks"),
    ("schema", "for who writes runbooks"),
    ("kinds", "for who writes runbooks"),
    ("demo", "it is a terminal's"),
    ("completions", "it is a shell's"),
    ("slack", "it makes the app"),
    ("unit", "it sets up the host"),
    ("man", "it is a terminal's"),
    ("help", "Slack has its own"),
    ("logs", "what services write stays on the host"),
    ("init", "it sets up the host"),
    ("doctor", "it looks at the host before anything happens"),
    ("schedule", "planned work stands in the calendar"),
    ("stats", "for the review of a month"),
];

#[test]
fn every_command_of_the_terminal_is_one_in_slack() {
    let house = House::http();
    let help = house.told(ADA, "help");
    let listed = house.cli(&["help"]);
    let (_, commands) = listed.split_once("Commands:").expect("they are listed");
    let names = commands.lines().skip(1).take_while(|line| !line.is_empty()).filter(|line| !line.starts_with("   "));
    let names: Vec<&str> = names.filter_map(|line| line.split_whitespace().next()).collect();
    assert!(names.contains(&"cancel") && names.len() > 20, "{names:?}");
    let missing: Vec<&&str> = names
        .iter()
        .filter(|name| !WORKSHOP.iter().any(|(known, _)| known == *name))
        .filter(|name| !help.contains(&format!("/runbook {name}")) && !help.contains(&format!("`{name}`")))
        .collect();
    assert!(missing.is_empty(), "Slack has no {missing:?}");
    let said = house.told(BOB, "cancel");
    assert!(said.contains("Type `/runbook cancel <reason>`"), "{said}");
}

#[test]
fn a_run_is_steered_from_slack_to_its_end() {
    let house = House::http();
    house.told(BOB, "start tidy");
    house.click(BOB, &house.message("[Run touch"), "Run touch");
    house.message("[Try broken again]");
    assert!(house.is_mended());
    assert!(house.told(BOB, "retry").contains("is tried again"));
    house.until("it was tried twice", || house.told(BOB, "timeline").contains("(attempt 2)"));
    house.message("[Try broken again]");
    assert!(house.told(BOB, "skip broken").contains("Type `/runbook skip <step> <reason>`"));
    assert!(house.told(BOB, "skip broken it is only a drill").contains("is skipped"));
    house.message("Anything else?");
    assert!(house.told(BOB, "undo mark").contains("is being undone"));
    house.until("it is taken back", || !house.is_mended());
    assert!(house.told(BOB, "undo rest").contains("says no way to undo it"));
    house.told(BOB, "answer no");
    assert!(house.told(BOB, "cancel the drill is over").contains("Stopped"));
    let id = house.incident();
    house.until("it is stopped", || house.timeline(&id).contains("the drill is over"));
    assert!(house.told(BOB, "incidents").contains("Tidies up"));
    assert!(house.told(BOB, "show tidy").contains("Anything else?"));
    assert!(house.told(BOB, "verify").contains("is whole"));
    assert!(house.told(BOB, "page").contains("Incident page"));
    house.check();
}

#[test]
fn who_leaves_while_a_message_is_owed_is_told_unless_somebody_delivers_it() {
    let mut house = House::closed("signing_secret: { secret: signing }");
    house.slack.always(Fault::Status(500));
    let told = |house: &House, words: &[&str]| {
        let output = house.tried(&[], words);
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let owed = "a message to incidents is still owed, and nobody is at work who delivers it";
    let (code, said) = told(&house, &["start", "tidy", "--auto"]);
    let id = house.incident();
    assert_eq!(code, Some(6), "{said}");
    assert!(said.contains(owed) && said.contains(&format!("watch {id}")), "{said}");
    let (_, said) = told(&house, &["note", &id, "seen"]);
    assert!(said.contains(owed), "{said}");
    house.begin();
    let (_, said) = told(&house, &["note", &id, "seen again"]);
    assert!(!said.contains("still owed"), "the server delivers it: {said}");
    house.end();
    let (_, said) = told(&house, &["note", &id, "and again"]);
    assert!(said.contains(owed), "it has gone: {said}");
    house.slack.recover();
    house.begin();
    house.until("it arrives", || house.timeline(&id).contains("told incidents"));
    house.end();
    let (_, said) = told(&house, &["note", &id, "and again"]);
    assert!(!said.contains("still owed"), "{said}");
}

#[test]
fn nobody_is_another_by_a_variable_in_a_user_namespace() {
    let house = House::closed("signing_secret: { secret: signing }");
    house.tried(&[], &["start", "p4", "--auto"]);
    let id = house.incident();
    let noted = |before: &[&str], words: &str| {
        let output = house.tried(before, &["note", &id, words]);
        assert!(output.status.success(), "`unshare` starts; install the Debian package `util-linux`: {output:?}");
        let timeline = house.timeline(&id);
        timeline.lines().find(|line| line.contains(words)).expect("it is written down").to_owned()
    };
    // The account `daemon` has number 1 on every Debian.
    let inside = noted(&["SUDO_UID=1", "unshare", "--user", "--map-root-user"], "from within");
    assert!(!inside.contains("daemon"), "{inside}");
    let outside = noted(&["SUDO_UID=1"], "from without");
    assert_eq!(outside.contains("daemon"), rustix::process::getuid().is_root(), "{outside}");
}
