//! Webhooks, against an endpoint that the test plays and an independent verifier.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use cairn_jobs::notify::{
    Delivery, DeliveryState, EndpointId, NewEndpoint, Request, Response, Secret, Sender, Webhooks,
};
use cairn_jobs::{Claim, Clock, Error, Failure, NewJob, Options, Queue, SqliteQueue};
use serde_json::{Value, json};

/// Plays endpoints: replies in turn, then 200, and keeps what came.
#[derive(Default)]
struct Played {
    replies: Mutex<VecDeque<Result<Response, String>>>,
    received: Mutex<Vec<Received>>,
}

#[derive(Clone)]
struct Received {
    url: String,
    headers: http::HeaderMap,
    body: String,
}

#[async_trait]
impl Sender for Played {
    async fn send(&self, request: Request<'_>) -> Result<Response, String> {
        let mut headers = http::HeaderMap::new();
        for (name, value) in request.headers {
            headers.insert(*name, value.parse().unwrap());
        }
        let (url, body) = (request.url.to_owned(), request.body.to_owned());
        self.received
            .lock()
            .unwrap()
            .push(Received { url, headers, body });
        let reply = self.replies.lock().unwrap().pop_front();
        reply.unwrap_or_else(|| status(200))
    }
}

fn status(status: u16) -> Result<Response, String> {
    Ok(Response {
        status,
        retry_after: None,
    })
}

struct World {
    queue: SqliteQueue,
    webhooks: Webhooks,
    played: Arc<Played>,
    millis: Arc<AtomicI64>,
    _folder: tempfile::TempDir,
}

impl World {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        // Verifiers look at the time.
        let now = jiff::Timestamp::now().as_millisecond();
        let millis = Arc::new(AtomicI64::new(now));
        let options = Options {
            clock: Clock::Manual(millis.clone()),
            maintenance: false,
            ..Options::default()
        };
        let queue = SqliteQueue::open(folder.path(), options).await.unwrap();
        Self {
            webhooks: Webhooks::new(&queue),
            queue,
            played: Arc::default(),
            millis,
            _folder: folder,
        }
    }

    async fn endpoint(&self, types: &[&str]) -> (EndpointId, Secret) {
        let new = NewEndpoint {
            tenant: "acme".into(),
            url: "https://example.com/hook".into(),
            types: types.iter().map(ToString::to_string).collect(),
            kinds: vec![],
        };
        let (made, secret) = self.webhooks.add(new).await.unwrap();
        (made.id, secret)
    }

    /// A job of `tenant` that ends well.
    async fn finish(&self, tenant: &str) {
        let job = NewJob {
            tenant: tenant.into(),
            ..NewJob::new("index", Value::Null)
        };
        self.queue.submit(vec![job]).await.unwrap();
        let lease = self
            .queue
            .claim(Claim::one("w"))
            .await
            .unwrap()
            .pop()
            .unwrap();
        self.queue
            .complete(lease.token, json!({"chunks": 3, "of": "é"}))
            .await
            .unwrap();
    }

    fn reply(&self, replies: impl IntoIterator<Item = Result<Response, String>>) {
        self.played.replies.lock().unwrap().extend(replies);
    }

    async fn send(&self) -> Duration {
        let sender: Arc<dyn Sender> = self.played.clone();
        self.webhooks.send_due(&sender).await.unwrap()
    }

    fn pass(&self, time: Duration) {
        self.millis
            .fetch_add(time.as_millis() as i64, Ordering::SeqCst);
    }

    fn received(&self) -> Vec<Received> {
        std::mem::take(&mut self.played.received.lock().unwrap())
    }

    async fn only(&self, endpoint: EndpointId) -> Delivery {
        let mut all = self.webhooks.deliveries(endpoint, None, 10).await.unwrap();
        assert_eq!(all.len(), 1);
        all.remove(0)
    }
}

fn verify(secret: &Secret, received: &Received) -> bool {
    let webhook = standardwebhooks::Webhook::new(&secret.expose()).unwrap();
    webhook
        .verify(received.body.as_bytes(), &received.headers)
        .is_ok()
}

#[tokio::test]
async fn the_end_of_a_job_is_told_and_signed() {
    let world = World::new().await;
    let (endpoint, secret) = world.endpoint(&[]).await;
    world.finish("other").await;
    world.finish("acme").await;
    world.send().await;
    let [received]: [Received; 1] = world.received().try_into().ok().expect("one message");
    assert_eq!(received.url, "https://example.com/hook");
    assert!(verify(&secret, &received));
    assert!(!verify(&Secret::generate(), &received));
    let tampered = Received {
        body: received.body.replace('3', "4"),
        ..received.clone()
    };
    assert!(!verify(&secret, &tampered));
    let message: Value = serde_json::from_str(&received.body).unwrap();
    assert_eq!(message["type"], "job.done");
    assert_eq!(message["data"]["result"], json!({"chunks": 3, "of": "é"}));
    let delivery = world.only(endpoint).await;
    assert_eq!(received.headers["webhook-id"], delivery.id);
    assert_eq!(
        (delivery.state, delivery.last_status),
        (DeliveryState::Delivered, Some(200))
    );
    world.send().await;
    assert!(world.received().is_empty(), "once is enough");
    let again = world.webhooks.redeliver(&delivery.id).await.unwrap();
    assert_eq!(again.state, DeliveryState::Waiting);
    world.send().await;
    assert_eq!(world.received()[0].headers["webhook-id"], delivery.id);
}

#[tokio::test]
async fn old_and_new_secret_sign_while_they_overlap() {
    let world = World::new().await;
    let (endpoint, old) = world.endpoint(&[]).await;
    let new = world
        .webhooks
        .rotate(endpoint, Duration::from_secs(60))
        .await
        .unwrap();
    world.finish("acme").await;
    world.send().await;
    let received = world.received();
    assert!(verify(&old, &received[0]) && verify(&new, &received[0]));
    world.pass(Duration::from_secs(60));
    world.finish("acme").await;
    world.send().await;
    let received = world.received();
    assert!(!verify(&old, &received[0]) && verify(&new, &received[0]));
}

#[tokio::test]
async fn a_failing_endpoint_is_tried_for_three_days() {
    let world = World::new().await;
    let (endpoint, _) = world.endpoint(&[]).await;
    world.finish("acme").await;
    let failures = [
        Err("the connection was refused".into()),
        status(500),
        status(302),
    ];
    world.reply(failures.into_iter().cycle().take(10));
    let mut ids = Vec::new();
    let mut passed = Duration::ZERO;
    let errors = ["refused", "500", "redirects"];
    for attempt in 1..=10 {
        world.send().await;
        ids.extend(
            world
                .received()
                .iter()
                .map(|one| one.headers["webhook-id"].clone()),
        );
        let delivery = world.only(endpoint).await;
        assert_eq!(delivery.attempts, attempt);
        let said = delivery.last_error.unwrap();
        assert!(said.contains(errors[(attempt as usize - 1) % 3]), "{said}");
        let Some(next_at) = delivery.next_at else {
            assert_eq!((attempt, delivery.state), (10, DeliveryState::Dead));
            break;
        };
        let now = jiff::Timestamp::from_millisecond(world.millis.load(Ordering::SeqCst)).unwrap();
        let pause = next_at.duration_since(now).unsigned_abs();
        world.send().await;
        assert!(world.received().is_empty(), "not before its time");
        world.pass(pause);
        passed += pause;
    }
    assert_eq!(ids.len(), 10);
    assert!(
        ids.iter().all(|id| *id == ids[0]),
        "the id names the message, not the attempt"
    );
    let hours = passed.as_secs_f64() / 3600.0;
    assert!((72.0..=96.0).contains(&hours), "{hours}");
    let dead = world
        .webhooks
        .deliveries(endpoint, Some(DeliveryState::Dead), 9)
        .await
        .unwrap();
    assert_eq!(dead.len(), 1);
}

#[tokio::test]
async fn gone_switches_the_endpoint_off() {
    let world = World::new().await;
    let (endpoint, _) = world.endpoint(&[]).await;
    world.finish("acme").await;
    world.finish("acme").await;
    world.reply([status(410)]);
    world.send().await;
    assert_eq!(world.received().len(), 1);
    let off = world.webhooks.get(endpoint).await.unwrap().unwrap();
    assert!(!off.is_active && off.off_reason.unwrap().contains("410"));
    let dead = world
        .webhooks
        .deliveries(endpoint, Some(DeliveryState::Dead), 9)
        .await
        .unwrap();
    assert_eq!(dead.len(), 2);
    world.finish("acme").await;
    world.send().await;
    assert!(world.received().is_empty());
    world.webhooks.set_active(endpoint, true).await.unwrap();
    world.finish("acme").await;
    world.send().await;
    assert_eq!(world.received().len(), 1);
}

#[tokio::test]
async fn a_busy_endpoint_is_left_in_peace() {
    let world = World::new().await;
    let (_, _) = world.endpoint(&[]).await;
    let busy = |retry_after: String| {
        Ok(Response {
            status: 429,
            retry_after: Some(retry_after),
        })
    };
    world.finish("acme").await;
    world.reply([busy("600".into())]);
    world.send().await;
    world.finish("acme").await;
    world.pass(Duration::from_secs(599));
    let sleep = world.send().await;
    assert_eq!(world.received().len(), 1, "also what comes later waits");
    assert_eq!(sleep, Duration::from_secs(1));
    world.pass(Duration::from_secs(1));
    let now = world.millis.load(Ordering::SeqCst).unsigned_abs();
    let at = std::time::UNIX_EPOCH + Duration::from_millis(now) + Duration::from_secs(120);
    world.reply([busy(httpdate::fmt_http_date(at))]);
    world.send().await;
    assert_eq!(world.received().len(), 1);
    world.pass(Duration::from_secs(118));
    world.send().await;
    assert!(world.received().is_empty());
    world.pass(Duration::from_secs(3_600));
    world.send().await;
    assert_eq!(world.received().len(), 2);
}

#[tokio::test]
async fn only_what_was_asked_for_is_told() {
    let world = World::new().await;
    let (endpoint, _) = world.endpoint(&["job.failed"]).await;
    world.finish("acme").await;
    let job = NewJob {
        tenant: "acme".into(),
        ..NewJob::new("index", Value::Null)
    };
    world.queue.submit(vec![job]).await.unwrap();
    let lease = world
        .queue
        .claim(Claim::one("w"))
        .await
        .unwrap()
        .pop()
        .unwrap();
    world
        .queue
        .fail(lease.token, Failure::permanent("not a PDF"))
        .await
        .unwrap();
    world.send().await;
    let received = world.received();
    assert_eq!(received.len(), 1);
    let message: Value = serde_json::from_str(&received[0].body).unwrap();
    assert_eq!(message["data"]["error"], "not a PDF");
    assert!(world.webhooks.delete(endpoint).await.unwrap());
    assert!(world.webhooks.list(Some("acme")).await.unwrap().is_empty());
    let unknown = world.webhooks.rotate(endpoint, Duration::ZERO).await;
    assert!(matches!(unknown, Err(Error::NoEndpoint(_))));
    for (url, types) in [
        ("ftp://x", vec![]),
        ("https://x", vec!["job.eaten".to_owned()]),
    ] {
        let (tenant, url) = (String::new(), url.to_owned());
        let bad = NewEndpoint {
            tenant,
            url,
            types,
            kinds: vec![],
        };
        assert!(matches!(
            world.webhooks.add(bad).await,
            Err(Error::Invalid(_))
        ));
    }
}

#[tokio::test]
async fn messages_go_out_as_jobs_end() {
    let world = World::new().await;
    let (_, secret) = world.endpoint(&[]).await;
    let (webhooks, sender) = (world.webhooks.clone(), world.played.clone());
    let running = tokio::spawn(async move { webhooks.run(sender).await });
    world.finish("acme").await;
    let begun = std::time::Instant::now();
    let received = loop {
        if let Some(received) = world.received().pop() {
            break received;
        }
        assert!(begun.elapsed() < Duration::from_secs(10));
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    assert!(verify(&secret, &received));
    running.abort();
}

/// The example of the specification's own libraries.
#[test]
fn the_known_signature_comes_out() {
    let secret = Secret::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
    let signature = secret.sign(
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        1_614_265_330,
        r#"{"test": 2432232314}"#,
    );
    assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    assert!(!format!("{secret:?}").contains("MfKQ"));
    for bad in ["whsec_AAAA", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_%"] {
        assert!(Secret::parse(bad).is_err(), "{bad}");
    }
}
