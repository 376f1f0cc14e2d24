//! Jobs at set times, over a real connection.

use std::time::Duration;

use cairn_gateway::accounts::{Keys, NewKey, Scope};

use super::*;

/// A service whose worker runs, and its address.
async fn listening(change: impl FnOnce(&mut Config)) -> (Bench, String) {
    let bench = Bench::with(Arc::new(Scripted::citing()), change);
    cairn::server::open_jobs(&bench.service).await;
    tokio::spawn(cairn::server::work_jobs(Arc::clone(&bench.service)));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let router = bench.router.clone();
    tokio::spawn(async move { axum::serve(listener, router).await });
    (bench, address)
}

/// What a request is answered with.
async fn ask(method: Method, url: String, key: &str, body: Value) -> (u16, Value) {
    let mut request = reqwest::Client::new().request(method, url).json(&body);
    if !key.is_empty() {
        request = request.header("x-api-key", key);
    }
    let reply = request.send().await.unwrap();
    let status = reply.status().as_u16();
    let text = reply.text().await.unwrap();
    (status, serde_json::from_str(&text).unwrap_or(Value::Null))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schedule_submits_jobs_until_it_is_deleted() {
    let (_bench, address) = listening(|_| {}).await;
    let at = |path: &str| format!("{address}{path}");
    let guide = json!({"cron": "* * * * * *", "kind": "text", "uri": "guide.md", "text": GUIDE});
    let (status, made) = ask(Method::PUT, at("/schedules/each.second"), "", guide).await;
    assert_eq!(status, 200, "{made}");
    assert_eq!(
        (&made["name"], &made["time_zone"]),
        (&json!("each.second"), &json!("UTC"))
    );
    assert_eq!(made["input"]["uri"], "guide.md");
    assert!(made["next_at"].is_string());

    let end = tokio::time::Instant::now() + Duration::from_secs(60);
    let last = loop {
        let (_, shown) = ask(Method::GET, at("/schedules/each.second"), "", json!({})).await;
        if let Some(job) = shown["last_job"].as_str() {
            let (_, job) = ask(Method::GET, at(&format!("/jobs/{job}")), "", json!({})).await;
            if job["state"] == "done" {
                break job;
            }
        }
        assert!(tokio::time::Instant::now() < end, "{shown}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert_eq!(last["kind"], "text");
    let query = json!({"query": "writer lock"});
    let (_, found) = ask(Method::POST, at("/search"), "", query).await;
    assert_eq!(found["sources"][0]["uri"], "guide.md");

    // Replaced by one that rests.
    let resting = json!({"cron": "@daily", "time_zone": "Europe/Berlin", "paused": true,
        "kind": "delete", "uri": "guide.md"});
    let (status, made) = ask(Method::PUT, at("/schedules/each.second"), "", resting).await;
    assert_eq!((status, &made["next_at"]), (200, &Value::Null), "{made}");
    let (_, listed) = ask(Method::GET, at("/schedules"), "", json!({})).await;
    let listed = listed["schedules"].as_array().unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!(
        (&listed[0]["kind"], &listed[0]["paused"]),
        (&json!("delete"), &json!(true))
    );

    for expected in [204, 404] {
        let gone = ask(Method::DELETE, at("/schedules/each.second"), "", json!({})).await;
        assert_eq!(gone.0, expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_schedule_is_named() {
    let (_bench, address) = listening(|_| {}).await;
    let text = json!({"cron": "0 3 * * *", "kind": "text", "text": "a"});
    let with = |field: &str, value: Value| {
        let mut body = text.clone();
        body[field] = value;
        body
    };
    for (name, body, param) in [
        ("a", with("cron", json!("often")), "cron"),
        ("a", with("cron", json!("61 * * * *")), "cron"),
        ("a", with("cron", json!("* ".repeat(200))), "cron"),
        ("a", with("time_zone", json!("Mars/Olympus")), "cron"),
        ("a", with("kind", json!("nonsense")), "kind"),
        ("a", with("colour", json!("red")), "colour"),
        ("a", with("uri", json!("../a")), "uri"),
        ("a%20b", text.clone(), "name"),
        ("x%3Ay", text.clone(), "name"),
    ] {
        let url = format!("{address}/schedules/{name}");
        let (status, said) = ask(Method::PUT, url, "", body).await;
        assert_eq!(
            (status, &said["error"]["param"]),
            (400, &json!(param)),
            "{said}"
        );
    }
    let (_, listed) = ask(Method::GET, format!("{address}/schedules"), "", json!({})).await;
    assert_eq!(listed["schedules"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn schedules_belong_to_tenants() {
    let mut secrets = Vec::new();
    let (_bench, address) = listening(|config| {
        let keys = Keys::open(&config.storage.data_dir).unwrap();
        let key = |tenant: &str, scope| {
            let new = NewKey {
                name: tenant.into(),
                tenant: tenant.into(),
                scopes: [scope].into_iter().collect(),
                ..NewKey::default()
            };
            keys.create(&new).unwrap().1.expose().to_owned()
        };
        secrets = vec![
            key("ada", Scope::Jobs),
            key("bob", Scope::Jobs),
            key("root", Scope::Admin),
            key("eve", Scope::Search),
        ];
    })
    .await;
    let at = |path: &str| format!("{address}{path}");
    let body = |text: &str| json!({"cron": "@yearly", "kind": "text", "uri": "a", "text": text});
    for (key, text) in [(&secrets[0], "ada's"), (&secrets[1], "bob's")] {
        let (status, made) = ask(Method::PUT, at("/schedules/same"), key, body(text)).await;
        assert_eq!(
            (status, &made["input"]["text"]),
            (200, &json!(text)),
            "{made}"
        );
    }
    let count = async |key: &str| {
        let (_, listed) = ask(Method::GET, at("/schedules"), key, json!({})).await;
        listed["schedules"].as_array().map(Vec::len)
    };
    assert_eq!(count(&secrets[0]).await, Some(1));
    assert_eq!(count(&secrets[2]).await, Some(2));
    let (status, _) = ask(Method::GET, at("/schedules"), &secrets[3], json!({})).await;
    assert_eq!(status, 403);
    let (status, _) = ask(
        Method::DELETE,
        at("/schedules/same"),
        &secrets[1],
        json!({}),
    )
    .await;
    assert_eq!(status, 204);
    let (_, kept) = ask(Method::GET, at("/schedules/same"), &secrets[0], json!({})).await;
    assert_eq!(kept["input"]["text"], "ada's");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_lost_key_asked_for_does_not_run() {
    let mut made = Vec::new();
    let (bench, address) = listening(|config| {
        let keys = Keys::open(&config.storage.data_dir).unwrap();
        for scopes in [
            &[Scope::Jobs][..],
            &[Scope::Admin, Scope::Search, Scope::Jobs],
        ] {
            let new = NewKey {
                name: "key".into(),
                labels: ["*".to_owned()].into(),
                scopes: scopes.iter().copied().collect(),
                ..NewKey::default()
            };
            let (info, secret) = keys.create(&new).unwrap();
            made.push((info.id, secret.expose().to_owned()));
        }
    })
    .await;
    let at = |path: &str| format!("{address}{path}");
    let (first, other) = (made[0].1.as_str(), made[1].1.as_str());
    let body = json!({"cron": "* * * * * *", "kind": "text", "uri": "a.md", "text": "each second"});
    let (status, said) = ask(Method::PUT, at("/schedules/s"), first, body.clone()).await;
    assert_eq!((status, &said["stopped"]), (200, &Value::Null), "{said}");
    let end = tokio::time::Instant::now() + Duration::from_secs(60);
    // The last job of the schedule once it has ended.
    let last = async |end: tokio::time::Instant| loop {
        let (_, shown) = ask(Method::GET, at("/schedules/s"), other, json!({})).await;
        if let Some(job) = shown["last_job"].as_str() {
            let (_, job) = ask(Method::GET, at(&format!("/jobs/{job}")), other, json!({})).await;
            if !job["ended_at"].is_null() {
                return (shown, job);
            }
        }
        assert!(tokio::time::Instant::now() < end, "{shown}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert_eq!(last(end).await.1["state"], "done");

    let keys = Keys::open(&bench.service.config().storage.data_dir).unwrap();
    keys.revoke(made[0].0.as_str()).unwrap();
    let job = loop {
        let (shown, job) = last(end).await;
        if job["state"] == "failed" {
            assert!(
                shown["stopped"].as_str().unwrap().contains("revoked"),
                "{shown}"
            );
            break job;
        }
    };
    assert_eq!(job["attempts"], 1);
    assert!(
        job["failures"][0]["chain"][0]
            .as_str()
            .unwrap()
            .contains("revoked"),
        "{job}"
    );

    // Another key makes it run again.
    let (_, said) = ask(Method::PUT, at("/schedules/s"), other, body).await;
    assert_eq!(said["stopped"], Value::Null, "{said}");
    while last(end).await.1["state"] != "done" {}
}
