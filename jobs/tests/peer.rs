//! Webhooks read by a client that is not ours: `client.webhooks` of the official `openai`
//! Python package.

use std::io::Write as _;
use std::process::{Command, Stdio};

use cairn_jobs::notify::Secret;
use serde_json::{Value, json};

use super::peers;

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
    let check = "import openai; openai.InvalidWebhookSignatureError";
    let Some(python) = peers::python("openai", &["openai>=3.57"], check) else {
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
