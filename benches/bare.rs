//! The bare server with a web framework: it takes posts, writes their bodies to a file that is synced before the answer, and
//! does nothing else. What has come while the disk was busy is synced together. Any durable server that is made of the same
//! parts costs at least this.
//!
//! `bare PORT FILE`

use std::fs::File;
use std::io::Write as _;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::any;
use tokio::sync::{mpsc, oneshot};

/// A body, and who waits until it is on the disk.
type Post = (Bytes, oneshot::Sender<()>);

/// Posts that are synced together, at most.
const BATCH: usize = 256;

fn main() {
    let mut words = std::env::args().skip(1).filter(|word| word != "--bench");
    let (Some(port), Some(path)) = (words.next(), words.next()) else { return };
    let file = File::create(path).expect("a file can be made");
    let (posts, queue) = mpsc::channel(BATCH);
    std::thread::spawn(move || commit(file, queue));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let address = format!("127.0.0.1:{port}");
        let listener = tokio::net::TcpListener::bind(address).await.expect("the port is free");
        let router = Router::new().route("/", any(take)).with_state(Arc::new(posts));
        axum::serve(axum::serve::ListenerExt::tap_io(listener, |stream| drop(stream.set_nodelay(true))), router)
            .await
            .expect("it serves until it is ended");
    });
}

async fn take(State(posts): State<Arc<mpsc::Sender<Post>>>, body: Bytes) -> StatusCode {
    let (done, synced) = oneshot::channel();
    let sent = posts.send((body, done)).await.is_ok();
    if sent && synced.await.is_ok() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}

fn commit(mut file: File, mut queue: mpsc::Receiver<Post>) {
    let mut posts = Vec::new();
    while queue.blocking_recv_many(&mut posts, BATCH) > 0 {
        let together: Vec<u8> = posts.iter().flat_map(|(body, _)| body).copied().collect();
        file.write_all(&together).and_then(|()| file.sync_data()).expect("the file can be written");
        // Whoever has gone needs no answer.
        posts.drain(..).for_each(|(_, done)| drop(done.send(())));
    }
}
