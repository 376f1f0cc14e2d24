//! Connections that are slow, idle, many or not read: each has a bound, and nobody else
//! is held up by them. Over real sockets.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::http::StatusCode;
use cairn::server;
use cairn_settings::config::Server;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

use super::{Bench, Gated, Scripted};

/// Longer than any bound that is set here.
const LONG: Duration = Duration::from_secs(60);

/// A service on a port of its own.
struct Running {
    bench: Bench,
    address: SocketAddr,
    server: tokio::task::JoinHandle<anyhow::Result<()>>,
}

impl Running {
    async fn start(change: impl FnOnce(&mut Server)) -> Self {
        Self::of(Bench::with(Arc::new(Scripted::citing()), |config| {
            change(&mut config.server);
        }))
        .await
    }

    async fn of(bench: Bench) -> Self {
        let listener = server::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(server::serve(listener, Arc::clone(&bench.service)));
        Self {
            bench,
            address,
            server,
        }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// A connection that has sent `bytes`.
    async fn sent(&self, bytes: impl AsRef<[u8]>) -> TcpStream {
        let mut stream = self.connect().await;
        stream.write_all(bytes.as_ref()).await.unwrap();
        stream
    }

    async fn health(&self) -> String {
        let stream = self
            .sent("GET /health HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
            .await;
        rest(stream).await
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

/// What comes until the service closes the connection.
async fn rest(mut stream: TcpStream) -> String {
    let mut bytes = Vec::new();
    let read = tokio::time::timeout(LONG, stream.read_to_end(&mut bytes)).await;
    // A connection that is reset is closed too.
    read.expect("the connection is still open").ok();
    String::from_utf8_lossy(&bytes).into_owned()
}

fn client() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().build().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heads_that_never_end_and_silence_are_closed() {
    let running = Running::start(|server| server.header_seconds = 1).await;
    let half = running
        .sent("POST /search HTTP/1.1\r\nhost: localhost\r\n")
        .await;
    let preface = running.sent("PRI * HTTP/2.0\r\n").await;
    let silent = running.connect().await;
    let mut dripping = running.sent("GET /health HTTP/1.1\r\n").await;
    let drip = tokio::spawn(async move {
        let start = Instant::now();
        while start.elapsed() < LONG && dripping.write_all(b"x: y\r\n").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        start.elapsed() < LONG
    });
    for stream in [half, preface, silent] {
        assert!(!rest(stream).await.contains("200 OK"));
    }
    assert!(drip.await.unwrap(), "a head that drips is not closed");
    assert!(running.health().await.contains("200 OK"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_may_rest_between_requests_and_not_for_ever() {
    let running = Running::start(|server| server.idle_seconds = 1).await;
    let stream = running
        .sent("GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n")
        .await;
    let answered = rest(stream).await;
    assert!(answered.contains("200 OK"), "{answered}");
    assert!(!answered.contains("connection: close"), "{answered}");
}

const HALF_BODY: &str = "POST /search HTTP/1.1\r\nhost: localhost\r\n\
    content-type: application/json\r\ncontent-length: 100\r\n\r\n{";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_that_stop_take_no_permit_and_are_told() {
    let running = Running::start(|server| {
        server.max_concurrency = 1;
        server.body_seconds = 2;
    })
    .await;
    running.bench.upload_guide().await;
    let mut halves = Vec::new();
    for _ in 0..12 {
        halves.push(running.sent(HALF_BODY).await);
    }
    let body = json!({"query": "Who holds the writer lock?"});
    for _ in 0..3 {
        let reply = client()
            .post(running.url("/search"))
            .json(&body)
            .send()
            .await
            .unwrap();
        assert_eq!(reply.status(), StatusCode::OK);
    }
    for half in halves {
        let answered = rest(half).await;
        assert!(answered.contains("408 Request Timeout"), "{answered}");
        assert!(answered.contains("slow_body"), "{answered}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_drips_is_too_slow() {
    let running = Running::start(|server| {
        server.body_seconds = 1;
        server.min_bytes_per_second = 1_000_000;
    })
    .await;
    let mut stream = running.connect().await;
    let head = HALF_BODY.replace("100", "100000");
    stream.write_all(head.as_bytes()).await.unwrap();
    let (mut reader, mut writer) = stream.into_split();
    let drip = tokio::spawn(async move {
        for _ in 0..1200 {
            if writer.write_all(b" ").await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    let mut bytes = Vec::new();
    let read = tokio::time::timeout(LONG, reader.read_to_end(&mut bytes)).await;
    read.expect("the connection is still open").ok();
    let answered = String::from_utf8_lossy(&bytes);
    assert!(
        answered.is_empty() || answered.contains("slow_body"),
        "{answered}"
    );
    drip.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_does_not_read_is_let_go() {
    const ASKED: usize = 2000;
    let running = Running::start(|server| server.send_seconds = 1).await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let stream = socket.connect(running.address).await.unwrap();
    let (mut reader, mut writer) = stream.into_split();
    let asking = tokio::spawn(async move {
        let request = "GET /openapi.json HTTP/1.1\r\nhost: localhost\r\n\r\n".repeat(ASKED);
        writer.write_all(request.as_bytes()).await.ok();
        writer
    });
    let start = Instant::now();
    loop {
        let page = client().get(running.url("/metrics")).send().await.unwrap();
        let page = page.text().await.unwrap();
        if page.contains("cairn_connections_closed_total{why=\"unread\"}") {
            break;
        }
        assert!(start.elapsed() < LONG, "it is not closed:\n{page}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let mut bytes = Vec::new();
    reader.read_to_end(&mut bytes).await.ok();
    let answers = bytes
        .windows(15)
        .filter(|at| at == b"HTTP/1.1 200 OK")
        .count();
    assert!(answers < ASKED, "all {answers} answers were sent");
    asking.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_all_places_are_taken_the_longest_idle_goes() {
    let (provider, gate, _chats) = Gated::new();
    let bench = Bench::with(provider, |config| {
        config.server.max_concurrency = 1;
        config.server.max_connections = 17;
    });
    bench.upload_guide().await;
    let running = Running::of(bench).await;
    // A stream that is worked on stays, whatever comes.
    let body = json!({"query": "Who holds the writer lock?"});
    let stream = client().post(running.url("/query")).json(&body).send();
    let stream = stream.await.unwrap();
    assert_eq!(stream.status(), StatusCode::OK);
    let mut idle = Vec::new();
    for round in 0..8 {
        for _ in 0..10 {
            idle.push(running.sent("GET /health HTTP/1.1\r\n").await);
            idle.push(running.sent(HALF_BODY).await);
        }
        assert!(running.health().await.contains("200 OK"), "round {round}");
    }
    // The first of them are gone long before their time.
    for early in idle.drain(..20) {
        rest(early).await;
    }
    gate.add_permits(1);
    let text = stream.text().await.unwrap();
    assert!(text.contains("event: done"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idle_connections_do_not_hold_up_the_end() {
    let running = Running::start(|server| server.drain_seconds = 600).await;
    let idle = running.connect().await;
    let half = running.sent("GET /health HTTP/1.1\r\n").await;
    assert!(running.health().await.contains("200 OK"));
    running.bench.service.lifecycle().stop();
    let ended = tokio::time::timeout(LONG, running.server).await;
    ended
        .expect("the service waits for idle connections")
        .unwrap()
        .unwrap();
    drop((idle, half));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http_2_is_spoken_too() {
    let running = Running::start(|_| {}).await;
    let client = reqwest::Client::builder()
        .no_proxy()
        .http2_prior_knowledge()
        .build()
        .unwrap();
    for _ in 0..3 {
        let reply = client.get(running.url("/health")).send().await.unwrap();
        assert_eq!(reply.status(), StatusCode::OK);
        assert_eq!(reply.version(), reqwest::Version::HTTP_2);
    }
    let upload = json!({"uri": "a.md", "text": "A kettle boils. ".repeat(20_000)});
    let reply = client.post(running.url("/documents")).json(&upload).send();
    assert_eq!(reply.await.unwrap().status(), StatusCode::CREATED);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_without_a_length_is_taken_and_bounded() {
    let running = Running::start(|server| server.max_body_mb = 1).await;
    let send = |text: String| {
        let body = json!({"uri": "a.md", "text": text}).to_string();
        let pieces: Vec<_> = body
            .as_bytes()
            .chunks(1000)
            .map(|piece| Ok::<_, std::io::Error>(piece.to_vec()))
            .collect();
        let request = client()
            .post(running.url("/documents"))
            .header("content-type", "application/json")
            .body(reqwest::Body::wrap_stream(futures::stream::iter(pieces)));
        async move { request.send().await.map(|reply| reply.status()) }
    };
    let stored = send("A kettle boils. ".repeat(10_000)).await.unwrap();
    assert_eq!(stored, StatusCode::CREATED);
    // A client that still sends may miss the reason.
    if let Ok(status) = send("x".repeat(3 << 20)).await {
        assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
    }
}
