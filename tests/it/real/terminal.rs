//! A program on a pseudo-terminal, whose screen an emulator reads.

use std::io::{Read, Write};
use std::num::NonZeroU16;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};
use rustix::process::{Pid, Signal, kill_process};

/// How long a change of the screen may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// The output of the program so far.
struct Shown {
    parser: vt100::Parser,
    bytes: Vec<u8>,
    ended: bool,
}

/// A program on a terminal.
pub struct Terminal {
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

impl Terminal {
    /// Starts a program in its home directory, with these variables and no others.
    pub fn start(
        (columns, rows): (u16, u16),
        directory: &Path,
        mut command: CommandBuilder,
        variables: &[(&str, &str)],
    ) -> Self {
        let pair = native_pty_system().openpty(size(columns, rows)).unwrap();
        command.env_clear();
        for (name, value) in [("PATH", "/usr/bin:/bin"), ("TERM", "xterm-256color")].iter().chain(variables) {
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

    pub fn screen(&self) -> String {
        self.shown.0.lock().unwrap().parser.screen().contents()
    }

    /// All output, as bytes.
    pub fn bytes(&self) -> Vec<u8> {
        self.shown.0.lock().unwrap().bytes.clone()
    }

    /// Waits until a condition is true for the screen; returns the screen.
    pub fn until(&self, what: &str, is_true: impl Fn(&str) -> bool) -> String {
        let (lock, changed) = &*self.shown;
        let missing = |shown: &mut Shown| !is_true(&shown.parser.screen().contents()) && !shown.ended;
        let (shown, _) = changed.wait_timeout_while(lock.lock().unwrap(), PATIENCE, missing).unwrap();
        let screen = shown.parser.screen().contents();
        drop(shown);
        assert!(is_true(&screen), "{what} was not shown:\n{screen}");
        screen
    }

    /// Waits until the screen has `text`; returns the screen.
    pub fn see(&self, text: &str) -> String {
        self.until(&format!("`{text}`"), |screen| screen.contains(text))
    }

    pub fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
        self.keys.flush().unwrap();
    }

    pub fn resize(&self, columns: u16, rows: u16) {
        self.shown.0.lock().unwrap().parser.screen_mut().set_size(cells(rows), cells(columns));
        self.master.resize(size(columns, rows)).unwrap();
    }

    pub fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.child.process_id().unwrap()).unwrap();
        kill_process(Pid::from_raw(id).unwrap(), signal).unwrap();
    }

    /// Whether the screen is the alternate one.
    pub fn is_alternate(&self) -> bool {
        self.shown.0.lock().unwrap().parser.screen().alternate_screen()
    }

    /// Waits until the program ends; returns its exit code.
    pub fn exit_code(&mut self) -> u32 {
        let (lock, changed) = &*self.shown;
        let (shown, late) = changed.wait_timeout_while(lock.lock().unwrap(), PATIENCE, |shown| !shown.ended).unwrap();
        assert!(!late.timed_out(), "it has not ended:\n{}", shown.parser.screen().contents());
        drop(shown);
        self.child.wait().unwrap().exit_code()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // A failed test may have left the program running.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
