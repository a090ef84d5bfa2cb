//! Every alert that was answered 2xx is in the log after SIGKILL and after a full disk.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::process::Signal;

use super::server::{IntakeServer, KEY, alert, post};
use crate::real::eventually;

/// How often the server is killed.
const KILLS: u64 = 20;

/// Concurrent senders.
const POSTERS: usize = 4;

#[test]
fn every_accepted_alert_is_in_the_log_after_twenty_kills() {
    let mut server = IntakeServer::stopped();
    let accepted = Arc::new(Mutex::new(BTreeSet::new()));
    let number = Arc::new(AtomicUsize::new(0));
    for kill in 0..KILLS {
        server.start(Signal::KILL);
        let over = Arc::new(AtomicBool::new(false));
        let posters: Vec<_> = (0..POSTERS)
            .map(|_| {
                let (port, over) = (server.port(), Arc::clone(&over));
                let (accepted, number) = (Arc::clone(&accepted), Arc::clone(&number));
                std::thread::spawn(move || {
                    while !over.load(Ordering::Relaxed) {
                        let own = number.fetch_add(1, Ordering::Relaxed);
                        let body = alert(&format!("storm-{}", own % 7), own).to_string();
                        if post(port, "alertmanager", KEY, &[], body.as_bytes()) == 200 {
                            accepted.lock().unwrap().insert(own);
                        }
                    }
                })
            })
            .collect();
        std::thread::sleep(Duration::from_millis(60 + kill * 37 % 200));
        server.stop();
        over.store(true, Ordering::Relaxed);
        posters.into_iter().for_each(|poster| poster.join().unwrap());
    }
    server.stdout(&["verify"]);
    let all = server.timelines();
    let accepted = accepted.lock().unwrap();
    let lost: Vec<&usize> = accepted.iter().filter(|own| !all.contains(&format!("firing-{own}-"))).collect();
    println!("{} of {} were accepted", accepted.len(), number.load(Ordering::Relaxed));
    assert!(lost.is_empty(), "answered 2xx and lost: {lost:?}");
    assert!(accepted.len() > 20, "only {} were accepted", accepted.len());
    let incidents = server.incidents().as_array().map_or(0, Vec::len);
    assert!(incidents <= 7, "one incident per group, not {incidents}");
}

/// A small tmpfs, unmounted with the value. Needs root.
struct Disk(PathBuf);

impl Disk {
    fn at(path: &Path) -> Self {
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=4m", "none"]).arg(path);
        crate::real::run(&mut mount, "mount");
        Self(path.to_owned())
    }

    /// Fills the file system to the last byte.
    fn fill(&self) {
        let mut file = fs::File::create(self.filler()).unwrap();
        let mut size = 64 * 1024;
        while size > 0 {
            if file.write_all(&vec![1; size]).is_err() {
                size /= 2;
            }
        }
    }

    fn filler(&self) -> PathBuf {
        self.0.join("filler")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        crate::real::run(Command::new("umount").args(["--lazy"]).arg(&self.0), "mount");
    }
}

#[test]
fn a_full_disk_is_answered_503_until_there_is_space_again() {
    let mut server = IntakeServer::stopped();
    let disk = Disk::at(&server.state());
    server.start(Signal::TERM);
    let mut accepted = Vec::new();
    let mut post = |number: usize| {
        let answer = server.post("alertmanager", KEY, alert("full", number).to_string().as_bytes());
        if answer == 200 {
            accepted.push(number);
        }
        answer
    };
    assert_eq!(post(0), 200);
    disk.fill();
    let refused = (1..500).map(&mut post).find(|answer| *answer != 200);
    assert_eq!(refused, Some(503), "a full disk is our error, and the sender retries");
    assert_eq!(post(500), 503, "it stays full");
    fs::remove_file(disk.filler()).unwrap();
    let mut number = 500;
    eventually("it accepts alerts again", || {
        number += 1;
        post(number) == 200
    });
    let all = server.timelines();
    assert!(accepted.iter().all(|number| all.contains(&format!("firing-{number}-"))), "{accepted:?} in {all}");
    assert!(server.is_ready());
    server.stdout(&["verify"]);
    server.stop();
}
