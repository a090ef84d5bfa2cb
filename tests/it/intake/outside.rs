//! Other SQLite programs and commands of ours open and close the log while `serve` writes to it.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use runbook::actions::transport::process::output_detached;
use rustix::process::Signal;

use super::server::{IntakeServer, KEY, alert, post};
use crate::real::eventually;
use crate::real::sqlite::sqlite3;

/// How often the server is killed.
const KILLS: usize = 4;

/// Concurrent senders.
const POSTERS: usize = 2;

/// Answered alerts, and runs of each program, before the server is killed.
const ALERTS: usize = 60;
const RUNS: usize = 4;

/// The senders and programs that run beside a server.
#[derive(Default)]
struct Stream {
    /// The alerts that were answered 2xx, by all servers.
    answered: Mutex<BTreeSet<usize>>,
    /// The number of the next alert.
    next: AtomicUsize,
    over: AtomicBool,
}

impl Stream {
    /// Posts alerts until the end.
    fn post(self: &Arc<Self>, port: u16) -> JoinHandle<()> {
        let stream = Arc::clone(self);
        thread::spawn(move || {
            while !stream.over.load(Ordering::Relaxed) {
                let number = stream.next.fetch_add(1, Ordering::Relaxed);
                let body = alert(&format!("stream-{}", number % 5), number).to_string();
                if (200..300).contains(&post(port, "alertmanager", KEY, &[], body.as_bytes())) {
                    stream.answered.lock().unwrap().insert(number);
                }
            }
        })
    }

    fn answered(&self) -> usize {
        self.answered.lock().unwrap().len()
    }

    /// Runs programs in order until the end, and counts the rounds. Each run must succeed.
    fn repeat(self: &Arc<Self>, mut programs: Vec<Command>) -> (Arc<AtomicUsize>, JoinHandle<()>) {
        let (stream, rounds) = (Arc::clone(self), Arc::new(AtomicUsize::new(0)));
        let counted = Arc::clone(&rounds);
        let repeater = thread::spawn(move || {
            while !stream.over.load(Ordering::Relaxed) {
                for program in &mut programs {
                    let output =
                        output_detached(program).expect("it starts; `sqlite3` is in the Debian package sqlite3");
                    let stderr = String::from_utf8_lossy(&output.stderr);
                    assert!(output.status.success(), "{program:?}: {} {stderr}", output.status);
                }
                rounds.fetch_add(1, Ordering::Relaxed);
            }
        });
        (counted, repeater)
    }
}

/// Ends the stream, also if the test fails.
struct Ending<'a>(&'a Stream);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.over.store(true, Ordering::Relaxed);
    }
}

/// The programs that open and close the log beside the server, by thread.
fn programs(server: &IntakeServer) -> Vec<Vec<Command>> {
    let (log, state) = (server.state().join("runbook.db"), server.state());
    let copy = |name: &str| state.join(name).display().to_string();
    let mut remove = Command::new("rm");
    remove.args(["-f", &copy("compact")]);
    vec![
        vec![sqlite3(&log, "SELECT count(*) FROM events")],
        vec![sqlite3(&log, &format!(".backup '{}'", copy("backup")))],
        vec![remove, sqlite3(&log, &format!("VACUUM INTO '{}'", copy("compact")))],
        vec![sqlite3(&log, "PRAGMA wal_checkpoint(TRUNCATE)")],
        vec![server.command(&["incidents"]), server.command(&["verify"])],
    ]
}

#[test]
fn every_accepted_alert_is_in_the_log_while_other_programs_open_it() {
    let mut server = IntakeServer::stopped();
    let stream = Arc::new(Stream::default());
    for _ in 0..KILLS {
        server.start(Signal::KILL);
        stream.over.store(false, Ordering::Relaxed);
        let ending = Ending(&stream);
        let before = stream.answered();
        let posters: Vec<_> = (0..POSTERS).map(|_| stream.post(server.port())).collect();
        let (rounds, repeaters): (Vec<_>, Vec<_>) =
            programs(&server).into_iter().map(|programs| stream.repeat(programs)).unzip();
        eventually("alerts were answered and every program has opened the log", || {
            let repeated = rounds.iter().all(|rounds| rounds.load(Ordering::Relaxed) >= RUNS);
            let failed = repeaters.iter().any(JoinHandle::is_finished);
            failed || repeated && stream.answered() >= before + ALERTS
        });
        server.stop();
        drop(ending);
        posters.into_iter().chain(repeaters).for_each(|thread| thread.join().unwrap());
    }
    server.start(Signal::TERM);
    server.stdout(&["verify"]);
    let all = server.timelines();
    let answered = stream.answered.lock().unwrap();
    let lost: Vec<&usize> = answered.iter().filter(|number| !all.contains(&format!("firing-{number}-"))).collect();
    assert!(lost.is_empty(), "{} of {} alerts that were answered 2xx are lost: {lost:?}", lost.len(), answered.len());
    server.stop();
    server.stdout(&["verify"]);
    assert!(fs::metadata(server.state().join("backup")).unwrap().len() > 0);
}
