//! An HTTP/2 server written frame by frame, for what no HTTP/2 library lets a server do to a connection.
//!
//! Each connection follows the next step of a plan; after the last step connections are served well.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{RUNTIME, listen, scripted};

/// What is done to a connection when its first request comes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    /// GOAWAY that says that no stream was processed, then the end of the connection.
    GoawayUnprocessed,
    /// GOAWAY that says that the request was processed, then the end of the connection.
    GoawayProcessed,
    /// The connection is cut without a word.
    Cut,
    /// Bytes that are no HTTP/2.
    Garbage,
    /// An HTTP/1.1 answer.
    OldHttp,
}

/// The server.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    connections: Arc<AtomicUsize>,
    requests: Arc<AtomicUsize>,
}

impl Server {
    /// Starts it with its plan.
    pub(crate) fn start(plan: &'static [Step]) -> Self {
        let (listener, address) = listen("127.0.0.1:0");
        let server = Self { address, connections: Arc::default(), requests: Arc::default() };
        let (connections, requests) = (Arc::clone(&server.connections), Arc::clone(&server.requests));
        RUNTIME.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let number = connections.fetch_add(1, Ordering::SeqCst);
                match plan.get(number) {
                    Some(step) => tokio::spawn(follow(stream, *step, Arc::clone(&requests))),
                    None => tokio::spawn(scripted::serve(stream)),
                };
            }
        });
        server
    }

    /// How many connections there were.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// How many requests met a step of the plan.
    pub(crate) fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

async fn follow(mut stream: TcpStream, step: Step, requests: Arc<AtomicUsize>) {
    if matches!(step, Step::OldHttp) {
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n").await;
        return;
    }
    if matches!(step, Step::Garbage) {
        let _ = stream.write_all(&[0xff; 64]).await;
        drain(stream).await;
        return;
    }
    let Some(id) = first_request(&mut stream).await else { return };
    requests.fetch_add(1, Ordering::SeqCst);
    let last = match step {
        Step::GoawayUnprocessed => 0,
        Step::GoawayProcessed => id,
        Step::Cut | Step::Garbage | Step::OldHttp => return,
    };
    let mut payload = last.to_be_bytes().to_vec();
    payload.extend_from_slice(&0_u32.to_be_bytes());
    let _ = stream.write_all(&frame(7, 0, 0, &payload)).await;
    let _ = stream.shutdown().await;
    drain(stream).await;
}

/// Greets the client, and reads up to the first request; its stream's number.
async fn first_request(stream: &mut TcpStream) -> Option<u32> {
    let mut preface = [0; 24];
    stream.read_exact(&mut preface).await.ok()?;
    stream.write_all(&frame(4, 0, 0, &[])).await.ok()?;
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).await.ok()?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let mut payload = vec![0; length];
        stream.read_exact(&mut payload).await.ok()?;
        match head[3] {
            1 => return Some(u32::from_be_bytes([head[5], head[6], head[7], head[8]]) & 0x7fff_ffff),
            // Settings are acknowledged, pings answered.
            4 if head[4] & 1 == 0 => stream.write_all(&frame(4, 1, 0, &[])).await.ok()?,
            6 if head[4] & 1 == 0 => stream.write_all(&frame(6, 1, 0, &payload)).await.ok()?,
            _ => {}
        }
    }
}

/// Reads on until the client closes, so that no reset overtakes what was sent.
async fn drain(mut stream: TcpStream) {
    let mut sink = [0; 4096];
    while stream.read(&mut sink).await.is_ok_and(|count| count > 0) {}
}

fn frame(kind: u8, flags: u8, id: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("it is small").to_be_bytes();
    let mut bytes = vec![length[1], length[2], length[3], kind, flags];
    bytes.extend_from_slice(&id.to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes
}
