//! HTTP over TLS: the protocols, a certificate that is renewed, and clients that speak none.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use cairn::server;
use cairn_settings::config::{Server, Tls};
use reqwest::{Certificate, Client, ClientBuilder, Version};
use serde_json::json;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{Bench, Scripted};

fn fixture(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tls");
    folder.join(name)
}

/// A service that speaks TLS, on a port of its own.
struct Running {
    bench: Bench,
    files: TempDir,
    address: SocketAddr,
}

impl Running {
    async fn start(change: impl FnOnce(&mut Server)) -> Self {
        let files = tempfile::tempdir().unwrap();
        let bench = Bench::with(Arc::new(Scripted::citing()), |config| {
            change(&mut config.server);
            config.server.tls = Some(Tls {
                certificate: files.path().join("certificate"),
                key: files.path().join("key"),
            });
        });
        bench.upload_guide().await;
        let listener = server::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let address = listener.local_addr().unwrap();
        let running = Self {
            files,
            address,
            bench,
        };
        running.put("first");
        let service = Arc::clone(&running.bench.service);
        tokio::spawn(server::serve(listener, service));
        running
    }

    /// Puts the files of this name where the service reads them.
    fn put(&self, name: &str) {
        for (suffix, file) in [("crt", "certificate"), ("key", "key")] {
            let from = fixture(&format!("{name}.{suffix}.pem"));
            std::fs::copy(from, self.files.path().join(file)).unwrap();
        }
    }

    fn url(&self, path: &str) -> String {
        format!("https://{}{path}", self.address)
    }

    /// Sends `bytes`, and reads until the service closes the connection.
    async fn answer(&self, bytes: &[u8]) -> Vec<u8> {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        let mut answer = Vec::new();
        // It may close before it has read everything, which resets the connection.
        stream.read_to_end(&mut answer).await.ok();
        answer
    }
}

/// Trusts the certificate of this name, and no other.
fn trusting(name: &str) -> ClientBuilder {
    let certificate = std::fs::read(fixture(&format!("{name}.crt.pem"))).unwrap();
    let certificate = Certificate::from_pem(&certificate).unwrap();
    Client::builder().no_proxy().tls_certs_only([certificate])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn questions_are_answered_over_both_protocols() {
    let running = Running::start(|_| {}).await;
    let question = json!({"query": "Who holds the writer lock?"}).to_string();
    for (client, version) in [
        (trusting("first"), Version::HTTP_2),
        (trusting("first").http1_only(), Version::HTTP_11),
    ] {
        let request = client.build().unwrap().post(running.url("/query"));
        let request = request.header("content-type", "application/json");
        let response = request.body(question.clone()).send().await.unwrap();
        assert_eq!(response.version(), version);
        let text = response.text().await.unwrap();
        assert!(text.contains("event: done"), "{text}");
    }
    let strict = trusting("second").build().unwrap();
    let refused = strict.get(running.url("/health")).send().await;
    assert!(refused.is_err(), "it has the first certificate");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_renewed_certificate_is_used_without_a_restart() {
    let running = Running::start(|_| {}).await;
    let old = trusting("first").build().unwrap();
    old.get(running.url("/health")).send().await.unwrap();
    running.put("second");
    let start = Instant::now();
    loop {
        // Without a connection that was opened before.
        let new = trusting("second").build().unwrap();
        if new.get(running.url("/health")).send().await.is_ok() {
            break;
        }
        assert!(start.elapsed() < Duration::from_secs(60), "it never came");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let again = old.get(running.url("/health")).send().await;
    again.expect("an open connection goes on");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_speaks_no_tls_gets_nothing_and_a_handshake_has_its_time() {
    let running = Running::start(|server| server.header_seconds = 1).await;
    let plain = running
        .answer(b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n")
        .await;
    assert!(!plain.starts_with(b"HTTP"), "{plain:?}");
    // A client hello that never ends, and a client that says nothing.
    for begun in [&[0x16, 3, 1, 1, 0, 1][..], &[]] {
        assert!(running.answer(begun).await.is_empty());
    }
}
