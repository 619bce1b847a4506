//! The commands, as a person types them, on the demo's configuration.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

fn narrows(words: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_narrows"))
        .args(words)
        .current_dir(examples())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    // A command that does not read its input closes it.
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    child.wait_with_output().expect("the command ends")
}

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples")
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("UTF-8")
}

/// Words of a command and the file that holds its answer.
const EXPLAINED: [(&str, &str); 11] = [
    ("demo.yaml GET http://api.example.com:8080/v1/users?page=2", "prefix"),
    ("demo.yaml GET http://API.example.com:8080//v2/./users --source 192.0.2.7", "normalised"),
    ("demo.yaml GET http://video.example.com:8080/film --all", "condition-false"),
    ("demo.yaml GET http://video.example.com:8080/film -H x-beta:1", "condition-true"),
    ("demo.yaml GET http://www.example.com:8080/old/news", "redirect"),
    ("demo.yaml GET http://www.example.com:8080/health", "respond"),
    ("demo.yaml GET https://nobody.example.com/", "nobody"),
    ("demo.yaml TCP tcp://127.0.0.1:9090", "tcp"),
    ("full.yaml UDP udp://127.0.0.1:53", "udp"),
    ("full.yaml UDP udp://192.0.2.1:443 --sni www.example.com --alpn h3", "quic"),
    ("full.yaml DELETE http://other.example.org:8080/beta-features/x", "split"),
];

/// `UPDATE_GOLDEN=1 cargo test -p narrows --test command_line` writes the expected texts; read the difference.
#[test]
fn explain_answers_as_expected() {
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let mut wrong = String::new();
    for (words, name) in EXPLAINED {
        let words: Vec<&str> = words.split(' ').collect();
        let output = narrows(&[&["explain"], &words[..]].concat(), "");
        let answer = format!(
            "$ narrows explain {}\n{}{}",
            words.join(" "),
            text(&output.stdout),
            text(&output.stderr)
        );
        let file =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/explain").join(name).with_extension("expected");
        if update {
            std::fs::write(&file, &answer).expect("the expected text is written");
        } else if std::fs::read_to_string(&file).unwrap_or_default() != answer {
            wrong.push_str(&format!("--- {name}\n{answer}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn explain_says_the_same_in_json() {
    let words = "explain demo.yaml GET http://video.example.com:8080/film --format json";
    let output = narrows(&words.split(' ').collect::<Vec<_>>(), "");
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let one = &answer[0];
    assert_eq!(one["taken"], true);
    assert_eq!(one["compared"][0]["conditions"][0]["held"], false);
    assert_eq!(one["compared"][0]["conditions"][0]["values"]["request.headers[\"x-beta\"]"], "\"\"");
    assert_eq!(one["outcome"]["kind"], "forward");
    assert_eq!(one["outcome"]["upstreams"][0]["endpoints"][0]["address"], "127.0.0.1:9105");
    assert!(one["not_compared"].as_array().is_some_and(|list| list.len() == 6), "{one:#}");
}

#[test]
fn a_configuration_can_come_from_standard_input() {
    let printed = narrows(&["demo", "--print-config", "--port-offset", "77"], "");
    let checked = narrows(&["check", "-"], text(&printed.stdout));
    assert_eq!(checked.status.code(), Some(0), "{}", text(&checked.stderr));
    assert_eq!(text(&checked.stdout), "ok: 3 listeners, 6 upstreams\n");
    let wrong = narrows(&["check", "-"], "listeners: 1");
    assert_eq!(wrong.status.code(), Some(1));
    assert!(text(&wrong.stderr).contains("<stdin>:1:"), "{}", text(&wrong.stderr));
    let explained = narrows(&["explain", "-", "TCP", "tcp://127.0.0.1:9167"], text(&printed.stdout));
    assert!(text(&explained.stdout).contains("127.0.0.1:9184"), "{}", text(&explained.stdout));
}

#[test]
fn the_demo_prints_the_file_of_the_examples() {
    let printed = narrows(&["demo", "--print-config"], "");
    let file = std::fs::read(examples().join("demo.yaml")).expect("the example");
    assert_eq!(printed.stdout, file);
}

#[test]
fn a_wrong_command_line_ends_with_2() {
    let cases: [&[&str]; 9] = [
        &["serve"],
        &["run"],
        &["run", "x.yaml", "--workers", "0"],
        &["check", "-", "demo.yaml"],
        &["check", "demo.yaml", "--format", "xml"],
        &["explain", "demo.yaml", "GET", "www.example.com/"],
        &["explain", "demo.yaml", "GET", "tcp://127.0.0.1:9090"],
        &["explain", "demo.yaml", "TCP", "http://127.0.0.1:9090"],
        &["demo", "--port-offset", "60000"],
    ];
    for words in cases {
        let output = narrows(words, "");
        assert_eq!(output.status.code(), Some(2), "{words:?}: {}", text(&output.stderr));
        assert!(text(&output.stderr).starts_with("error: "), "{words:?}: {}", text(&output.stderr));
    }
}

#[test]
fn a_connection_to_a_port_without_listener_is_told_what_there_is() {
    let output = narrows(&["explain", "demo.yaml", "TCP", "tcp://127.0.0.1:1"], "");
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("lines (demo.yaml:42:3), tcp on 127.0.0.1:9090"));
}

#[test]
fn an_address_that_is_taken_ends_run_with_1_and_its_place() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("an address").port();
    let text_of = format!("listeners:\n  web: {{ bind: \"127.0.0.1:{port}\", upstream: a }}\n")
        + "upstreams:\n  a: { endpoints: [\"127.0.0.1:1\"] }\n";
    let output = narrows(&["run", "-"], &text_of);
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    assert!(
        said.contains(&format!("<stdin>:2:16: listener web: cannot listen on 127.0.0.1:{port}")),
        "{said}"
    );
    assert!(!said.contains("listening on"), "{said}");
}

#[test]
fn a_reader_that_has_gone_is_no_panic() {
    for words in [&["schema"][..], &["completions", "zsh"], &["check", "demo.yaml"]] {
        let mut child = Command::new(env!("CARGO_BIN_EXE_narrows"))
            .args(words)
            .current_dir(examples())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        drop(child.stdout.take());
        let output = child.wait_with_output().expect("the command ends");
        assert_eq!(output.status.code(), Some(0), "{words:?}: {}", text(&output.stderr));
    }
}
