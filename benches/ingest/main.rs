//! The programs of `benches/ingest.sh`: servers to compare with, a sender of alerts, and measurements of disk and start.
//!
//! They use the standard library only, so that they compile alone in seconds.
//!
//! ```text
//! sync DIRECTORY                              the disk: milliseconds of an appended block with its fsync
//! bare PORT FILE                              the bare server: one thread that waits for all connections
//! threads PORT FILE                           the bare server: one thread per connection
//! post PORT CONNECTIONS COUNT [KEY=VALUE …]   posts alerts and prints the rate and the times
//! first PORT COUNT STAMPS [KEY=VALUE …]       posts alerts one by one, each until the first step's program runs
//! stamp FILE                                  that program: appends the time at which it runs
//! ready PROGRAM ARGUMENT…                     milliseconds until a server reports that it is ready; ends the server
//! ```

#![expect(clippy::disallowed_methods, reason = "it measures real time and starts real programs")]

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::os::unix::net::UnixDatagram;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

mod bare;
mod poll;
mod post;
mod threads;

/// The bytes of each measured write: one block and a little more.
const BLOCK: usize = 4_120;

/// The number of measured writes.
const SYNCS: usize = 400;

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["sync", directory] => sync(directory),
        ["bare", port, file] => bare::serve(number(port), file),
        ["threads", port, file] => threads::serve(number(port), file),
        ["post", port, connections, count, more @ ..] => {
            post::post(number(port), number(connections), number(count), &post::Body::of(more));
        }
        ["first", port, count, stamps, more @ ..] => {
            post::first(number(port), number(count), stamps, &post::Body::of(more));
        }
        ["stamp", file] => stamp(file),
        ["ready", program, arguments @ ..] => ready(program, arguments),
        // `cargo bench` and `cargo test` run this with their own arguments.
        _ => eprintln!("benches/ingest.sh runs this"),
    }
}

fn number<T: std::str::FromStr>(word: &str) -> T {
    word.parse().unwrap_or_else(|_| panic!("`{word}` is not a number"))
}

/// Prints the median and the 99th percentile.
fn print_times(mut times: Vec<Duration>) {
    times.sort_unstable();
    let at = |part: f64| times.get((times.len() as f64 * part) as usize).map_or(f64::NAN, |time| time.as_secs_f64());
    println!("p50={:.3} p99={:.3}", at(0.50) * 1e3, at(0.99) * 1e3);
}

fn sync(directory: &str) {
    let path = format!("{directory}/sync");
    let mut file = File::create(&path).expect("a file can be made");
    let mut times = Vec::new();
    for _ in 0..SYNCS {
        let begun = Instant::now();
        file.write_all(&[0; BLOCK]).and_then(|()| file.sync_all()).expect("a file can be written");
        times.push(begun.elapsed());
    }
    print_times(times);
}

/// Nanoseconds since the epoch, comparable between processes.
fn now() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is past 1970").as_nanos()
}

fn stamp(file: &str) {
    let now = now();
    let mut file = OpenOptions::new().append(true).create(true).open(file).expect("the stamps can be written");
    writeln!(file, "{now}").expect("a stamp can be written");
}

/// Measures the time until a server sends `READY=1` (sd_notify(3)).
fn ready(program: &str, arguments: &[&str]) {
    let path = format!("{}/ingest.{}.notify", std::env::temp_dir().display(), std::process::id());
    let socket = UnixDatagram::bind(&path).expect("a socket can be made");
    let begun = Instant::now();
    let mut command = Command::new(program);
    command.args(arguments).env("NOTIFY_SOCKET", &path).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().expect("the program starts");
    let mut message = [0; 4_096];
    loop {
        let length = socket.recv(&mut message).expect("a message");
        if message[..length].split(|byte| *byte == b'\n').any(|line| line == b"READY=1") {
            break;
        }
    }
    println!("{:.3}", begun.elapsed().as_secs_f64() * 1e3);
    child.kill().and_then(|()| child.wait()).expect("a child can be ended");
    std::fs::remove_file(path).expect("the socket can be removed");
}
