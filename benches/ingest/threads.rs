//! The bare server with one thread per connection, and one that writes and syncs the requests that arrived during the last
//! sync. It has no web framework, no JSON and no alerts.

use std::fs::File;
use std::io::Write as _;
use std::net::TcpListener;
use std::sync::{Arc, Condvar, Mutex};

use super::bare::TAKEN;
use super::poll::Connection;

/// The requests that wait for the disk.
#[derive(Default)]
struct Pending {
    posts: Vec<u8>,
    /// The number of the current batch, and of the last synced one.
    gathering: u64,
    synced: u64,
}

#[derive(Default)]
struct Shared {
    pending: Mutex<Pending>,
    arrived: Condvar,
    written: Condvar,
}

pub fn serve(port: u16, file: &str) {
    let listener = TcpListener::bind(("127.0.0.1", port)).expect("the port is free");
    let shared =
        Arc::new(Shared { pending: Mutex::new(Pending { gathering: 1, ..Pending::default() }), ..Shared::default() });
    let (file, writer) = (File::create(file).expect("a file can be made"), Arc::clone(&shared));
    std::thread::spawn(move || commit(file, &writer));
    for stream in listener.incoming() {
        let shared = Arc::clone(&shared);
        std::thread::spawn(move || answer(Connection::new(stream.expect("a connection")), &shared));
    }
}

fn answer(mut connection: Connection, shared: &Shared) {
    while connection.fill() {
        while let Some(post) = connection.message() {
            let mut pending = shared.pending.lock().expect("nobody panics");
            pending.posts.extend_from_slice(&post);
            let batch = pending.gathering;
            shared.arrived.notify_one();
            let waited = shared.written.wait_while(pending, |pending| pending.synced < batch);
            drop(waited.expect("nobody panics"));
            if connection.stream.write_all(TAKEN).is_err() {
                return;
            }
        }
    }
}

fn commit(mut file: File, shared: &Shared) {
    loop {
        let pending = shared.pending.lock().expect("nobody panics");
        let mut pending =
            shared.arrived.wait_while(pending, |pending| pending.posts.is_empty()).expect("nobody panics");
        let (posts, batch) = (std::mem::take(&mut pending.posts), pending.gathering);
        pending.gathering += 1;
        drop(pending);
        file.write_all(&posts).and_then(|()| file.sync_data()).expect("the file can be written");
        shared.pending.lock().expect("nobody panics").synced = batch;
        shared.written.notify_all();
    }
}
