//! A service in a process of its own, which tests kill.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::*;

/// Serves on a port of its own, whose address it writes into `folder`, until it is killed.
pub(super) async fn serve(bench: &Bench, folder: &Path) {
    let listener = server::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let port = tempfile::NamedTempFile::new_in(folder).unwrap();
    std::fs::write(port.path(), listener.local_addr().unwrap().to_string()).unwrap();
    port.persist(folder.join("address")).unwrap();
    server::serve(listener, Arc::clone(&bench.service))
        .await
        .unwrap();
}

/// The process that serves.
pub(super) struct Running {
    child: Child,
    pub(super) base: String,
}

impl Running {
    /// Starts the ignored test of this name, which [serves](serve); the variable tells it the
    /// folder.
    pub(super) async fn start(test: &str, variable: &str, folder: &Path) -> Self {
        let address = folder.join("address");
        std::fs::remove_file(&address).ok();
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", test, "--ignored"])
            .env(variable, folder)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let begun = Instant::now();
        let base = loop {
            if let Ok(address) = std::fs::read_to_string(&address) {
                break format!("http://{address}");
            }
            assert!(begun.elapsed() < Duration::from_secs(60), "no service");
            tokio::time::sleep(Duration::from_millis(5)).await;
        };
        Self { child, base }
    }

    pub(super) async fn get(&self, client: &reqwest::Client, path: &str) -> Value {
        let reply = client.get(format!("{}{path}", self.base)).send();
        reply.await.unwrap().json().await.unwrap()
    }

    pub(super) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}
