//! The board on a real terminal: what systemd tells is shown unasked, keys do what they say, the terminal is given back.

use std::io::{Read, Write};
use std::num::NonZeroU16;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};
use rustix::process::{Pid, Signal, kill_process};

use super::super::real::shop::Shop;
use super::directory;

/// How long anything may take to appear on a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(30);

/// What has come out of the program so far.
struct Shown {
    parser: vt100::Parser,
    bytes: Vec<u8>,
    ended: bool,
}

/// The board on a terminal.
struct Board {
    keys: Box<dyn Write + Send>,
    master: Box<dyn MasterPty + Send>,
    child: Box<dyn Child + Send + Sync>,
    shown: Arc<(Mutex<Shown>, Condvar)>,
}

fn size(columns: u16, rows: u16) -> PtySize {
    PtySize { rows, cols: columns, pixel_width: 0, pixel_height: 0 }
}

fn cells(count: u16) -> NonZeroU16 {
    NonZeroU16::new(count).unwrap()
}

impl Board {
    fn of(directory: &Path, columns: u16, rows: u16, words: &[&str]) -> Self {
        let pair = native_pty_system().openpty(size(columns, rows)).unwrap();
        let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_runbook"));
        command.args(["status", "--watch"]);
        command.args(words);
        command.env_clear();
        for (name, value) in [("PATH", "/usr/bin:/bin"), ("TERM", "xterm-256color"), ("LANG", "C.UTF-8")] {
            command.env(name, value);
        }
        command.env("HOME", directory);
        command.cwd(directory);
        let child = pair.slave.spawn_command(command).unwrap();
        drop(pair.slave);
        let parser = vt100::Parser::new(cells(rows), cells(columns), 0);
        let shown = Arc::new((Mutex::new(Shown { parser, bytes: Vec::new(), ended: false }), Condvar::new()));
        let (mut reader, theirs) = (pair.master.try_clone_reader().unwrap(), Arc::clone(&shown));
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            loop {
                let count = reader.read(&mut buffer).unwrap_or(0);
                let mut shown = theirs.0.lock().unwrap();
                shown.parser.process(&buffer[..count]);
                shown.bytes.extend_from_slice(&buffer[..count]);
                shown.ended = count == 0;
                theirs.1.notify_all();
                if count == 0 {
                    break;
                }
            }
        });
        Self { keys: pair.master.take_writer().unwrap(), master: pair.master, child, shown }
    }

    /// Waits until a look at the screen says yes.
    fn until(&self, what: &str, is_true: impl Fn(&str) -> bool) -> String {
        let (lock, changed) = &*self.shown;
        let missing = |shown: &mut Shown| !is_true(&shown.parser.screen().contents()) && !shown.ended;
        let (shown, _) = changed.wait_timeout_while(lock.lock().unwrap(), PATIENCE, missing).unwrap();
        let screen = shown.parser.screen().contents();
        drop(shown);
        assert!(is_true(&screen), "{what} was not shown:\n{screen}");
        screen
    }

    fn see(&self, text: &str) -> String {
        self.until(&format!("`{text}`"), |screen| screen.contains(text))
    }

    fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
        self.keys.flush().unwrap();
    }

    fn resize(&self, columns: u16, rows: u16) {
        self.shown.0.lock().unwrap().parser.screen_mut().set_size(cells(rows), cells(columns));
        self.master.resize(size(columns, rows)).unwrap();
    }

    /// Waits for the end, and shows that the terminal is given back: the exit code.
    fn ends(&mut self) -> u32 {
        let (lock, changed) = &*self.shown;
        let (shown, late) = changed.wait_timeout_while(lock.lock().unwrap(), PATIENCE, |shown| !shown.ended).unwrap();
        assert!(!late.timed_out(), "it has not ended:\n{}", shown.parser.screen().contents());
        let bytes = String::from_utf8_lossy(&shown.bytes).into_owned();
        let last = |sequence: &str| bytes.rfind(sequence).unwrap_or_else(|| panic!("no {sequence:?}"));
        assert!(last("\x1b[?1049l") > last("\x1b[?1049h") && last("\x1b[?25h") > last("\x1b[?25l"));
        assert!(!shown.parser.screen().alternate_screen());
        drop(shown);
        self.child.wait().unwrap().exit_code()
    }
}

impl Drop for Board {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
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
    let mut board = Board::of(directory.path(), 80, 24, &["--every", "1h", "--no-probes"]);
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
    assert_eq!(board.ends(), 0);
}

#[test]
fn the_board_fits_whatever_size_the_terminal_takes() {
    let (_shop, directory) = small();
    let mut board = Board::of(directory.path(), 80, 24, &["--no-probes"]);
    board.see("✓ up       c");
    for (columns, rows) in [(40, 20), (100, 30), (30, 8), (20, 5), (80, 24)] {
        board.resize(columns, rows);
        board.until(&format!("{columns}x{rows}"), |screen| {
            let lines: Vec<&str> = screen.lines().collect();
            lines.len() == usize::from(rows) && lines[usize::from(rows) - 1].contains("choose")
        });
    }
    let id = i32::try_from(board.child.process_id().unwrap()).unwrap();
    kill_process(Pid::from_raw(id).unwrap(), Signal::TERM).unwrap();
    assert_eq!(board.ends(), 0);
}

#[test]
fn a_key_starts_the_runbook_for_the_chosen_row_and_the_board_comes_back() {
    let (shop, directory) = small();
    shop.systemctl(&["stop", "c.service"]);
    let mut board = Board::of(directory.path(), 80, 24, &["--no-probes"]);
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
    assert_eq!(board.ends(), 0);
}
