//! A real OpenAI-compatible server: llama.cpp's, from `llama-cpp-python[server]`,
//! with the small model. It runs where `CAIRN_LLAMA_PYTHON` names a Python that
//! has the package, or where `python3` does; elsewhere the test says that it was
//! skipped.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use cairn_gateway::{ChatMessage, ChatRequest, ChatRole, Finish, Limits, ProviderErrorKind};
use cairn_models::{Cancel, Hub, Quiet};
use cairn_settings::config::ProviderConfig;

use super::scripted::{chat, read};

/// Ends the server with the test.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// A Python with the package.
fn python() -> Option<String> {
    let named = std::env::var("CAIRN_LLAMA_PYTHON").ok();
    let python = named.unwrap_or_else(|| "python3".to_owned());
    let found = Command::new(&python)
        .args(["-c", "import llama_cpp.server, uvicorn"])
        .stderr(Stdio::null())
        .status();
    found.is_ok_and(|status| status.success()).then_some(python)
}

async fn start(python: &str) -> (Server, String) {
    let id = "smollm2-135m-instruct";
    let folder = Hub::new(None).unwrap().ensure(id, &Quiet).unwrap();
    let mut files = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let model = files
        .find(|path| path.extension().is_some_and(|e| e == "gguf"))
        .unwrap();
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let child = Command::new(python)
        .args([
            "-m",
            "llama_cpp.server",
            "--host",
            "127.0.0.1",
            "--n_ctx",
            "2048",
        ])
        .args(["--port", &port.to_string(), "--model"])
        .arg(model)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut server = Server(child);
    let base_url = format!("http://127.0.0.1:{port}/v1");
    // Loading takes seconds; a server that died says so.
    loop {
        let up = takes_connections(&format!("127.0.0.1:{port}")).await;
        if up {
            return (server, base_url);
        }
        assert!(
            server.0.try_wait().unwrap().is_none(),
            "the server ended at its start"
        );
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Whether the server takes connections.
async fn takes_connections(address: &str) -> bool {
    tokio::net::TcpStream::connect(address).await.is_ok()
}

#[tokio::test]
async fn a_real_server_answers_in_our_words() {
    let Some(python) = python() else {
        eprintln!("skipped: no Python with llama-cpp-python[server]; set CAIRN_LLAMA_PYTHON");
        return;
    };
    let (_server, base_url) = start(&python).await;
    let mut config = ProviderConfig::new("endpoint", &base_url, "smollm2");
    config.context_tokens = 2048;
    let long = Duration::from_secs(300);
    let limits = Limits {
        first_token: long,
        token: long,
        total: long,
    };
    let request = |max_tokens: usize| ChatRequest {
        messages: vec![
            ChatMessage::text(ChatRole::System, "You are brief."),
            ChatMessage::text(ChatRole::User, "What is the capital of France?"),
        ],
        max_tokens,
        ..ChatRequest::default()
    };
    for stream in [true, false] {
        config.stream = stream;
        let got = read(chat(&config, request(32), limits, Cancel::never())).await;
        assert!(got.text.contains("Paris"), "{got:?}");
        assert!(got.served().usage.prompt_tokens > 10, "{got:?}");
        let short = read(chat(&config, request(3), limits, Cancel::never())).await;
        assert_eq!(short.served().finish, Finish::Length);
        let usage = short.served().usage;
        // This server counts in whole answers only.
        assert_eq!(usage.estimated, stream);
        assert!(
            usage.estimated || (2..=4).contains(&usage.completion_tokens),
            "{short:?}"
        );
    }
    let mut long = request(8);
    long.messages[1].content = "word ".repeat(4000);
    config.context_tokens = 100_000;
    let got = read(chat(&config, long, limits, Cancel::never())).await;
    assert_eq!(got.error().kind, ProviderErrorKind::TooLong, "{got:?}");
}
