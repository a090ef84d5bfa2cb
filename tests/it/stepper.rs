//! The stepper at a real terminal: the real program on a pseudo-terminal whose screen is read back by an emulator.
//!
//! Deliberately absent: how single lines look; the unit tests beside the code have every screen. Here it is shown that
//! keys, signals and hostile bytes do what they must between a real kernel and a real screen.

#![expect(clippy::disallowed_methods, reason = "tests start the real program and wait for what it shows")]

use std::path::Path;
use std::process::Command;

use portable_pty::CommandBuilder;
use rustix::process::Signal;
use tempfile::TempDir;

use crate::real::terminal::Terminal;

mod ssh;

/// What the stepper shows after a key that came sooner after a question than a person can read it, until it takes keys.
const PRESS_AGAIN: &str = "press that key again";
/// High enough for a whole run, so that nothing that is looked for has scrolled away.
const ROWS: u16 = 60;

const ESTATE: &str = "
estate: small
default_environment: production
environments:
  production: { branch: production }
roles:
  commander: { summary: Decides. }
";

/// A question, a change with its check, a failure, something by hand.
const RUNBOOK: &str = r#"
runbook: small
title: Small shop is down
severity: p1
summary: Customers cannot use the shop.
deadlines:
  notify: { within: 15m, from: opened, warn_at: 10m, fallback_at: 13m }
steps:
  - id: disk
    phase: identify
    name: Room on the disk
    command: [df, -P, /]
    effect: read
  - id: cause
    phase: assess
    name: Infrastructure or code?
    ask: { choices: [infrastructure, code], suggest: code }
  - id: restart
    phase: mitigate
    name: Restart the gateway
    why: Its log names no code fault.
    approve: { by: [commander] }
    command: [touch, DIRECTORY/restarted]
    verify: { command: [test, -e, DIRECTORY/restarted], effect: read, within: 10s }
  - id: broken
    name: Reload the search index
    shell: "echo connecting to 127.0.0.1:7700; echo no answer; exit 3"
    effect: read
  - id: told
    phase: notify
    name: Tell stakeholders
    manual: Tell the stakeholders.
    meets: notify
"#;

/// A shop in its own directory, with its log.
struct Shop {
    directory: TempDir,
}

impl Shop {
    fn with(runbook: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let runbooks = directory.path().join("runbooks");
        std::fs::create_dir(&runbooks).unwrap();
        std::fs::write(runbooks.join("estate.yaml"), ESTATE).unwrap();
        let runbook = runbook.replace("DIRECTORY", directory.path().to_str().unwrap());
        std::fs::write(runbooks.join("small.yaml"), runbook).unwrap();
        Self { directory }
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn terminal(&self, columns: u16, words: &[&str]) -> Terminal {
        self.terminal_with(columns, words, &[("LANG", "C.UTF-8")])
    }

    /// The program on a terminal of its own.
    fn terminal_with(&self, columns: u16, words: &[&str], variables: &[(&str, &str)]) -> Terminal {
        let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_runbook"));
        command.args(words);
        self.on_terminal(columns, command, variables)
    }

    fn on_terminal(&self, columns: u16, command: CommandBuilder, variables: &[(&str, &str)]) -> Terminal {
        Terminal::start((columns, ROWS), self.path(), command, variables)
    }

    /// The program without a terminal: its exit code, its output and its talk.
    fn piped(&self, words: &[&str]) -> (i32, String, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_runbook"));
        command.env_clear().env("PATH", "/usr/bin:/bin").env("HOME", self.path()).env("LANG", "C.UTF-8");
        let output =
            runbook::actions::transport::process::output_detached(command.current_dir(self.path()).args(words))
                .unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
    }
}

/// Presses a key, once more when the question takes keys if the first came too soon, and waits for the effect.
fn answer(terminal: &mut Terminal, key: &str, text: &str) {
    terminal.press(key);
    let screen = terminal.until(text, |screen| screen.contains(text) || screen.contains(PRESS_AGAIN));
    if screen.contains(PRESS_AGAIN) {
        terminal.press(key);
    }
    terminal.see(text);
}

/// What the kernel says when the window is closed or the line is cut.
fn hang_up(terminal: &mut Terminal) {
    terminal.signal(Signal::HUP);
    terminal.exit_code();
}

#[test]
fn a_person_goes_through_a_whole_run() {
    let shop = Shop::with(RUNBOOK);
    let mut terminal = shop.terminal(80, &["start", "small"]);
    terminal.see("notify due in 14:");
    terminal.see("▸ 2 code · suggested");
    answer(&mut terminal, "\r", "→ code");
    for part in ["Restart the gateway", "what ", "where ", "why ", "undo ", "who    commander", "y do it"] {
        terminal.see(part);
    }
    assert!(!shop.path().join("restarted").exists(), "nothing is changed before it is agreed to");
    answer(&mut terminal, "y", "Reload the search index failed: what now?");
    terminal.see("│ connecting to 127.0.0.1:7700");
    answer(&mut terminal, "s", "why skip?");
    terminal.press("not tonigj\u{7f}ht\r");
    terminal.see("skipped by");
    terminal.see("not tonight");
    terminal.see("By hand: Tell stakeholders");
    answer(&mut terminal, "\r", "Small shop is down: small succeeded");
    assert_eq!(terminal.exit_code(), 0, "{}", terminal.screen());
    let screen = terminal.screen();
    for part in
        ["✓ Room on the disk", "changed  Restart the gateway", "notify done, 14:", "the incident is not resolved"]
    {
        assert!(screen.contains(part), "`{part}` is missing:\n{screen}");
    }
    assert!(!screen.contains("q detach"), "the live region is gone:\n{screen}");
    let bytes = String::from_utf8(terminal.bytes()).unwrap();
    assert!(!bytes.contains("\x1b[6n") && !bytes.contains("?1049"), "it asks nothing and takes no other screen");
    let last = |sequence: &str| bytes.rfind(sequence).unwrap();
    assert!(last("\x1b[?25h") > last("\x1b[?25l") && last("\x1b[?2004l") > last("\x1b[?2004h"), "all is given back");
}

#[test]
fn who_detaches_loses_nothing_and_goes_on_by_watching() {
    let shop = Shop::with(RUNBOOK);
    let mut terminal = shop.terminal(80, &["start", "small"]);
    terminal.see("▸ 2 code");
    answer(&mut terminal, "1", "y do it");
    terminal.press("\u{3}");
    assert_eq!(terminal.exit_code(), 130);
    let screen = terminal.screen();
    assert!(
        screen.contains("detached") && screen.contains("runbook watch") && screen.contains("runbook cancel"),
        "{screen}"
    );

    let mut terminal = shop.terminal(80, &["watch"]);
    terminal.see("→ infrastructure");
    terminal.see("y do it");
    answer(&mut terminal, "n", "why not?");
    terminal.press("too risky\r");
    terminal.see("denied by");
    terminal.see("what now?");
    answer(&mut terminal, "x", "why stop the run?");
    terminal.press("enough\r");
    assert_eq!(terminal.exit_code(), 3, "{}", terminal.screen());
}

#[test]
fn a_terminal_that_goes_away_in_the_middle_of_a_step_loses_nothing() {
    let shop = Shop::with(
        "
runbook: small
title: Small shop is down
severity: p4
steps:
  - id: slow
    name: Wait for the caches
    shell: \"echo first line; until [ -e DIRECTORY/go ]; do sleep 0.05; done; echo came true\"
    effect: read
",
    );
    let mut terminal = shop.terminal(80, &["start", "small"]);
    terminal.see("Wait for the caches");
    answer(&mut terminal, "o", "│ first line");
    hang_up(&mut terminal);

    std::fs::write(shop.path().join("go"), "").unwrap();
    let mut terminal = shop.terminal(80, &["watch"]);
    terminal.see("came true");
    assert_eq!(terminal.exit_code(), 0, "{}", terminal.screen());
    let (code, _, talk) = shop.piped(&["verify"]);
    assert_eq!(code, 0, "{talk}");
}

/// Bytes that move cursors, ring, rename windows and turn writing round.
const HOSTILE: &str = "\u{1b}[2J\u{1b}[1;1HEVIL\u{1b}]0;owned\u{7}\u{9b}31m\u{202e}\u{8}";

#[test]
fn foreign_text_puts_no_control_sequence_on_the_terminal() {
    let shop = Shop::with(
        r#"
runbook: small
title: Small shop is down
severity: p4
params:
  who: { type: text, default: nobody }
steps:
  - id: reads
    name: Look at {{ params.who }}
    shell: "printf '%s\\n' {{ params.who }}; printf '%s\\n' {{ params.who }} >&2; exit 4"
    effect: read
"#,
    );
    let who = format!("who={HOSTILE}");
    let mut terminal = shop.terminal(80, &["start", "small", "--param", &who]);
    terminal.see("what now?");
    answer(&mut terminal, "w", "note:");
    terminal.press("\u{1b}[200~pasted\u{1b}[31m\ry\u{1b}[201~");
    terminal.see("pasted");
    terminal.press("\r");
    terminal.see(": pasted");
    answer(&mut terminal, "x", "why stop the run?");
    terminal.press("\r");
    terminal.exit_code();
    let bytes = terminal.bytes();
    let text = String::from_utf8(bytes).unwrap();
    assert!(text.contains("EVIL"), "what it was is shown");
    for sequence in ["\u{1b}[2J", "\u{1b}[1;1H", "\u{1b}]", "\u{7}", "\u{9b}", "\u{202e}", "\u{8}"] {
        assert!(!text.contains(sequence), "{sequence:?} has come through");
    }
    let (_, _, talk) = shop.piped(&["watch"]);
    assert!(!talk.contains('\u{1b}') && talk.contains("EVIL"), "{talk}");
}

#[test]
fn forty_columns_are_enough() {
    let shop = Shop::with(RUNBOOK);
    let mut terminal = shop.terminal(40, &["start", "small"]);
    terminal.see("notify 14:");
    terminal.see("▸ 2 code");
    answer(&mut terminal, "1", "◆ Restart the gateway");
    terminal.see("q detach");
    let screen = terminal.screen();
    let rule = screen.lines().position(|row| row.starts_with("─ ")).unwrap();
    let region: Vec<&str> = screen.lines().skip(rule).collect();
    assert!(region[0].contains("notify 14:") && region[0].ends_with(" ─"), "{screen}");
    assert!(region.iter().any(|row| row.contains("y do it · n deny")), "{screen}");
    assert_eq!(screen.matches("q detach").count(), 1, "no part of an older region is left:\n{screen}");
}

#[test]
fn without_colour_only_the_text_is_left_and_without_unicode_only_ascii() {
    let shop = Shop::with(RUNBOOK);
    let variables = [("NO_COLOR", "1"), ("LANG", "C")];
    let mut terminal = shop.terminal_with(80, &["start", "small"], &variables);
    terminal.see("> 2 code");
    answer(&mut terminal, "1", "y do it");
    terminal.press("\u{3}");
    terminal.exit_code();
    let text = String::from_utf8(terminal.bytes()).unwrap();
    let stepper = text.split("detached").next().unwrap();
    assert!(stepper.is_ascii(), "{stepper}");
    for colour in ["\u{1b}[1m", "\u{1b}[2m", "\u{1b}[31m", "\u{1b}[32m", "\u{1b}[33m", "\u{1b}[36m", "\u{1b}[1;31m"] {
        assert!(!text.contains(colour), "{colour:?} in\n{text}");
    }
}

#[test]
fn a_pipe_gets_plain_lines_until_a_person_is_needed() {
    let shop = Shop::with(RUNBOOK);
    let (code, output, talk) = shop.piped(&["start", "small"]);
    assert_eq!(code, 6, "{talk}");
    assert!(!talk.contains('\u{1b}') && !output.contains('\u{1b}'), "{talk}");
    assert!(talk.contains("✓ Room on the disk"), "{talk}");
    assert!(format!("{talk}{output}").contains("answer"), "the command that answers is named: {talk}");
}

#[test]
fn a_dumb_terminal_gets_plain_lines() {
    let shop = Shop::with(RUNBOOK);
    let mut terminal = shop.terminal_with(80, &["start", "small"], &[("TERM", "dumb"), ("LANG", "C.UTF-8")]);
    assert_eq!(terminal.exit_code(), 6, "{}", terminal.screen());
    assert!(!terminal.bytes().contains(&0x1b), "{}", terminal.screen());
}
