//! The bare server: it appends each request to a file, syncs the file and answers. Requests that arrive during a sync are
//! synced together.
//!
//! For `/twice?<program>,<argument>…` it syncs twice, as for an alert and an intent, and then starts the program.

use std::fs::File;
use std::io::Write as _;
use std::net::TcpListener;
use std::os::fd::AsRawFd as _;
use std::process::Command;

use super::poll::{Connection, readable};

pub const TAKEN: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

pub fn serve(port: u16, file: &str) {
    let listener = TcpListener::bind(("127.0.0.1", port)).expect("the port is free");
    let mut file = File::create(file).expect("a file can be made");
    let mut connections: Vec<Connection> = Vec::new();
    loop {
        let descriptors = std::iter::once(listener.as_raw_fd()).chain(connections.iter().map(Connection::descriptor));
        let ready = readable(descriptors);
        let mut open = ready[1..].iter().map(|ready| !ready);
        connections.retain_mut(|connection| open.next().unwrap_or(true) || connection.fill());
        let posts: Vec<(usize, Vec<u8>)> = connections
            .iter_mut()
            .enumerate()
            .filter_map(|(index, connection)| Some((index, connection.message()?)))
            .collect();
        commit(&mut file, &posts);
        let twice: Vec<_> = posts.iter().filter_map(|(_, post)| program(post)).collect();
        if !twice.is_empty() {
            commit(&mut file, &posts);
            twice.into_iter().for_each(start);
        }
        for (index, _) in &posts {
            // A closed connection is noticed at the next read.
            let _ = connections[*index].stream.write_all(TAKEN);
        }
        if ready[0] {
            connections.push(Connection::new(listener.accept().expect("a connection").0));
        }
    }
}

fn commit(file: &mut File, posts: &[(usize, Vec<u8>)]) {
    if posts.is_empty() {
        return;
    }
    let together: Vec<u8> = posts.iter().flat_map(|(_, post)| post).copied().collect();
    file.write_all(&together).and_then(|()| file.sync_data()).expect("the file can be written");
}

/// The program that a request names, and its arguments.
fn program(post: &[u8]) -> Option<Vec<String>> {
    let line = post.split(|byte| *byte == b'\r').next()?;
    let (_, words) = std::str::from_utf8(line).ok()?.split_once("/twice?")?;
    Some(words.split(' ').next()?.split(',').map(str::to_owned).collect())
}

fn start(words: Vec<String>) {
    let child = Command::new(&words[0]).args(&words[1..]).spawn();
    // Another thread waits for it, so that no zombie is left.
    std::thread::spawn(move || child.expect("the program starts").wait());
}
