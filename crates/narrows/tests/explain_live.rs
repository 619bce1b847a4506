//! The command that listens, against a stand-in for the admin API.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixListener;
use std::process::{Command, Output};
use std::thread::JoinHandle;

/// Answers one request with these bytes, and gives its first line.
fn stand_in(folder: &std::path::Path, answer: &'static str) -> (String, JoinHandle<String>) {
    let path = folder.join("admin.sock");
    let listener = UnixListener::bind(&path).expect("a socket");
    let serving = std::thread::spawn(move || {
        let (stream, _) = listener.accept().expect("a client");
        let mut reader = BufReader::new(&stream);
        let mut first = String::new();
        reader.read_line(&mut first).expect("a request");
        let mut field = String::new();
        while field != "\r\n" {
            field.clear();
            reader.read_line(&mut field).expect("a head");
        }
        (&stream).write_all(answer.as_bytes()).expect("a client");
        first
    });
    (format!("unix:{}", path.display()), serving)
}

fn narrows(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_narrows")).args(arguments).output().expect("the binary")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

const STREAM: &str = "HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n\
                      3c\r\n{\"explained\":{\"subject\":\"GET http://a/v1 HTTP/1.1\",\"status\":\r\n\
                      5\r\n200}}\r\n1\r\n\n\r\nb\r\n{\"lost\":12}\r\n1\r\n\n\r\n0\r\n\r\n";

#[test]
fn what_is_heard_is_printed_and_what_was_lost_is_said() {
    let folder = tempfile::tempdir().expect("a folder");
    let (admin, serving) = stand_in(folder.path(), STREAM);
    let when = "request.path.startsWith(\"/v1\")";
    let output = narrows(&["explain", "--live", when, "--admin", &admin, "--limit", "3", "--for", "30s"]);
    let (printed, said) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{said}");
    assert!(
        printed.starts_with("GET http://a/v1 HTTP/1.1\n") && printed.contains("answered 200"),
        "{printed}"
    );
    assert!(said.contains("12 more were left out"), "{said}");
    let asked = serving.join().expect("a request");
    assert_eq!(
        asked,
        "GET /v1/explain?for=30&when=request.path.startsWith%28%22%2Fv1%22%29&limit=3 HTTP/1.1\r\n"
    );
}

#[test]
fn json_is_passed_on_line_by_line() {
    let folder = tempfile::tempdir().expect("a folder");
    let (admin, serving) = stand_in(folder.path(), STREAM);
    let output = narrows(&["explain", "--live", "true", "--admin", &admin, "--json"]);
    assert_eq!(
        text(&output.stdout),
        "{\"explained\":{\"subject\":\"GET http://a/v1 HTTP/1.1\",\"status\":200}}\n{\"lost\":12}\n"
    );
    serving.join().expect("a request");
}

#[test]
fn a_wrong_expression_is_told_with_its_place_before_anybody_is_asked() {
    let output =
        narrows(&["explain", "--live", "request.pat == \"x\"", "--admin", "unix:/nowhere/admin.sock"]);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("column 1") && said.contains("request.path"), "{said}");
}

#[test]
fn a_process_that_is_not_there_or_refuses_is_said() {
    let output = narrows(&["explain", "--live", "true", "--admin", "unix:/nowhere/admin.sock"]);
    assert!(text(&output.stderr).contains("cannot reach the process at unix:/nowhere/admin.sock"));
    assert_eq!(output.status.code(), Some(1));
    let folder = tempfile::tempdir().expect("a folder");
    let refusal =
        "HTTP/1.1 422 Unprocessable Content\r\nContent-Length: 23\r\n\r\n{\"detail\": \"too many\" }\n";
    let (admin, serving) = stand_in(folder.path(), refusal);
    let output = narrows(&["explain", "--live", "true", "--admin", &admin]);
    assert!(text(&output.stderr).contains("refused: too many"), "{}", text(&output.stderr));
    serving.join().expect("a request");
}
