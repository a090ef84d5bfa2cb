//! Commands of the terminal in Slack; pending messages and identities of the command line.

use super::server::{ADA, BOB, SlackServer};
use crate::real::slack::Fault;

/// Commands that Slack does not have, and why.
const TERMINAL_ONLY: [(&str, &str); 17] = [
    ("serve", "it is the server itself"),
    ("simulate", "it reads a file on the host"),
    ("confirm", "it is used when a sender is set up"),
    ("lint", "it is for authors of runbooks"),
    ("schema", "it is for authors of runbooks"),
    ("kinds", "it is for authors of runbooks"),
    ("demo", "it needs a terminal"),
    ("completions", "it is for shells"),
    ("slack", "it prints the manifest of the app"),
    ("unit", "it sets up the host"),
    ("man", "it is for terminals"),
    ("help", "Slack has its own help"),
    ("logs", "logs of services stay on the host"),
    ("init", "it sets up the host"),
    ("doctor", "it checks the host before an incident"),
    ("schedule", "planned work is in the calendar"),
    ("stats", "it is for reviews"),
];

#[test]
fn every_command_of_the_terminal_exists_in_slack() {
    let server = SlackServer::http();
    let help = server.reply_to(ADA, "help");
    let listed = server.cli(&["help"]);
    let (_, commands) = listed.split_once("Commands:").expect("they are listed");
    let names = commands.lines().skip(1).take_while(|line| !line.is_empty()).filter(|line| !line.starts_with("   "));
    let names: Vec<&str> = names.filter_map(|line| line.split_whitespace().next()).collect();
    assert!(names.contains(&"cancel") && names.len() > 20, "{names:?}");
    let missing: Vec<&&str> = names
        .iter()
        .filter(|name| !TERMINAL_ONLY.iter().any(|(known, _)| known == *name))
        .filter(|name| !help.contains(&format!("/runbook {name}")) && !help.contains(&format!("`{name}`")))
        .collect();
    assert!(missing.is_empty(), "Slack has no {missing:?}");
    let reply = server.reply_to(BOB, "cancel");
    assert!(reply.contains("Type `/runbook cancel <reason>`"), "{reply}");
}

#[test]
fn a_run_is_controlled_from_slack_to_its_end() {
    let server = SlackServer::http();
    server.reply_to(BOB, "start tidy");
    server.click(BOB, &server.message("[Run touch"), "Run touch");
    server.message("[Try broken again]");
    assert!(server.is_repaired());
    assert!(server.reply_to(BOB, "retry").contains("is tried again"));
    server.until("it was tried twice", || server.reply_to(BOB, "timeline").contains("(attempt 2)"));
    server.message("[Try broken again]");
    assert!(server.reply_to(BOB, "skip broken").contains("Type `/runbook skip <step> <reason>`"));
    assert!(server.reply_to(BOB, "skip broken it is only a drill").contains("is skipped"));
    server.message("Anything else?");
    assert!(server.reply_to(BOB, "undo mark").contains("is being undone"));
    server.until("it is taken back", || !server.is_repaired());
    assert!(server.reply_to(BOB, "undo rest").contains("has no undo"));
    server.reply_to(BOB, "answer no");
    assert!(server.reply_to(BOB, "cancel the drill is over").contains("Cancelled"));
    let id = server.incident();
    server.until("it is stopped", || server.timeline(&id).contains("the drill is over"));
    assert!(server.reply_to(BOB, "incidents").contains("Tidies up"));
    assert!(server.reply_to(BOB, "show tidy").contains("Anything else?"));
    assert!(server.reply_to(BOB, "verify").contains("is whole"));
    assert!(server.reply_to(BOB, "page").contains("Incident page"));
    server.validate_messages();
}

#[test]
fn a_command_that_leaves_a_pending_message_warns_unless_a_server_delivers_it() {
    let mut server = SlackServer::stopped("signing_secret: { secret: signing }");
    server.slack.always(Fault::Status(500));
    let run = |server: &SlackServer, words: &[&str]| {
        let output = server.run_below(&[], words);
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let warning = "message to incidents not sent yet: no runbook process is running";
    let (code, reply) = run(&server, &["start", "tidy", "--auto"]);
    let id = server.incident();
    assert_eq!(code, Some(6), "{reply}");
    assert!(reply.contains(warning) && reply.contains(&format!("watch {id}")), "{reply}");
    let (_, reply) = run(&server, &["note", &id, "seen"]);
    assert!(reply.contains(warning), "{reply}");
    server.start();
    let (_, reply) = run(&server, &["note", &id, "seen again"]);
    assert!(!reply.contains("not sent yet"), "the server delivers it: {reply}");
    server.stop();
    let (_, reply) = run(&server, &["note", &id, "and again"]);
    assert!(reply.contains(warning), "the server is stopped: {reply}");
    server.slack.recover();
    server.start();
    server.until("it arrives", || server.timeline(&id).contains("told incidents"));
    server.stop();
    let (_, reply) = run(&server, &["note", &id, "and again"]);
    assert!(!reply.contains("not sent yet"), "{reply}");
}

#[test]
fn sudo_uid_is_ignored_in_a_user_namespace() {
    let server = SlackServer::stopped("signing_secret: { secret: signing }");
    server.run_below(&[], &["start", "p4", "--auto"]);
    let id = server.incident();
    let note_line = |before: &[&str], words: &str| {
        let output = server.run_below(before, &["note", &id, words]);
        assert!(output.status.success(), "`unshare` starts; install the Debian package `util-linux`: {output:?}");
        let timeline = server.timeline(&id);
        timeline.lines().find(|line| line.contains(words)).expect("the note is recorded").to_owned()
    };
    // The account `daemon` has number 1 on every Debian.
    let inside = note_line(&["SUDO_UID=1", "unshare", "--user", "--map-root-user"], "from within");
    assert!(!inside.contains("daemon"), "{inside}");
    let outside = note_line(&["SUDO_UID=1"], "from without");
    assert_eq!(outside.contains("daemon"), rustix::process::getuid().is_root(), "{outside}");
}
