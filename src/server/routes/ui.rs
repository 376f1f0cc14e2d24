//! The page at `/`: a few files inside the binary, nothing from elsewhere.

use std::sync::Arc;

use axum::Router;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;

use crate::server::state::Service;

/// A file of the page.
struct Asset {
    path: &'static str,
    content_type: &'static str,
    text: &'static str,
}

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

/// `path => file of server/ui, type`, compiled in.
macro_rules! assets {
    ($($path:literal => $file:literal, $content_type:expr;)*) => {
        &[$(Asset {
            path: $path,
            content_type: $content_type,
            text: include_str!(concat!("../ui/", $file)),
        },)*]
    };
}

static ASSETS: &[Asset] = assets! {
    "/" => "index.html", HTML;
    "/style.css" => "style.css", CSS;
    "/views.css" => "views.css", CSS;
    "/icon.svg" => "icon.svg", "image/svg+xml";
    "/app.js" => "app.js", SCRIPT;
    "/chart.js" => "chart.js", SCRIPT;
    "/document.js" => "document.js", SCRIPT;
    "/documents.js" => "documents.js", SCRIPT;
    "/dom.js" => "dom.js", SCRIPT;
    "/feedback.js" => "feedback.js", SCRIPT;
    "/job.js" => "job.js", SCRIPT;
    "/jobs.js" => "jobs.js", SCRIPT;
    "/key.js" => "key.js", SCRIPT;
    "/prose.js" => "prose.js", SCRIPT;
    "/reader.js" => "reader.js", SCRIPT;
    "/schedules.js" => "schedules.js", SCRIPT;
    "/sources.js" => "sources.js", SCRIPT;
    "/status.js" => "status.js", SCRIPT;
    "/steps.js" => "steps.js", SCRIPT;
    "/stream.js" => "stream.js", SCRIPT;
    "/turn.js" => "turn.js", SCRIPT;
    "/upload.js" => "upload.js", SCRIPT;
    "/usage.js" => "usage.js", SCRIPT;
    "/views.js" => "views.js", SCRIPT;
};

/// Whether the page consists of `path`, among others.
pub(crate) fn is_part(path: &str) -> bool {
    ASSETS.iter().any(|asset| asset.path == path)
}

/// A route for each file.
pub(crate) fn routes() -> Router<Arc<Service>> {
    ASSETS.iter().fold(Router::new(), |router, asset| {
        router.route(
            asset.path,
            get(move |headers: HeaderMap| std::future::ready(serve(asset, &headers))),
        )
    })
}

/// The files change with the binary, so their hash tags them: the browser asks
/// each time and mostly hears "not modified".
fn serve(asset: &'static Asset, headers: &HeaderMap) -> Response {
    let tag = format!("\"{:016x}\"", fingerprint(asset.text));
    let own = [
        (header::ETAG, tag.clone()),
        (header::CACHE_CONTROL, "no-cache".into()),
    ];
    let known = headers
        .get(header::IF_NONE_MATCH)
        .and_then(|value| value.to_str().ok());
    let same = |one: &str| one.trim().trim_start_matches("W/") == tag;
    if known.is_some_and(|known| known.split(',').any(same)) {
        return (StatusCode::NOT_MODIFIED, own).into_response();
    }
    (
        own,
        [(header::CONTENT_TYPE, asset.content_type)],
        asset.text,
    )
        .into_response()
}

/// FNV-1a (64 bits): the same text has the same tag in every build.
fn fingerprint(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_needs_nothing_from_elsewhere_and_nothing_inline() {
        for asset in ASSETS {
            for outside in ["http://", "https://", "//cdn"] {
                let text = asset.text.replace("http://www.w3.org/2000/svg", "");
                assert!(!text.contains(outside), "{} names {outside}", asset.path);
            }
        }
        let page = ASSETS[0].text;
        for inline in ["<style", " style=", " onclick=", " onload="] {
            assert!(!page.contains(inline), "the page has {inline}");
        }
        assert_eq!(
            page.matches("<script").count(),
            page.matches("<script type=\"module\" src=").count()
        );
    }

    #[test]
    fn text_never_becomes_markup() {
        let scripts = ASSETS.iter().filter(|asset| asset.content_type == SCRIPT);
        for asset in scripts {
            for sink in [
                "innerHTML",
                "outerHTML",
                "insertAdjacentHTML",
                "document.write",
                "eval(",
            ] {
                assert!(!asset.text.contains(sink), "{} uses {sink}", asset.path);
            }
        }
    }

    #[test]
    fn every_imported_file_is_served() {
        let paths: Vec<_> = ASSETS.iter().map(|asset| asset.path).collect();
        for asset in ASSETS {
            for import in asset.text.split("from \"./").skip(1) {
                let file = import.split('"').next().unwrap_or_default();
                assert!(
                    paths.contains(&&*format!("/{file}")),
                    "{} imports {file}",
                    asset.path
                );
            }
        }
    }
}
