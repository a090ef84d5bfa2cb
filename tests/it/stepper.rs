//! The stepper on a real terminal: keys, signals, hostile bytes, sizes, and output without a terminal.
//!
//! Not here: the text of each screen, see the unit tests of the stepper.

#![expect(clippy::disallowed_methods, reason = "tests start the real program and wait for what it shows")]

use std::path::Path;
use std::process::Command;

use portable_pty::CommandBuilder;
use rustix::process::Signal;
use tempfile::TempDir;

use crate::real::terminal::Terminal;

mod ssh;

/// The text that the stepper shows after a key that was pressed too soon after a question.
const PRESS_AGAIN: &str = "press that key again";
/// Enough rows for a whole run without scrolling.
const ROWS: u16 = 60;

const ESTATE: &str = "
estate: small
default_environment: production
environments:
  production: { branch: production }
roles:
  commander: { summary: Decides. }
";

/// A question, a change with a check, a failing step and a manual step.
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

/// A project directory with its state.
struct Project {
    directory: TempDir,
}

impl Project {
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

    /// The program on a terminal, with these variables.
    fn terminal_with(&self, columns: u16, words: &[&str], variables: &[(&str, &str)]) -> Terminal {
        let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_runbook"));
        command.args(words);
        self.on_terminal(columns, command, variables)
    }

    fn on_terminal(&self, columns: u16, command: CommandBuilder, variables: &[(&str, &str)]) -> Terminal {
        Terminal::start((columns, ROWS), self.path(), command, variables)
    }

    /// The program without a terminal: exit code, standard output, standard error.
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

/// Presses a key, again if the first press was too soon, and waits for the text.
fn answer(terminal: &mut Terminal, key: &str, text: &str) {
    terminal.press(key);
    let screen = terminal.until(text, |screen| screen.contains(text) || screen.contains(PRESS_AGAIN));
    if screen.contains(PRESS_AGAIN) {
        terminal.press(key);
    }
    terminal.see(text);
}

/// Sends the signal that the kernel sends when a terminal is closed.
fn hang_up(terminal: &mut Terminal) {
    terminal.signal(Signal::HUP);
    terminal.exit_code();
}

#[test]
fn a_person_completes_a_run() {
    let project = Project::with(RUNBOOK);
    let mut terminal = project.terminal(80, &["start", "small"]);
    terminal.see("notify due in 14:");
    terminal.see("▸ 2 code · suggested");
    answer(&mut terminal, "\r", "→ code");
    for part in ["Restart the gateway", "what ", "where ", "why ", "undo ", "who    commander", "y do it"] {
        terminal.see(part);
    }
    assert!(!project.path().join("restarted").exists(), "nothing is changed before the approval");
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
    assert!(!screen.contains("q detach"), "the live region is removed:\n{screen}");
    let bytes = String::from_utf8(terminal.bytes()).unwrap();
    assert!(!bytes.contains("\x1b[6n") && !bytes.contains("?1049"), "it sends no query and no alternate screen");
    let last = |sequence: &str| bytes.rfind(sequence).unwrap();
    assert!(
        last("\x1b[?25h") > last("\x1b[?25l") && last("\x1b[?2004l") > last("\x1b[?2004h"),
        "the terminal is restored"
    );
}

#[test]
fn a_detached_run_continues_and_watch_resumes_it() {
    let project = Project::with(RUNBOOK);
    let mut terminal = project.terminal(80, &["start", "small"]);
    terminal.see("▸ 2 code");
    answer(&mut terminal, "1", "y do it");
    terminal.press("\u{3}");
    assert_eq!(terminal.exit_code(), 130);
    let screen = terminal.screen();
    assert!(
        screen.contains("detached") && screen.contains("runbook watch") && screen.contains("runbook cancel"),
        "{screen}"
    );

    let mut terminal = project.terminal(80, &["watch"]);
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
fn a_terminal_that_closes_during_a_step_loses_nothing() {
    let project = Project::with(
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
    let mut terminal = project.terminal(80, &["start", "small"]);
    terminal.see("Wait for the caches");
    answer(&mut terminal, "o", "│ first line");
    hang_up(&mut terminal);

    std::fs::write(project.path().join("go"), "").unwrap();
    let mut terminal = project.terminal(80, &["watch"]);
    terminal.see("came true");
    assert_eq!(terminal.exit_code(), 0, "{}", terminal.screen());
    let (code, _, stderr) = project.piped(&["verify"]);
    assert_eq!(code, 0, "{stderr}");
}

/// Bytes that move the cursor, ring the bell, rename windows and reverse the writing direction.
const HOSTILE: &str = "\u{1b}[2J\u{1b}[1;1HEVIL\u{1b}]0;owned\u{7}\u{9b}31m\u{202e}\u{8}";

#[test]
fn text_from_outside_sends_no_control_sequence_to_the_terminal() {
    let project = Project::with(
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
    let mut terminal = project.terminal(80, &["start", "small", "--param", &who]);
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
    assert!(text.contains("EVIL"), "the printable part is shown");
    for sequence in ["\u{1b}[2J", "\u{1b}[1;1H", "\u{1b}]", "\u{7}", "\u{9b}", "\u{202e}", "\u{8}"] {
        assert!(!text.contains(sequence), "{sequence:?} was printed");
    }
    let (_, _, stderr) = project.piped(&["watch"]);
    assert!(!stderr.contains('\u{1b}') && stderr.contains("EVIL"), "{stderr}");
}

#[test]
fn the_stepper_fits_forty_columns() {
    let project = Project::with(RUNBOOK);
    let mut terminal = project.terminal(40, &["start", "small"]);
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
    let project = Project::with(RUNBOOK);
    let variables = [("NO_COLOR", "1"), ("LANG", "C")];
    let mut terminal = project.terminal_with(80, &["start", "small"], &variables);
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
fn a_pipe_gets_plain_lines_until_the_run_waits_for_a_person() {
    let project = Project::with(RUNBOOK);
    let (code, output, stderr) = project.piped(&["start", "small"]);
    assert_eq!(code, 6, "{stderr}");
    assert!(!stderr.contains('\u{1b}') && !output.contains('\u{1b}'), "{stderr}");
    assert!(stderr.contains("✓ Room on the disk"), "{stderr}");
    assert!(format!("{stderr}{output}").contains("answer"), "the command that answers is named: {stderr}");
}

#[test]
fn a_dumb_terminal_gets_plain_lines() {
    let project = Project::with(RUNBOOK);
    let mut terminal = project.terminal_with(80, &["start", "small"], &[("TERM", "dumb"), ("LANG", "C.UTF-8")]);
    assert_eq!(terminal.exit_code(), 6, "{}", terminal.screen());
    assert!(!terminal.bytes().contains(&0x1b), "{}", terminal.screen());
}
