//! The board on a real terminal: what systemd tells is shown unasked, keys do what they say, the terminal is given back.

use std::path::Path;

use portable_pty::CommandBuilder;
use rustix::process::Signal;

use super::super::real::shop::Shop;
use super::super::real::terminal::Terminal;
use super::directory;

/// The board on a terminal.
fn board(directory: &Path, words: &[&str]) -> Terminal {
    let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_runbook"));
    command.args(["status", "--watch"]);
    command.args(words);
    Terminal::start((80, 24), directory, command, &[("LANG", "C.UTF-8")])
}

/// Waits for the end, and shows that the terminal is given back: the exit code.
fn given_back(board: &mut Terminal) -> u32 {
    let code = board.exit_code();
    let bytes = String::from_utf8_lossy(&board.bytes()).into_owned();
    let last = |sequence: &str| bytes.rfind(sequence).unwrap_or_else(|| panic!("no {sequence:?}"));
    assert!(last("\x1b[?1049l") > last("\x1b[?1049h") && last("\x1b[?25h") > last("\x1b[?25l"));
    assert!(!board.is_alternate());
    code
}

const SLEEPS: &str = "[Service]\nExecStart=/bin/sleep infinity\n";

fn small() -> (Shop, tempfile::TempDir) {
    let shop = Shop::bare(&[("a.service", SLEEPS), ("b.service", SLEEPS), ("c.service", SLEEPS)]);
    shop.systemctl(&["start", "a.service", "b.service", "c.service"]);
    let directory = directory(&(shop.estate("") + "  a: { unit: a }\n  b: { unit: b }\n  c: { unit: c }\n"));
    (shop, directory)
}

#[test]
fn what_systemd_tells_is_shown_without_asking_again() {
    let (shop, directory) = small();
    let mut board = board(directory.path(), &["--every", "1h", "--no-probes"]);
    let screen = board.see("✓ 3 up");
    assert!(screen.contains("▸ ✓ up       a") && screen.contains("nothing has changed yet"), "{screen}");
    shop.systemctl(&["stop", "b.service"]);
    let screen = board.see("b down: stopped");
    let rows: Vec<&str> = screen.lines().collect();
    assert!(rows[0].contains("✗ 1 down") && rows[2].contains("✗ down     b"), "trouble is first:\n{screen}");
    shop.systemctl(&["start", "b.service"]);
    board.see("b up again, was down");
    shop.systemctl(&["restart", "c.service"]);
    board.see("c restarted");
    board.press("q");
    assert_eq!(given_back(&mut board), 0);
}

#[test]
fn the_board_fits_whatever_size_the_terminal_takes() {
    let (_shop, directory) = small();
    let mut board = board(directory.path(), &["--no-probes"]);
    board.see("✓ up       c");
    for (columns, rows) in [(40, 20), (100, 30), (30, 8), (20, 5), (80, 24)] {
        board.resize(columns, rows);
        board.until(&format!("{columns}x{rows}"), |screen| {
            let lines: Vec<&str> = screen.lines().collect();
            lines.len() == usize::from(rows) && lines[usize::from(rows) - 1].contains("choose")
        });
    }
    board.signal(Signal::TERM);
    assert_eq!(given_back(&mut board), 0);
}

#[test]
fn a_key_starts_the_runbook_for_the_chosen_row_and_the_board_comes_back() {
    let (shop, directory) = small();
    shop.systemctl(&["stop", "c.service"]);
    let mut board = board(directory.path(), &["--no-probes"]);
    board.see("✗ 1 down");
    board.press("\x1b[Br");
    board.see("`runbook start mend --env production --param service=a` opens an incident");
    board.press("x");
    board.see("r runbook");
    board.press("\x1b[Ar");
    board.see("--param service=c` opens an incident");
    board.press("\r");
    board.see("press any key to go back to the board");
    board.see("Look at c");
    board.press(" ");
    board.see("✗ 1 down");
    shop.systemctl(&["start", "c.service"]);
    board.see("✓ 3 up");
    board.press("\u{3}");
    assert_eq!(given_back(&mut board), 0);
}
