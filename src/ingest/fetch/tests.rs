use super::*;

use std::io::{Read as _, Write as _};
use std::net::TcpListener;

/// Rules of a test, whose server is on this machine.
fn rules() -> Fetching {
    Fetching {
        hosts: vec!["*".into()],
        allow_private_addresses: true,
        respect_robots_txt: false,
        timeout_seconds: 5,
    }
}

/// Answers each request with what `answer` says of its path.
fn serve(answer: fn(&str) -> String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut request = [0; 4096];
            let read = stream.read(&mut request).unwrap_or(0);
            let request = String::from_utf8_lossy(&request[..read]).into_owned();
            let path = request.split(' ').nth(1).unwrap_or_default().to_owned();
            stream.write_all(answer(&path).as_bytes()).ok();
        }
    });
    address
}

fn ok(body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
    )
}

fn to(target: &str) -> String {
    format!(
        "HTTP/1.1 302 Found\r\nlocation: {target}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
    )
}

#[tokio::test]
async fn a_page_is_fetched_after_its_redirects() {
    let site = serve(|path| match path {
        "/old" => to("/new"),
        "/loop" => to("/loop"),
        "/new" => ok("hello"),
        _ => {
            "HTTP/1.1 503 Busy\r\nretry-after: 7\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
                .into()
        }
    });
    let fetcher = Fetcher::new(&rules(), 1000).unwrap();
    let page = fetcher.fetch(&format!("{site}/old")).await.unwrap();
    assert_eq!(
        (page.bytes.as_slice(), page.url.path()),
        (&b"hello"[..], "/new")
    );
    assert_eq!(page.content_type.as_deref(), Some("text/plain"));

    let error = fetcher.fetch(&format!("{site}/loop")).await.unwrap_err();
    assert!(error.message.contains("more than 5 times") && !error.transient);
    let error = fetcher.fetch(&format!("{site}/busy")).await.unwrap_err();
    assert_eq!(error.retry_after, Some(Duration::from_secs(7)));
    assert!(error.transient);

    let small = Fetcher::new(&rules(), 4).unwrap();
    let error = small.fetch(&format!("{site}/new")).await.unwrap_err();
    assert!(error.message.contains("more than 4 bytes") && !error.transient);
}

#[tokio::test]
async fn private_addresses_are_refused_by_number_by_name_and_behind_a_redirect() {
    let strict = Fetching {
        allow_private_addresses: false,
        ..rules()
    };
    let fetcher = Fetcher::new(&strict, 1000).unwrap();
    for address in [
        "http://127.0.0.1:1/",
        "http://[::1]:1/",
        "http://169.254.169.254/latest",
        "http://2130706433/",
        "http://0x7f.1/",
        "http://localhost:1/",
    ] {
        let error = fetcher.fetch(address).await.unwrap_err();
        assert!(
            error.message.contains("private network"),
            "{address}: {error}"
        );
        assert!(!error.transient, "{address}");
    }
    // The first hop is allowed by name here, the second is not.
    let one = Fetching {
        hosts: vec!["127.0.0.1".into()],
        ..rules()
    };
    let site = serve(|_| to("http://localhost:9/secret"));
    let fetcher = Fetcher::new(&one, 1000).unwrap();
    let error = fetcher.fetch(&site).await.unwrap_err();
    assert!(
        error.message.contains("localhost is not among the hosts"),
        "{error}"
    );
}

#[test]
fn schemes_hosts_and_lengths_are_checked_before_anything_is_sent() {
    let named = Fetching {
        hosts: vec!["docs.example.com".into(), "*.example.org".into()],
        allow_private_addresses: false,
        ..rules()
    };
    let fetcher = Fetcher::new(&named, 1000).unwrap();
    for good in [
        "https://docs.example.com/a",
        "http://DOCS.example.com./a",
        "https://a.b.example.org/",
    ] {
        fetcher.check(good).unwrap();
    }
    let long = format!("https://docs.example.com/{}", "a".repeat(2048));
    for bad in [
        "file:///etc/passwd",
        "ftp://docs.example.com/",
        "https://user:secret@docs.example.com/",
        "https://example.org/",
        "https://evilexample.org/",
        "https://docs.example.com.evil.net/",
        "not a url",
        &long,
    ] {
        assert!(fetcher.check(bad).is_err(), "{bad}");
    }
}

#[tokio::test]
async fn robots_txt_is_obeyed() {
    let site = serve(|path| match path {
        "/robots.txt" => ok("User-agent: *\nDisallow: /private\n"),
        _ => ok("text"),
    });
    let polite = Fetching {
        respect_robots_txt: true,
        ..rules()
    };
    let fetcher = Fetcher::new(&polite, 1000).unwrap();
    fetcher.fetch(&format!("{site}/open")).await.unwrap();
    let error = fetcher
        .fetch(&format!("{site}/private/a"))
        .await
        .unwrap_err();
    assert!(error.message.contains("robots.txt"), "{error}");
}
