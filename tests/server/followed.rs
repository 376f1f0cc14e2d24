//! The events of a job over a WebSocket, by a client that is not ours.

use std::time::Duration;

use cairn_gateway::accounts::{Keys, NewKey, Scope};
use futures::{SinkExt as _, StreamExt as _};
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{Error, Message};

use super::jobs::id_of;
use super::*;

type Socket =
    tokio_tungstenite::WebSocketStream<tokio_tungstenite::MaybeTlsStream<tokio::net::TcpStream>>;

/// A service on a port of its own, whose worker does not run yet.
async fn listening(change: impl FnOnce(&mut Config)) -> (Bench, String) {
    let bench = Bench::with(Arc::new(Scripted::citing()), change);
    let listener = cairn::server::bind("127.0.0.1:0".parse().unwrap())
        .await
        .unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let service = Arc::clone(&bench.service);
    tokio::spawn(cairn::server::serve(listener, service));
    (bench, address)
}

async fn open(
    address: &str,
    path: &str,
    headers: &[(&'static str, &str)],
) -> Result<Socket, Error> {
    let mut request = format!("ws://{address}{path}")
        .into_client_request()
        .unwrap();
    for (name, value) in headers {
        request.headers_mut().insert(*name, value.parse().unwrap());
    }
    let opened = tokio_tungstenite::connect_async(request).await;
    opened.map(|(socket, _)| socket)
}

/// What came until the other side closed, and its code.
async fn heard(mut socket: Socket) -> (Vec<Value>, Option<u16>) {
    let mut events = Vec::new();
    let all = async {
        loop {
            match socket.next().await {
                Some(Ok(Message::Text(text))) => events.push(serde_json::from_str(&text).unwrap()),
                Some(Ok(Message::Close(frame))) => break frame.map(|frame| frame.code.into()),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => break None,
            }
        }
    };
    let code = tokio::time::timeout(Duration::from_secs(60), all)
        .await
        .unwrap();
    (events, code)
}

fn refused(result: Result<Socket, Error>) -> u16 {
    match result {
        Err(Error::Http(response)) => response.status().as_u16(),
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("it was opened"),
    }
}

async fn submitted(bench: &Bench, text: &str) -> Value {
    let end = tokio::time::Instant::now() + Duration::from_secs(20);
    loop {
        // The queue is opened when the service serves.
        let reply = bench
            .post("/jobs", &json!({"kind": "text", "text": text}))
            .await;
        if reply.status == StatusCode::ACCEPTED {
            return reply.json();
        }
        assert!(tokio::time::Instant::now() < end, "{}", reply.text());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_says_what_the_stream_says() {
    let (bench, address) = listening(|_| {}).await;
    let job = submitted(&bench, GUIDE).await;
    let path = format!("/jobs/{}/ws", id_of(&job));
    let (events, code) = heard(open(&address, &path, &[]).await.unwrap()).await;
    assert_eq!(code, Some(1000), "{events:?}");
    assert_eq!(events.last().unwrap()["state"], "done", "{events:?}");
    let stream = bench.get(&format!("/jobs/{}/events", id_of(&job))).await;
    let data = stream
        .text()
        .lines()
        .filter_map(|line| line.strip_prefix("data: "));
    let streamed: Vec<Value> = data
        .map(|json| serde_json::from_str(json).unwrap())
        .collect();
    assert_eq!(events.last(), streamed.last());
    assert!(events.iter().all(|event| event["seq"].is_u64()));
    // A client that has seen the last one hears nothing more.
    let last = streamed.last().unwrap()["seq"].as_u64().unwrap();
    let (events, code) = heard(
        open(&address, &format!("{path}?after={last}"), &[])
            .await
            .unwrap(),
    )
    .await;
    assert_eq!((events.len(), code), (0, Some(1000)));
    // What is no WebSocket is told so, on a connection that goes on.
    let reply = reqwest::get(format!("http://{address}{path}"))
        .await
        .unwrap();
    assert_eq!(reply.status().as_u16(), 400);
    let lost = "/jobs/019a0000-0000-7000-8000-000000000000/ws";
    assert_eq!(refused(open(&address, lost, &[]).await), 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn sockets_are_bounded_and_end_with_the_service() {
    let (bench, address) = listening(|config| {
        config.server.max_concurrency = 3;
        // Nothing is worked on.
        config.jobs.workers = 0;
        config.jobs.max_workers = 0;
    })
    .await;
    let job = submitted(&bench, "waits").await;
    let path = format!("/jobs/{}/ws", id_of(&job));
    let first = open(&address, &path, &[]).await.unwrap();
    let mut second = open(&address, &path, &[]).await.unwrap();
    let third = open(&address, &path, &[]).await.unwrap();
    // Each holds a permit for as long as it is open.
    assert_eq!(refused(open(&address, &path, &[]).await), 429);
    drop(third);
    let end = tokio::time::Instant::now() + Duration::from_secs(20);
    while bench.service.permits().available_permits() == 0 {
        assert!(
            tokio::time::Instant::now() < end,
            "a socket that is gone keeps its permit"
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // Pages of other origins get none; browsers do not ask before they open one.
    let foreign = [("origin", "http://evil.example")];
    assert_eq!(refused(open(&address, &path, &foreign).await), 403);
    // A client that says too much is let go.
    second.send(Message::text("x".repeat(1 << 20))).await.ok();
    heard(second).await;
    bench.service.lifecycle().stop();
    let (events, code) = heard(first).await;
    assert_eq!(
        (events[0]["state"].as_str(), code),
        (Some("queued"), Some(1001))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_needs_the_key_of_its_job() {
    let mut secrets = Vec::new();
    let (bench, address) = listening(|config| {
        let keys = Keys::open(&config.storage.data_dir).unwrap();
        for tenant in ["ada", "bob"] {
            let new = NewKey {
                name: tenant.into(),
                tenant: tenant.into(),
                scopes: [Scope::Jobs].into_iter().collect(),
                ..NewKey::default()
            };
            secrets.push(keys.create(&new).unwrap().1.expose().to_owned());
        }
    })
    .await;
    let end = tokio::time::Instant::now() + Duration::from_secs(20);
    let job = loop {
        let mut request = json_request("/jobs", &json!({"kind": "text", "text": "a"}));
        request
            .headers_mut()
            .insert("x-api-key", secrets[0].parse().unwrap());
        let reply = bench.reply(request).await;
        if reply.status == StatusCode::ACCEPTED {
            break reply.json();
        }
        assert!(tokio::time::Instant::now() < end, "{}", reply.text());
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    let path = format!("/jobs/{}/ws", id_of(&job));
    assert_eq!(refused(open(&address, &path, &[]).await), 401);
    let other = [("x-api-key", secrets[1].as_str())];
    assert_eq!(refused(open(&address, &path, &other).await), 404);
    let own = [("x-api-key", secrets[0].as_str())];
    let (_, code) = heard(open(&address, &path, &own).await.unwrap()).await;
    assert_eq!(code, Some(1000));
}
