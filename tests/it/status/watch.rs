//! `runbook status --watch` on a real terminal: changes, keys, sizes, and the restored terminal.

use std::path::Path;

use portable_pty::CommandBuilder;
use rustix::process::Signal;

use super::super::real::terminal::Terminal;
use super::super::real::units::Units;
use super::directory;

/// `status --watch` on a terminal.
fn watch_status(directory: &Path, words: &[&str]) -> Terminal {
    let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_runbook"));
    command.args(["status", "--watch"]);
    command.args(words);
    Terminal::start((80, 24), directory, command, &[("LANG", "C.UTF-8")])
}

/// Waits for the end, and fails unless the terminal is restored; the exit code.
fn exit_code_when_restored(terminal: &mut Terminal) -> u32 {
    let code = terminal.exit_code();
    let bytes = String::from_utf8_lossy(&terminal.bytes()).into_owned();
    let last = |sequence: &str| bytes.rfind(sequence).unwrap_or_else(|| panic!("no {sequence:?}"));
    assert!(last("\x1b[?1049l") > last("\x1b[?1049h") && last("\x1b[?25h") > last("\x1b[?25l"));
    assert!(!terminal.is_alternate());
    code
}

const SLEEPS: &str = "[Service]\nExecStart=/bin/sleep infinity\n";

fn three_units() -> (Units, tempfile::TempDir) {
    let units = Units::bare(&[("a.service", SLEEPS), ("b.service", SLEEPS), ("c.service", SLEEPS)]);
    units.systemctl(&["start", "a.service", "b.service", "c.service"]);
    let directory = directory(&(units.estate("") + "  a: { unit: a }\n  b: { unit: b }\n  c: { unit: c }\n"));
    (units, directory)
}

#[test]
fn changes_reported_by_systemd_are_shown_without_polling() {
    let (units, directory) = three_units();
    let mut terminal = watch_status(directory.path(), &["--every", "1h", "--no-probes"]);
    let screen = terminal.see("✓ 3 up");
    assert!(screen.contains("▸ ✓ up       a") && screen.contains("nothing has changed yet"), "{screen}");
    units.systemctl(&["stop", "b.service"]);
    let screen = terminal.see("b down: stopped");
    let rows: Vec<&str> = screen.lines().collect();
    assert!(rows[0].contains("✗ 1 down") && rows[2].contains("✗ down     b"), "failures are first:\n{screen}");
    units.systemctl(&["start", "b.service"]);
    terminal.see("b up again, was down");
    units.systemctl(&["restart", "c.service"]);
    terminal.see("c restarted");
    terminal.press("q");
    assert_eq!(exit_code_when_restored(&mut terminal), 0);
}

#[test]
fn the_screen_fits_any_terminal_size() {
    let (_shop, directory) = three_units();
    let mut terminal = watch_status(directory.path(), &["--no-probes"]);
    terminal.see("✓ up       c");
    for (columns, rows) in [(40, 20), (100, 30), (30, 8), (20, 5), (80, 24)] {
        terminal.resize(columns, rows);
        terminal.until(&format!("{columns}x{rows}"), |screen| {
            let lines: Vec<&str> = screen.lines().collect();
            lines.len() == usize::from(rows) && lines[usize::from(rows) - 1].contains("choose")
        });
    }
    terminal.signal(Signal::TERM);
    assert_eq!(exit_code_when_restored(&mut terminal), 0);
}

#[test]
fn a_key_starts_the_runbook_for_the_selected_row() {
    let (units, directory) = three_units();
    units.systemctl(&["stop", "c.service"]);
    let mut terminal = watch_status(directory.path(), &["--no-probes"]);
    terminal.see("✗ 1 down");
    terminal.press("\x1b[Br");
    terminal.see("`runbook start mend --env production --param service=a` opens an incident");
    terminal.press("x");
    terminal.see("r runbook");
    terminal.press("\x1b[Ar");
    terminal.see("--param service=c` opens an incident");
    terminal.press("\r");
    terminal.see("press any key to go back to the board");
    terminal.see("Look at c");
    terminal.press(" ");
    terminal.see("✗ 1 down");
    units.systemctl(&["start", "c.service"]);
    terminal.see("✓ 3 up");
    terminal.press("\u{3}");
    assert_eq!(exit_code_when_restored(&mut terminal), 0);
}
