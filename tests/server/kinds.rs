//! Kinds of jobs that bring many documents, and one that brings none.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use axum::response::IntoResponse as _;

use super::jobs::{ended, id_of, submit, working};
use super::*;

/// A site on loopback: each path with its media type and body. Others are 404.
async fn site(pages: BTreeMap<&'static str, (&'static str, Vec<u8>)>) -> String {
    let pages = Arc::new(pages);
    let answer = move |request: Request<Body>| {
        let found = pages.get(request.uri().path()).cloned();
        async move {
            match found {
                Some((kind, body)) => ([(header::CONTENT_TYPE, kind)], body).into_response(),
                None => StatusCode::NOT_FOUND.into_response(),
            }
        }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(answer)).await });
    format!("http://{address}")
}

fn page(title: &str, text: &str) -> (&'static str, Vec<u8>) {
    let html =
        format!("<html><head><title>{title}</title></head><body><p>{text}</p></body></html>");
    ("text/html", html.into_bytes())
}

async fn uris(bench: &Bench) -> Vec<String> {
    let listed = bench.get("/documents").await.json();
    let listed = listed["documents"].as_array().unwrap().clone();
    let uri = |document: &Value| document["uri"].as_str().unwrap().to_owned();
    listed.iter().map(uri).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sitemap_brings_the_pages_of_its_site() {
    // Addresses in a sitemap are whole, so that the site must be there before its sitemap: the
    // pages are on one server, the sitemap on another port of the same host.
    let pages = site(BTreeMap::from([
        (
            "/a",
            page("Kettles", "A copper kettle weighs four kilograms."),
        ),
        ("/b", page("Pots", "An iron pot weighs nine kilograms.")),
        (
            "/broken.docx",
            ("application/octet-stream", b"PK\x03\x04 no".to_vec()),
        ),
        ("/private/c", page("Secret", "Nobody may fetch this.")),
        (
            "/robots.txt",
            (
                "text/plain",
                b"User-agent: *\nDisallow: /private\n".to_vec(),
            ),
        ),
    ]))
    .await;
    let urls: String = ["/a", "/b", "/a", "/missing", "/broken.docx", "/private/c"]
        .iter()
        .map(|path| format!("<url><loc>{pages}{path}</loc></url>"))
        .collect();
    let urls = format!("<urlset>{urls}<url><loc>https://example.com/x</loc></url></urlset>");
    let maps = site(BTreeMap::from([(
        "/pages.xml",
        ("application/xml", urls.into_bytes()),
    )]))
    .await;
    let index = format!(
        "<sitemapindex><sitemap><loc>{maps}/pages.xml</loc></sitemap>\
         <sitemap><loc>{maps}/missing.xml</loc></sitemap></sitemapindex>"
    );
    let top = site(BTreeMap::from([(
        "/sitemap.xml",
        ("application/xml", index.into_bytes()),
    )]))
    .await;

    let bench = working(|config| config.jobs.fetch.allow_private_addresses = true).await;
    let body = json!({"kind": "sitemap", "url": format!("{top}/sitemap.xml"), "labels": ["site"]});
    let job = submit(&bench, body.clone()).await;
    let job = ended(&bench, id_of(&job)).await;
    assert_eq!(job["state"], "done", "{job}");
    let result = &job["result"];
    assert_eq!(
        (&result["stored"], &result["pages"]),
        (&json!(2), &json!(5)),
        "{job}"
    );
    assert_eq!(
        (&result["sitemaps"], &result["left_out"]),
        (&json!(2), &json!(1)),
        "{job}"
    );
    let failed: BTreeMap<String, String> = job["document_errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| {
            let text = |field: &str| error[field].as_str().unwrap().to_owned();
            (
                text("document").rsplit('/').next().unwrap().to_owned(),
                text("message"),
            )
        })
        .collect();
    let named: Vec<&str> = failed.keys().map(String::as_str).collect();
    assert_eq!(
        named,
        ["broken.docx", "c", "missing", "missing.xml"],
        "{job}"
    );
    assert!(failed["c"].contains("robots.txt"), "{failed:?}");
    assert_eq!(
        uris(&bench).await,
        [format!("{pages}/a"), format!("{pages}/b")]
    );
    let found = bench
        .post("/search", &json!({"query": "iron pot"}))
        .await
        .json();
    assert_eq!(found["sources"][0]["uri"], format!("{pages}/b"));

    // Again, and only one page.
    let mut less = body;
    less["max_pages"] = json!(1);
    let job = submit(&bench, less).await;
    let job = ended(&bench, id_of(&job)).await;
    assert_eq!(
        (&job["result"]["stored"], &job["result"]["left_out"]),
        (&json!(1), &json!(5)),
        "{job}"
    );
    assert_eq!(uris(&bench).await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sitemap_that_cannot_be_read_is_a_dead_letter() {
    let top = site(BTreeMap::from([(
        "/page",
        page("No sitemap", "Just a page."),
    )]))
    .await;
    let bench = working(|config| config.jobs.fetch.allow_private_addresses = true).await;
    for path in ["/page", "/missing"] {
        let job = submit(
            &bench,
            json!({"kind": "sitemap", "url": format!("{top}{path}")}),
        )
        .await;
        let job = ended(&bench, id_of(&job)).await;
        assert_eq!(
            (&job["state"], &job["attempts"]),
            (&json!("failed"), &json!(1)),
            "{job}"
        );
    }
    for (body, param) in [
        (
            json!({"kind": "sitemap", "url": "http://127.0.0.1:1/", "max_pages": 0}),
            "max_pages",
        ),
        (
            json!({"kind": "sitemap", "url": "ftp://example.com/"}),
            "url",
        ),
    ] {
        let reply = bench.post("/jobs", &body).await;
        assert_eq!(
            reply.error(),
            ("invalid_request".into(), Some(param.into()))
        );
    }
}

/// Runs git in `folder` as somebody with a name.
fn git(folder: &Path, arguments: &[&str]) {
    let done = Command::new("git")
        .args(["-c", "user.name=Ada", "-c", "user.email=ada@example.com"])
        .args([
            "-c",
            "init.defaultBranch=main",
            "-c",
            "commit.gpgsign=false",
        ])
        .args(["-c", "core.hooksPath=/dev/null"])
        .args(["-c", "core.fsmonitor=false"])
        .args(arguments)
        .current_dir(folder)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .output()
        .unwrap();
    assert!(
        done.status.success(),
        "{}",
        String::from_utf8_lossy(&done.stderr)
    );
}

fn has_git() -> bool {
    let found = Command::new("git").arg("--version").output().is_ok();
    if !found {
        println!("skipped: the program `git` is not installed");
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revision_of_a_repository_is_indexed_without_running_anything() {
    if !has_git() {
        return;
    }
    let bench = working(|_| {}).await;
    let place = bench.dir.path();
    let repository = place.join("manual");
    let write = |name: &str, text: &str| {
        let path = repository.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    write(
        "kettle.md",
        "# Kettle\n\nThe copper kettle weighs four kilograms.\n",
    );
    write(
        "parts/pot.md",
        "# Pot\n\nThe iron pot weighs nine kilograms.\n",
    );
    write("parts/lid.md", "# Lid\n\nThe lid is made of glass.\n");
    write("tool.bin", "\u{0}\u{1}\u{2}\u{0}binary");
    write(".hidden.md", "Nobody reads this.");
    git(&repository, &["init", "-q"]);
    git(&repository, &["add", "-A"]);
    git(&repository, &["commit", "-q", "-m", "One"]);
    // Whatever could run a program leaves a trace.
    let trace = place.join("trace");
    let script = place.join("run.sh");
    std::fs::write(&script, format!("#!/bin/sh\ntouch {}\n", trace.display())).unwrap();
    Command::new("chmod")
        .arg("+x")
        .arg(&script)
        .status()
        .unwrap();
    let script = script.to_str().unwrap();
    for name in [
        "core.fsmonitor",
        "core.pager",
        "core.sshCommand",
        "filter.x.smudge",
        "diff.x.textconv",
    ] {
        git(&repository, &["config", name, script]);
    }
    std::fs::create_dir_all(repository.join(".git/hooks")).unwrap();
    for hook in [
        "post-checkout",
        "post-index-change",
        "reference-transaction",
    ] {
        std::fs::copy(script, repository.join(".git/hooks").join(hook)).unwrap();
    }
    std::fs::write(repository.join(".gitattributes"), "* filter=x diff=x\n").unwrap();

    let body = json!({"kind": "git", "path": repository});
    let run = async |body: &Value| {
        let job = submit(&bench, body.clone()).await;
        ended(&bench, id_of(&job)).await
    };
    let job = run(&body).await;
    assert_eq!(job["state"], "done", "{job}");
    let result = &job["result"];
    assert_eq!(
        (&result["added"], &result["skipped"]),
        (&json!(3), &json!(1)),
        "{job}"
    );
    assert_eq!(
        uris(&bench).await,
        [
            "git:manual/kettle.md",
            "git:manual/parts/lid.md",
            "git:manual/parts/pot.md"
        ]
    );
    // What is not committed is not there; what did not change is not read again.
    write(
        "kettle.md",
        "# Kettle\n\nThe copper kettle weighs five kilograms.\n",
    );
    let job = run(&body).await;
    assert_eq!(
        (&job["result"]["unchanged"], &job["result"]["updated"]),
        (&json!(3), &json!(0)),
        "{job}"
    );
    git(&repository, &["rm", "-q", "--cached", "parts/lid.md"]);
    git(&repository, &["commit", "-q", "-am", "Two"]);
    let job = run(&body).await;
    let result = &job["result"];
    assert_eq!(
        (&result["updated"], &result["deleted"]),
        (&json!(1), &json!(1)),
        "{job}"
    );
    let found = bench
        .post("/search", &json!({"query": "copper kettle"}))
        .await
        .json();
    assert!(
        found["sources"][0]["text"]
            .as_str()
            .unwrap()
            .contains("five"),
        "{found}"
    );

    // An older revision, under a name of its own.
    let older = json!({"kind": "git", "path": repository, "revision": "HEAD~1", "name": "old"});
    assert_eq!(run(&older).await["result"]["added"], 3);
    // One without most of the files asks.
    git(&repository, &["rm", "-rq", "--cached", "."]);
    git(
        &repository,
        &["commit", "-q", "--allow-empty", "-m", "Empty"],
    );
    let asks = run(&body).await;
    assert_eq!(asks["state"], "input_required", "{asks}");
    let answer = format!("/jobs/{}/input", id_of(&asks));
    bench.post(&answer, &json!({"confirm": true})).await;
    assert_eq!(ended(&bench, id_of(&asks)).await["result"]["deleted"], 2);
    assert_eq!(uris(&bench).await.len(), 3);

    let unknown = json!({"kind": "git", "path": repository, "revision": "no-such-branch"});
    let dead = run(&unknown).await;
    assert_eq!(
        (&dead["state"], &dead["attempts"]),
        (&json!("failed"), &json!(1)),
        "{dead}"
    );
    for (field, value) in [
        ("revision", "--upload-pack=x"),
        ("name", "a/b"),
        ("path", "/no/such"),
    ] {
        let mut bad = body.clone();
        bad[field] = json!(value);
        let reply = bench.post("/jobs", &bad).await;
        assert_eq!(
            reply.error(),
            ("invalid_request".into(), Some(field.into()))
        );
    }
    let plain = json!({"kind": "git", "path": place});
    assert_eq!(
        bench.post("/jobs", &plain).await.status,
        StatusCode::BAD_REQUEST
    );
    assert!(!trace.exists(), "a program of the repository ran");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collection_is_compacted() {
    let bench = working(|_| {}).await;
    for n in 0..4 {
        let uri = format!("{n}.md");
        let body = json!({"kind": "text", "uri": uri, "text": format!("Kettle number {n}.")});
        let job = submit(&bench, body).await;
        assert_eq!(ended(&bench, id_of(&job)).await["state"], "done");
    }
    let job = submit(&bench, json!({"kind": "compact"})).await;
    let job = ended(&bench, id_of(&job)).await;
    assert_eq!(job["state"], "done", "{job}");
    assert_eq!(job["result"]["vector_segments"]["after"], 1, "{job}");
    assert_eq!(job["result"]["word_segments"]["after"], 1, "{job}");
    let found = bench
        .post("/search", &json!({"query": "kettle", "top_k": 10}))
        .await
        .json();
    assert_eq!(found["sources"].as_array().unwrap().len(), 4, "{found}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collection_is_judged_by_questions_of_ones_own() {
    let bench = working(|_| {}).await;
    bench.upload_guide().await;
    let questions = bench.dir.path().join("questions.jsonl");
    let lines = [
        json!({"question": "Who holds the writer lock?", "relevant": ["guide.md"]}),
        json!({"question": "When is a commit durable?", "relevant": ["guide.md"]}),
    ];
    std::fs::write(&questions, lines.map(|line| line.to_string()).join("\n")).unwrap();
    let body =
        json!({"kind": "evaluate", "path": questions, "modes": ["bm25", "hybrid+rerank"], "k": 5});
    let job = submit(&bench, body.clone()).await;
    let job = ended(&bench, id_of(&job)).await;
    assert_eq!(
        (&job["state"], &job["result"]["questions"]),
        (&json!("done"), &json!(2)),
        "{job}"
    );
    assert_eq!(job["progress"]["done"], 4);
    for mode in ["bm25", "hybrid+rerank"] {
        let mean = &job["result"]["modes"][mode]["measures"]["recall@5"]["mean"];
        assert_eq!(*mean, 1.0, "{job}");
    }
    // What the questions name has to be there.
    let line = json!({"question": "What?", "relevant": ["missing.md"]});
    std::fs::write(&questions, line.to_string()).unwrap();
    let job = submit(&bench, body.clone()).await;
    let job = ended(&bench, id_of(&job)).await;
    assert_eq!(
        (&job["state"], &job["attempts"]),
        (&json!("failed"), &json!(1)),
        "{job}"
    );
    assert!(
        job["failures"][0]["chain"][0]
            .as_str()
            .unwrap()
            .contains("missing.md"),
        "{job}"
    );
    for (field, value) in [
        ("modes", json!(["psychic"])),
        ("modes", json!([])),
        ("k", json!(0)),
        ("path", json!(bench.dir.path())),
    ] {
        let mut bad = body.clone();
        bad[field] = value;
        let reply = bench.post("/jobs", &bad).await;
        assert_eq!(
            reply.error(),
            ("invalid_request".into(), Some(field.into()))
        );
    }
}
