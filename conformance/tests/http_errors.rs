//! Answers that the proxy makes itself.

use narrows_conformance::backend::Refusing;
use narrows_conformance::{Message, Narrows, Setup};

fn broken(keys: &str) -> Narrows {
    let nobody = Refusing::new();
    let narrows = Setup::web(&nobody, keys).start();
    std::mem::forget(nobody);
    narrows
}

fn content_type(answer: &Message) -> &str {
    answer.header("content-type").unwrap_or_default().split(';').next().unwrap_or_default()
}

#[test]
fn the_accept_field_chooses_text_json_or_html() {
    let narrows = broken("");
    for (accept, expected) in [
        ("*/*", "text/plain"),
        ("text/plain", "text/plain"),
        ("application/json", "application/json"),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "text/html"),
        ("text/html;q=0.1, application/json;q=0.9", "application/json"),
        ("application/problem+json, application/json", "application/json"),
        ("image/png", "text/plain"),
        (";;garbage,,", "text/plain"),
    ] {
        let answer = narrows.get("/", &[&format!("Accept: {accept}")]);
        let found = content_type(&answer);
        let json = expected == "application/json" && found == "application/problem+json";
        assert!(json || found == expected, "{accept}: {found}");
        assert!(!answer.body.is_empty() && answer.body.len() < 2000, "{accept}: a short body");
    }
    assert_eq!(content_type(&narrows.get("/", &[])), "text/plain");
}

#[test]
fn a_json_error_is_json_and_tells_the_status() {
    let answer = broken("").get("/", &["Accept: application/json"]);
    let value: serde_json::Value = serde_json::from_slice(&answer.body).expect("JSON");
    assert!(value.to_string().contains(&answer.status().to_string()), "{value}");
}

#[test]
fn an_html_error_is_a_page_without_the_users_words() {
    let answer = broken("").get("/<script>alert(1)</script>", &["Accept: text/html"]);
    if answer.status() != 400 {
        assert!(
            answer.text().trim_start().to_ascii_lowercase().starts_with("<!doctype html>"),
            "{}",
            answer.text()
        );
    }
    assert!(!answer.text().contains("<script>"));
}

#[test]
fn a_proxy_error_does_not_cost_the_connection() {
    let narrows = broken("");
    let mut client = narrows.web();
    for _ in 0..3 {
        let answer = client.exchange("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        assert!([502, 503].contains(&answer.status()));
        assert!(!answer.lists("connection", "close"));
    }
}

#[test]
fn an_error_after_head_has_no_content() {
    let narrows = broken("");
    let mut client = narrows.web();
    for _ in 0..2 {
        let answer = client.exchange("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
        assert!([502, 503].contains(&answer.status()));
    }
}

#[test]
fn proxy_status_is_a_structured_field() {
    let answer = broken("").get("/", &[]);
    let value = answer.header("proxy-status").expect("RFC 9209");
    assert!(value.starts_with("narrows; error="), "{value}");
    let details = value.split("; ").find_map(|part| part.strip_prefix("details="));
    if let Some(details) = details {
        assert!(details.starts_with('"') && details.ends_with('"'), "{value}");
        assert!(details.bytes().all(|byte| (0x20..0x7f).contains(&byte)), "{value}");
    }
}

#[test]
fn error_pages_replace_the_built_in_ones() {
    let keys = "error_pages:
  404: { file: 404.html, content_type: text/html }
  5xx: { body: \"sorry ${ response.status } for ${ request.path }\", content_type: text/x-sorry }
routes:
  - { path: /broken, upstream: app }
  - { path: /own, upstream: app, error_pages: { 4xx: { body: x }, 5xx: { body: own, content_type: text/plain } } }";
    let nobody = Refusing::new();
    let narrows = Setup::new()
        .upstream("app", &[&nobody])
        .listener("web", keys)
        .file("404.html", "<p>nothing here")
        .start();
    let missing = narrows.get("/missing", &[]);
    assert_eq!((missing.status(), missing.text().as_str()), (404, "<p>nothing here"));
    assert_eq!(content_type(&missing), "text/html");
    let broken = narrows.get("/broken", &["Accept: application/json"]);
    assert_eq!(broken.text(), format!("sorry {} for /broken", broken.status()));
    assert_eq!(content_type(&broken), "text/x-sorry");
    assert!(broken.header("proxy-status").is_some(), "a page does not hide the cause");
    assert_eq!(narrows.get("/own", &[]).text(), "own", "the route's page goes before the listener's");
}

#[test]
fn an_answer_of_the_upstream_is_not_an_error_of_the_proxy() {
    let backend =
        narrows_conformance::Backend::answering("HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy");
    let narrows =
        Setup::web(&backend, "error_pages: { 5xx: { body: sorry, content_type: text/plain } }").start();
    let answer = narrows.get("/", &[]);
    assert_eq!((answer.status(), answer.text().as_str()), (503, "busy"));
    assert_eq!(answer.header("proxy-status"), None);
}
