//! The page at `/`.

use axum::body::Body;
use axum::http::{Request, StatusCode};

use super::Bench;

#[tokio::test]
async fn the_page_and_its_parts_are_served_and_kept() {
    let bench = Bench::starting(|_| {});
    let page = bench.get("/").await;
    assert_eq!(page.status, StatusCode::OK);
    assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
    let is_part = |part: &&str| {
        part.starts_with('/')
            && [".js", ".css", ".svg"]
                .iter()
                .any(|end| part.ends_with(end))
    };
    let parts = page.text().split('"').filter(is_part);
    let mut count = 0;
    for part in parts {
        let reply = bench.get(part).await;
        assert_eq!(reply.status, StatusCode::OK, "{part}");
        let tag = reply.header("etag").to_owned();
        let again = Request::get(part)
            .header("if-none-match", &tag)
            .body(Body::empty())
            .unwrap();
        assert_eq!(
            bench.reply(again).await.status,
            StatusCode::NOT_MODIFIED,
            "{part}"
        );
        count += 1;
    }
    assert!(count >= 3, "script, style and icon at least");
}

/// Every script of the page: those that it names, and what they import.
async fn scripts(bench: &Bench) -> Vec<(String, String)> {
    let mut waiting = vec!["app.js".to_owned()];
    let mut all: Vec<(String, String)> = Vec::new();
    while let Some(file) = waiting.pop() {
        if all.iter().any(|(known, _)| *known == file) {
            continue;
        }
        let reply = bench.get(&format!("/{file}")).await;
        assert_eq!(reply.status, StatusCode::OK, "{file}");
        assert!(
            reply.header("content-type").starts_with("text/javascript"),
            "{file}"
        );
        let text = reply.text().to_owned();
        waiting.extend(between(&text, "from \"./", '"').map(str::to_owned));
        all.push((file, text));
    }
    all
}

/// What stands between `before` and the next `after`, each time.
fn between<'a>(text: &'a str, before: &'a str, after: char) -> impl Iterator<Item = &'a str> {
    text.split(before)
        .skip(1)
        .filter_map(move |rest| rest.split(after).next())
}

#[tokio::test]
async fn scripts_find_what_they_look_for() {
    let bench = Bench::starting(|_| {});
    let page = bench.get("/").await;
    let page = page.text();
    let ids: Vec<_> = between(page, " id=\"", '"').collect();
    for (at, id) in ids.iter().enumerate() {
        assert!(!ids[..at].contains(id), "two elements have the id {id}");
    }
    let all = scripts(&bench).await;
    assert!(all.len() > 10, "the scripts import each other");
    for (file, text) in &all {
        for id in between(text, "byId(\"", '"') {
            assert!(ids.contains(&id), "{file} looks for #{id}");
        }
    }
    for view in ["ask", "documents", "jobs"] {
        for id in [format!("view-{view}"), format!("tab-{view}")] {
            assert!(ids.contains(&&*id), "there is no #{id}");
        }
        assert!(page.contains(&format!("href=\"#{view}\"")), "{view}");
    }
    for attribute in [" aria-labelledby=\"", " for=\""] {
        for id in between(page, attribute, '"') {
            assert!(ids.contains(&id), "{attribute}{id}\" names nothing");
        }
    }
}

#[tokio::test]
async fn nothing_runs_but_the_scripts_of_the_page() {
    let bench = Bench::starting(|_| {});
    let page = bench.get("/").await;
    let policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
                  connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";
    assert_eq!(page.header("content-security-policy"), policy);
    for tag in between(page.text(), "<", '>') {
        let mut attributes = tag.split_ascii_whitespace().skip(1);
        let inline = attributes.find(|one| one.starts_with("on") || one.starts_with("style="));
        assert_eq!(inline, None, "<{tag}>");
    }
    for (file, text) in scripts(&bench).await {
        for forbidden in ["setAttribute(\"on", "setAttribute(\"style", "new Function"] {
            assert!(!text.contains(forbidden), "{file} has {forbidden}");
        }
    }
}
