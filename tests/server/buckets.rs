//! Jobs of the kind `bucket`, against moto's server: a peer that speaks S3 and is not ours.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use cairn_settings::config::Bucket;

use super::jobs::{ended, id_of, submit, working};
use super::*;
use crate::peers;

const PACKAGES: &[&str] = &["moto[server]==5.2.5", "boto3==1.44.8"];

/// Starts the server on a port of its own, says where, and then does what it is told, a JSON
/// document a line.
const SERVER: &str = r#"
import json, sys
from moto.server import ThreadedMotoServer
import boto3
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
host, port = server.get_host_and_port()
url = f"http://{host}:{port}"
s3 = boto3.client("s3", endpoint_url=url, region_name="us-east-1", aws_access_key_id="k",
                  aws_secret_access_key="s")
s3.create_bucket(Bucket="docs")
print(url, flush=True)
for line in sys.stdin:
    order = json.loads(line)
    if "delete" in order:
        s3.delete_object(Bucket="docs", Key=order["delete"])
    else:
        kind = order.get("type", "text/markdown")
        s3.put_object(Bucket="docs", Key=order["key"], Body=order["text"].encode(), ContentType=kind)
    print("done", flush=True)
"#;

struct Moto {
    child: Child,
    orders: ChildStdin,
    replies: BufReader<ChildStdout>,
    url: String,
}

impl Moto {
    fn start() -> Option<Self> {
        let python = peers::python("moto", PACKAGES, "import moto.server, boto3, flask")?;
        let mut child = Command::new(python)
            .args(["-c", SERVER])
            .env("NO_PROXY", "*")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let orders = child.stdin.take().unwrap();
        let mut replies = BufReader::new(child.stdout.take().unwrap());
        let mut url = String::new();
        replies.read_line(&mut url).unwrap();
        let url = url.trim().to_owned();
        assert!(url.starts_with("http://"), "{url}");
        Some(Self {
            child,
            orders,
            replies,
            url,
        })
    }

    fn tell(&mut self, order: Value) {
        writeln!(self.orders, "{order}").unwrap();
        let mut reply = String::new();
        self.replies.read_line(&mut reply).unwrap();
        assert_eq!(reply.trim(), "done", "{order}");
    }

    fn put(&mut self, key: &str, text: &str) {
        self.tell(json!({ "key": key, "text": text }));
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Whose requests are signed. The server looks only at who signs, so that any variable will do
/// that a header can carry.
fn bucket(endpoint: &str) -> Bucket {
    let plain = |value: &str| {
        !value.is_empty()
            && value
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'.')
    };
    let found = std::env::vars().find(|(_, value)| plain(value));
    let name = found.expect("some variable is plain").0;
    let settings = json!({ "bucket": "docs", "endpoint": endpoint, "access_key_env": name,
        "secret_key_env": name });
    serde_json::from_value(settings).unwrap()
}

async fn run(bench: &Bench, body: Value) -> Value {
    let job = submit(bench, body).await;
    ended(bench, id_of(&job)).await
}

async fn uris(bench: &Bench) -> Vec<String> {
    let listed = bench.get("/documents").await.json();
    let listed = listed["documents"].as_array().unwrap().clone();
    let uri = |document: &Value| document["uri"].as_str().unwrap().to_owned();
    listed.iter().map(uri).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_is_followed_by_the_etags_of_its_objects() {
    let Some(mut moto) = Moto::start() else {
        return;
    };
    moto.put(
        "guide/a.md",
        "# Kettles\n\nA copper kettle weighs four kilograms.",
    );
    moto.put("guide/b.md", "# Pots\n\nAn iron pot weighs nine kilograms.");
    moto.put("other/c d & ü.md", "# Pans\n\nA pan is flat.");
    moto.put("guide/", "");
    moto.tell(
        json!({"key": "guide/x.docx", "text": "PK\u{3}\u{4} no", "type": "binary/octet-stream"}),
    );
    moto.put("guidelines.md", "# Rules\n\nBegins with the same letters.");
    let url = moto.url.clone();
    let bench = working(|config| {
        let mut below = bucket(&url);
        below.prefix = "guide".into();
        let small = Bucket {
            max_objects: 2,
            ..bucket(&url)
        };
        let lost = Bucket {
            bucket: "nowhere".into(),
            ..bucket(&url)
        };
        let keyless = Bucket {
            access_key_env: Some("CAIRN_TEST_NOT_SET".into()),
            secret_key_env: Some("CAIRN_TEST_NOT_SET".into()),
            ..bucket(&url)
        };
        let unsigned = Bucket {
            access_key_env: None,
            secret_key_env: None,
            ..bucket(&url)
        };
        config.jobs.buckets = [
            ("all".to_owned(), bucket(&url)),
            ("below".to_owned(), below),
            ("small".to_owned(), small),
            ("lost".to_owned(), lost),
            ("keyless".to_owned(), keyless),
            ("unsigned".to_owned(), unsigned),
        ]
        .into();
    })
    .await;
    let all = json!({"kind": "bucket", "name": "all", "labels": ["s3"]});
    let job = run(&bench, all.clone()).await;
    assert_eq!(job["state"], "done", "{job}");
    let counts = |job: &Value| {
        ["added", "updated", "unchanged", "deleted", "failed"]
            .map(|name| job["result"][name].as_u64().unwrap())
    };
    assert_eq!(counts(&job), [4, 0, 0, 0, 1], "{job}");
    let expected = [
        "bucket:all/guide/a.md",
        "bucket:all/guide/b.md",
        "bucket:all/guidelines.md",
        "bucket:all/other/c d & ü.md",
    ];
    assert_eq!(uris(&bench).await, expected);
    let found = bench
        .post("/search", &json!({"query": "iron pot"}))
        .await
        .json();
    assert_eq!(found["sources"][0]["uri"], "bucket:all/guide/b.md");

    // Without a signature, what is private is not read, and said to be so.
    let job = run(&bench, json!({"kind": "bucket", "name": "unsigned"})).await;
    assert_eq!(counts(&job), [0, 0, 0, 0, 5], "{job}");
    assert!(
        job["document_errors"]
            .to_string()
            .contains("may not be read"),
        "{job}"
    );

    // What is as it was is not fetched; what has changed is, and what is gone goes.
    moto.put(
        "guide/a.md",
        "# Kettles\n\nA steel kettle weighs two kilograms.",
    );
    moto.tell(json!({"delete": "guide/b.md"}));
    let job = run(&bench, all.clone()).await;
    assert_eq!(counts(&job), [0, 1, 2, 1, 1], "{job}");
    let found = bench
        .post("/search", &json!({"query": "steel kettle"}))
        .await
        .json();
    assert_eq!(found["sources"][0]["uri"], "bucket:all/guide/a.md");

    // A part of it leaves the rest alone.
    let part = json!({"kind": "bucket", "name": "all", "prefix": "guide/", "labels": ["s3"]});
    let job = run(&bench, part).await;
    assert_eq!(counts(&job), [0, 0, 1, 0, 1], "{job}");
    // Only what the configuration opens is read.
    let job = run(&bench, json!({"kind": "bucket", "name": "below"})).await;
    assert_eq!(counts(&job), [2, 0, 0, 0, 1], "{job}");
    assert!(
        uris(&bench)
            .await
            .contains(&"bucket:below/guidelines.md".to_owned())
    );

    // Most of it going is asked about.
    for key in ["guide/a.md", "guidelines.md", "guide/x.docx"] {
        moto.tell(json!({ "delete": key }));
    }
    let job = run(&bench, all).await;
    assert_eq!(job["state"], "input_required", "{job}");
    assert_eq!(job["result"]["folders"][0]["gone"], 2);

    for (name, why) in [
        ("small", "more than 2 objects"),
        ("lost", "nowhere"),
        ("keyless", "CAIRN_TEST_NOT_SET"),
    ] {
        // Something is there again for the small one.
        moto.put("guide/a.md", "a");
        moto.put("guide/b.md", "b");
        moto.put("guide/c.md", "c");
        let job = run(&bench, json!({"kind": "bucket", "name": name})).await;
        assert_eq!(
            (&job["state"], &job["attempts"]),
            (&json!("failed"), &json!(1)),
            "{job}"
        );
        assert!(job["failures"].to_string().contains(why), "{job}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn buckets_are_named_by_the_configuration_alone() {
    let bench = working(|config| {
        let listener = "http://127.0.0.1:9";
        config.jobs.buckets = [("known".to_owned(), bucket(listener))].into();
    })
    .await;
    for (body, param) in [
        (json!({"kind": "bucket"}), "kind"),
        (json!({"kind": "bucket", "name": "unknown"}), "name"),
        (
            json!({"kind": "bucket", "name": "known", "endpoint": "http://127.0.0.1"}),
            "endpoint",
        ),
        (
            json!({"kind": "bucket", "name": "known", "prefix": "../a"}),
            "prefix",
        ),
        (
            json!({"kind": "bucket", "name": "known", "prefix": "/a"}),
            "prefix",
        ),
    ] {
        let reply = bench.post("/jobs", &body).await;
        assert_eq!(
            reply.error(),
            ("invalid_request".into(), Some(param.into())),
            "{body}"
        );
    }
    // A server that is away may be there later.
    let job = submit(&bench, json!({"kind": "bucket", "name": "known"})).await;
    let end = tokio::time::Instant::now() + Duration::from_secs(60);
    loop {
        let shown = bench.get(&format!("/jobs/{}", id_of(&job))).await.json();
        if let Some(failure) = shown["failures"].get(0) {
            assert_eq!(failure["permanent"], false, "{shown}");
            break;
        }
        assert!(tokio::time::Instant::now() < end, "{shown}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
