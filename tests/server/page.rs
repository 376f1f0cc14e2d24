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
