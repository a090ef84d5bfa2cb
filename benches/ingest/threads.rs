//! The bare server as it is usually made: a thread for every connection, and one that writes to the file what has come while
//! the disk was busy, syncs it, and lets all answer who waited for it. It knows no web framework, no JSON and no alerts.

use std::fs::File;
use std::io::Write as _;
use std::net::TcpListener;
use std::sync::{Arc, Condvar, Mutex};

use super::bare::TAKEN;
use super::poll::Connection;

/// What waits for the disk.
#[derive(Default)]
struct Desk {
    posts: Vec<u8>,
    /// The number of the batch that gathers now, and of the last that is on the disk.
    gathering: u64,
    synced: u64,
}

#[derive(Default)]
struct Hall {
    desk: Mutex<Desk>,
    come: Condvar,
    done: Condvar,
}

pub fn serve(port: u16, file: &str) {
    let listener = TcpListener::bind(("127.0.0.1", port)).expect("the port is free");
    let hall = Arc::new(Hall { desk: Mutex::new(Desk { gathering: 1, ..Desk::default() }), ..Hall::default() });
    let (file, writer) = (File::create(file).expect("a file can be made"), Arc::clone(&hall));
    std::thread::spawn(move || commit(file, &writer));
    for stream in listener.incoming() {
        let hall = Arc::clone(&hall);
        std::thread::spawn(move || answer(Connection::new(stream.expect("a connection")), &hall));
    }
}

fn answer(mut connection: Connection, hall: &Hall) {
    while connection.fill() {
        while let Some(post) = connection.message() {
            let mut desk = hall.desk.lock().expect("nobody panics");
            desk.posts.extend_from_slice(&post);
            let batch = desk.gathering;
            hall.come.notify_one();
            let waited = hall.done.wait_while(desk, |desk| desk.synced < batch);
            drop(waited.expect("nobody panics"));
            if connection.stream.write_all(TAKEN).is_err() {
                return;
            }
        }
    }
}

fn commit(mut file: File, hall: &Hall) {
    loop {
        let desk = hall.desk.lock().expect("nobody panics");
        let mut desk = hall.come.wait_while(desk, |desk| desk.posts.is_empty()).expect("nobody panics");
        let (posts, batch) = (std::mem::take(&mut desk.posts), desk.gathering);
        desk.gathering += 1;
        drop(desk);
        file.write_all(&posts).and_then(|()| file.sync_data()).expect("the file can be written");
        hall.desk.lock().expect("nobody panics").synced = batch;
        hall.done.notify_all();
    }
}
