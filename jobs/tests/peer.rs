//! Webhooks read by a client that is not ours: `client.webhooks` of the official `openai`
//! Python package.
//!
//! Where that package is not installed the test says so and checks nothing, unless
//! `CAIRN_PEERS=require`: then it is installed into a virtual environment of the build folder,
//! and cannot be missing.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use cairn_jobs::notify::Secret;
use serde_json::{Value, json};

/// Reads cases from standard input and prints what the client says of each.
const SCRIPT: &str = r#"
import json, sys
from openai import InvalidWebhookSignatureError, OpenAI
said = []
for case in json.load(sys.stdin):
    client = OpenAI(api_key="none", webhook_secret=case["secret"])
    try:
        client.webhooks.verify_signature(case["body"], case["headers"])
        said.append("valid")
    except InvalidWebhookSignatureError:
        said.append("invalid")
print(json.dumps(said))
"#;

fn run(program: &Path, arguments: &[&str]) -> bool {
    let command = Command::new(program)
        .args(arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    command.is_ok_and(|status| status.success())
}

/// A Python that has the package; none where it may be missing.
fn python() -> Option<PathBuf> {
    let import = ["-c", "import openai; openai.InvalidWebhookSignatureError"];
    let own = Path::new("python3");
    if run(own, &import) {
        return Some(own.into());
    }
    if std::env::var_os("CAIRN_PEERS").is_none_or(|value| value != "require") {
        return None;
    }
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("openai");
    let python = folder.join("bin/python");
    if !run(&python, &import) {
        let folder = folder.to_str().unwrap();
        assert!(run(own, &["-m", "venv", folder]), "python3 makes no venv");
        let install = ["-m", "pip", "install", "--quiet", "openai>=3.57"];
        assert!(run(&python, &install), "pip does not install openai");
        assert!(
            run(&python, &import),
            "openai is installed and cannot be imported"
        );
    }
    Some(python)
}

/// What is sent with `secrets`, as the client sees it.
fn case(secret: &Secret, signed_by: &[&Secret], body: &str) -> Value {
    let now = jiff::Timestamp::now().as_second();
    let signatures = signed_by
        .iter()
        .map(|secret| secret.sign("msg_1", now, body));
    let signatures: Vec<_> = signatures.collect();
    json!({
        "secret": secret.expose(),
        "body": body,
        "headers": {
            "webhook-id": "msg_1",
            "webhook-timestamp": now.to_string(),
            "webhook-signature": signatures.join(" "),
        },
    })
}

#[test]
fn the_client_of_openai_reads_our_signatures() {
    let Some(python) = python() else {
        println!("skipped: python3 has no package `openai`; CAIRN_PEERS=require installs it");
        return;
    };
    let (old, new) = (Secret::generate(), Secret::generate());
    let body = r#"{"type":"job.done","data":{"text":"é 漢"}}"#;
    let mut tampered = case(&new, &[&new], body);
    tampered["body"] = json!(body.replace("done", "failed"));
    let mut renamed = case(&new, &[&new], body);
    renamed["headers"]["webhook-id"] = json!("msg_2");
    let cases = json!([
        case(&new, &[&new], body),
        case(&old, &[&new, &old], body),
        case(&old, &[&new], body),
        tampered,
        renamed,
    ]);
    let mut child = Command::new(python)
        .args(["-c", SCRIPT])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(cases.to_string().as_bytes()).unwrap();
    drop(input);
    let output = child.wait_with_output().unwrap();
    let said: Vec<String> = serde_json::from_slice(&output.stdout).expect("the script replies");
    assert_eq!(said, ["valid", "valid", "invalid", "invalid", "invalid"]);
}
