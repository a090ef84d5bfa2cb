//! What was answered 2xx is there: after SIGKILL in the middle of a storm, and after a disk that was full.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::process::Signal;

use super::house::{House, KEY, alert, post};
use crate::real::shop::eventually;

/// How often the server is killed.
const KILLS: u64 = 20;

/// How many post at a time.
const POSTERS: usize = 4;

#[test]
fn every_alert_that_was_taken_is_there_after_the_server_was_killed_twenty_times() {
    let mut house = House::closed();
    let taken = Arc::new(Mutex::new(BTreeSet::new()));
    let number = Arc::new(AtomicUsize::new(0));
    for kill in 0..KILLS {
        house.begin(Signal::KILL);
        let over = Arc::new(AtomicBool::new(false));
        let posters: Vec<_> = (0..POSTERS)
            .map(|_| {
                let (port, over) = (house.port(), Arc::clone(&over));
                let (taken, number) = (Arc::clone(&taken), Arc::clone(&number));
                std::thread::spawn(move || {
                    while !over.load(Ordering::Relaxed) {
                        let own = number.fetch_add(1, Ordering::Relaxed);
                        let body = alert(&format!("storm-{}", own % 7), own).to_string();
                        if post(port, "alertmanager", KEY, &[], body.as_bytes()) == 200 {
                            taken.lock().unwrap().insert(own);
                        }
                    }
                })
            })
            .collect();
        std::thread::sleep(Duration::from_millis(60 + kill * 37 % 200));
        house.end();
        over.store(true, Ordering::Relaxed);
        posters.into_iter().for_each(|poster| poster.join().unwrap());
    }
    house.told(&["verify"]);
    let all = house.everything();
    let taken = taken.lock().unwrap();
    let lost: Vec<&usize> = taken.iter().filter(|own| !all.contains(&format!("firing-{own}-"))).collect();
    println!("{} of {} were taken in", taken.len(), number.load(Ordering::Relaxed));
    assert!(lost.is_empty(), "answered 2xx and lost: {lost:?}");
    assert!(taken.len() > 20, "only {} were taken in", taken.len());
    let incidents = house.incidents().as_array().map_or(0, Vec::len);
    assert!(incidents <= 7, "one incident a group, not {incidents}");
}

/// A small file system of its own, until the value drops. Needs root.
struct Disk(PathBuf);

impl Disk {
    fn at(path: &Path) -> Self {
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=4m", "none"]).arg(path);
        crate::real::run(&mut mount, "mount");
        Self(path.to_owned())
    }

    /// Leaves no room for another byte.
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
fn a_full_disk_is_answered_503_and_is_forgotten_when_there_is_room_again() {
    let mut house = House::closed();
    let disk = Disk::at(&house.state());
    house.begin(Signal::TERM);
    let mut taken = Vec::new();
    let mut take = |number: usize| {
        let answer = house.post("alertmanager", KEY, alert("full", number).to_string().as_bytes());
        if answer == 200 {
            taken.push(number);
        }
        answer
    };
    assert_eq!(take(0), 200);
    disk.fill();
    let refused = (1..500).map(&mut take).find(|answer| *answer != 200);
    assert_eq!(refused, Some(503), "a full disk is our trouble, and the sender comes again");
    assert_eq!(take(500), 503, "it stays full");
    fs::remove_file(disk.filler()).unwrap();
    let mut number = 500;
    eventually("it takes alerts again by itself", || {
        number += 1;
        take(number) == 200
    });
    let all = house.everything();
    assert!(taken.iter().all(|number| all.contains(&format!("firing-{number}-"))), "{taken:?} in {all}");
    assert!(house.is_well());
    house.told(&["verify"]);
    house.end();
}
