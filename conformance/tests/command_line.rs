//! The commands that a person types.

use std::process::{Command, Output};

use narrows_conformance::narrows::{binary, command_line};
use narrows_conformance::program::{Program, run};
use narrows_conformance::{Connection, Folder, output_of};

const GOOD: &str = r#"
listeners:
  web:
    bind: "127.0.0.1:8080"
    routes:
      - name: beta
        host: api.example.com
        path: /v1/*
        when: 'request.headers["x-beta"] == "1"'
        upstream: beta
      - { name: v1, host: api.example.com, path: /v1/*, upstream: stable }
      - { name: office, path: /admin/*, source: [10.0.0.0/8], respond: { status: 200, body: hi } }
    upstream: stable
  secure:
    bind: "127.0.0.1:8443"
    protocol: tcp
    routes:
      - { name: db, sni: ["*.db.example.com"], alpn: [postgresql], upstream: stable }
    upstream: beta
upstreams:
  stable: { endpoints: [10.0.0.1:80, 10.0.0.2:80] }
  beta: { endpoints: [10.0.0.9:80] }
"#;

/// One mistake on each of the lines named in the comments.
const BAD: &str = r#"settings:
  worker: 2
listeners:
  web:
    bind: "127.0.0.1:99999"
    protocol: http
    timeouts: { head: 10 parsecs }
    limits: { body: 12XB }
    routes:
      - { path: /a, upstream: nowhere }
      - { path: { regex: "(" }, upstream: app }
      - { source: [10.0.0.0/40], upstream: app }
      - { when: 'request.header == 1', upstream: app }
      - { when: 'request.method == 1', upstream: app }
      - { path: /b }
      - { path: /c, respond: { status: 42, body: "${ request.nothing }" } }
upstreams:
  app: { endpoints: ["127.0.0.1:80"], balance: random-ish }
"#;

/// The lines of [`BAD`] that hold a mistake.
const MISTAKES: [u64; 12] = [2, 5, 7, 8, 10, 11, 12, 13, 14, 15, 16, 18];

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn everything(output: &Output) -> String {
    text(&output.stdout) + &text(&output.stderr)
}

/// Runs `narrows explain` with the good configuration.
fn explain(arguments: &[&str]) -> String {
    let folder = Folder::new();
    let path = folder.write("site.yaml", GOOD);
    let all = ["explain", &path].iter().chain(arguments).copied().collect::<Vec<_>>();
    let output = command_line(&all);
    assert!(output.status.success(), "{}", everything(&output));
    everything(&output)
}

#[test]
fn a_good_configuration_is_checked_with_exit_0() {
    let folder = Folder::new();
    let path = folder.write("site.yaml", GOOD);
    let output = command_line(&["check", &path]);
    assert_eq!(output.status.code(), Some(0), "{}", everything(&output));
    let json = command_line(&["check", "--format", "json", &path]);
    assert_eq!(serde_json::from_slice::<serde_json::Value>(&json.stdout).unwrap(), serde_json::json!([]));
}

#[test]
fn a_bad_configuration_gets_all_its_errors_at_once() {
    let folder = Folder::new();
    let path = folder.write("bad.yaml", BAD);
    let output = command_line(&["check", &path]);
    assert_eq!(output.status.code(), Some(1));
    let shown = everything(&output);
    for line in MISTAKES {
        assert!(shown.contains(&format!("bad.yaml:{line}:")), "line {line} is missing: {shown}");
    }
    assert!(shown.contains("error[N0") && shown.contains("help"), "{shown}");
    assert!(shown.contains("workers"), "a close name is proposed: {shown}");
    assert!(!shown.contains("panicked"), "{shown}");
}

#[test]
fn errors_as_json_have_a_place_a_code_and_a_message() {
    let folder = Folder::new();
    let path = folder.write("bad.yaml", BAD);
    let output = command_line(&["check", "--format", "json", &path]);
    assert_eq!(output.status.code(), Some(1));
    let list: Vec<serde_json::Value> = serde_json::from_slice(&output.stdout).expect("an array");
    for line in MISTAKES {
        assert!(list.iter().any(|item| item["line"] == line), "line {line} is missing: {list:#?}");
    }
    for item in &list {
        let code = item["code"].as_str().unwrap_or_default();
        assert!(code.len() == 5 && code.starts_with('N'), "{item}");
        assert!(item["message"].as_str().is_some_and(|message| !message.is_empty()), "{item}");
        assert!(item["file"].as_str().is_some_and(|file| file.ends_with("bad.yaml")), "{item}");
        assert!(item["column"].as_u64().is_some_and(|column| column >= 1), "{item}");
        assert!(item["end_line"].as_u64() >= item["line"].as_u64(), "{item}");
        assert!(item["severity"] == "error" || item["severity"] == "warning", "{item}");
    }
}

#[test]
fn run_refuses_a_bad_configuration_and_binds_nothing() {
    let folder = Folder::new();
    let path = folder.write("bad.yaml", BAD);
    let output = command_line(&["run", &path]);
    assert_eq!(output.status.code(), Some(1));
    let shown = everything(&output);
    assert!(shown.contains("bad.yaml:2:") && !shown.contains("listening on"), "{shown}");
}

#[test]
fn anything_can_be_checked_without_a_panic() {
    let folder = Folder::new();
    let deep = "[".repeat(5000);
    let anchors = "a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\nlisteners: *c\n";
    let cases: [&[u8]; 14] = [
        b"",
        b"\0\0\0",
        b"\xff\xfe\xfd",
        b"listeners: 1",
        b"- a\n- b",
        b"listeners: { web: { bind: ",
        b"listeners:\n\tweb:",
        b"%YAML 9.9\n---\n",
        b"listeners: {}\nlisteners: {}",
        b"? [a]\n: b",
        b"listeners: { web: { routes: [ { when: '((((((((' } ] } }",
        b"\xef\xbb\xbflisteners: {}",
        deep.as_bytes(),
        anchors.as_bytes(),
    ];
    for case in cases {
        let path = folder.write("case.yaml", case);
        for command in ["check", "run"] {
            let output = command_line(&[command, &path]);
            let shown = everything(&output);
            assert_eq!(
                output.status.code(),
                Some(1),
                "{command} {:?}: {shown}",
                text(&case[..case.len().min(60)])
            );
            assert!(!shown.contains("panicked") && !shown.contains("overflow"), "{shown}");
        }
    }
}

#[test]
fn a_file_that_is_not_there_is_an_error_with_its_name() {
    let output = command_line(&["check", "/nowhere/site.yaml"]);
    assert!(!output.status.success());
    assert!(everything(&output).contains("/nowhere/site.yaml"), "{}", everything(&output));
}

#[test]
fn the_schema_is_json_schema_of_every_section() {
    let output = command_line(&["schema"]);
    assert!(output.status.success());
    let schema: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert!(
        schema["$schema"].as_str().is_some_and(|version| version.contains("json-schema.org")),
        "{schema}"
    );
    for section in ["settings", "listeners", "upstreams"] {
        assert!(schema["properties"][section].is_object(), "{section}");
    }
    let whole = schema.to_string();
    for key in [
        "trusted_proxies",
        "path_matching",
        "minimum_body_rate",
        "tunnel_idle",
        "least-request",
        "idle_timeout",
    ] {
        assert!(whole.contains(key), "{key}");
    }
}

#[test]
fn explain_names_the_route_its_place_and_the_endpoints() {
    let shown = explain(&["GET", "http://api.example.com:8080/v1/x"]);
    assert!(shown.contains("v1"), "{shown}");
    assert!(shown.contains("site.yaml:11"), "where the route stands: {shown}");
    assert!(
        shown.contains("stable") && shown.contains("10.0.0.1:80") && shown.contains("10.0.0.2:80"),
        "{shown}"
    );
    assert!(!shown.contains("10.0.0.9:80"), "{shown}");
}

#[test]
fn explain_shows_the_rule_that_was_compared_and_the_value_it_saw() {
    let without = explain(&["GET", "http://api.example.com:8080/v1/x"]);
    assert!(without.contains("beta") && without.contains("x-beta"), "{without}");
    assert!(without.contains("site.yaml:6"), "the route that was looked at first: {without}");
    let with = explain(&["GET", "http://api.example.com:8080/v1/x", "-H", "X-Beta: 1"]);
    assert!(with.contains("10.0.0.9:80") && !with.contains("10.0.0.1:80"), "{with}");
}

#[test]
fn explain_takes_a_source_and_falls_to_the_default() {
    let inside = explain(&["GET", "http://www.example.com:8080/admin/x", "--source", "10.1.2.3"]);
    assert!(inside.contains("office"), "{inside}");
    let outside = explain(&["GET", "http://www.example.com:8080/admin/x", "--source", "192.0.2.1"]);
    assert!(outside.contains("10.0.0.1:80") && outside.contains("192.0.2.1"), "{outside}");
}

#[test]
fn explain_works_at_layer_four() {
    let known =
        explain(&["TCP", "tcp://127.0.0.1:8443", "--sni", "a.db.example.com", "--alpn", "postgresql"]);
    assert!(known.contains("db") && known.contains("10.0.0.1:80"), "{known}");
    let other = explain(&["TCP", "tcp://127.0.0.1:8443", "--sni", "other.example.com"]);
    assert!(other.contains("10.0.0.9:80"), "{other}");
}

#[test]
fn the_version_is_the_workspaces() {
    for arguments in [&["version"][..], &["--version"]] {
        let output = command_line(arguments);
        assert!(output.status.success());
        assert!(text(&output.stdout).contains(env!("CARGO_PKG_VERSION")), "{}", everything(&output));
    }
}

#[test]
fn help_teaches_every_command() {
    let help = text(&command_line(&["--help"]).stdout);
    for command in ["demo", "run", "check", "schema", "explain", "version", "completions"] {
        assert!(help.contains(command), "{command}: {help}");
        let own = command_line(&[command, "--help"]);
        assert!(own.status.success() && text(&own.stdout).len() > 80, "{command}");
    }
    let wrong = command_line(&["runn"]);
    assert!(!wrong.status.success() && everything(&wrong).contains("run"), "{}", everything(&wrong));
}

#[test]
fn completions_are_valid_for_their_shell() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let output = command_line(&["completions", shell]);
        assert!(output.status.success() && text(&output.stdout).contains("narrows"), "{shell}");
    }
    let folder = Folder::new();
    let path = folder.write("completions", command_line(&["completions", "bash"]).stdout);
    output_of(Command::new("bash").args(["-n", &path]));
}

#[test]
fn the_demo_configuration_is_valid_and_runs() {
    let output = command_line(&["demo", "--print-config"]);
    assert!(output.status.success());
    let folder = Folder::new();
    let path = folder.write("demo.yaml", &output.stdout);
    let checked = command_line(&["check", &path]);
    assert!(checked.status.success(), "{}", everything(&checked));
    for word in ["api.example.com", "www.example.com", "video.example.com", "/v1/", "/v2/", "protocol: tcp"] {
        assert!(text(&output.stdout).contains(word), "{word}");
    }
}

#[test]
fn the_demo_starts_answers_its_own_curl_lines_and_stops_cleanly() {
    let mut demo = Program::start(Command::new(binary()).arg("demo"));
    let curls = |text: &str| {
        let lines = text.lines().filter_map(|line| line.find("curl ").map(|at| line[at..].trim().to_owned()));
        lines.collect::<Vec<_>>()
    };
    demo.wait_for("all its lines", |text| {
        let last = text.split_once("telnet://").is_some_and(|(_, rest)| rest.contains('\n'));
        last && text.contains("Ctrl-C") && text.contains("narrows: ready")
    });
    let lines = curls(&demo.output());
    for line in lines.iter().filter(|line| !line.contains("telnet://")) {
        let whole = format!("{line} --silent --show-error --max-time 10 --write-out '\\n%{{http_code}}'");
        let output = run(Command::new("sh").args(["-c", &whole]));
        let shown = everything(&output);
        let expected: &[&str] =
            if line.contains("nobody") { &["404"] } else { &["200", "301", "302", "308"] };
        assert!(output.status.success() && shown.trim().len() > 5, "{line}: {shown}");
        assert!(expected.contains(&shown.lines().last().unwrap_or_default()), "{line}: {shown}");
    }
    let raw = lines.iter().find_map(|line| line.split_once("telnet://")).expect("a line for the raw service");
    let mut client = Connection::connect(raw.1);
    client.send("hello\n");
    client.read_until(b"hello\n");
    drop(client);
    for name in ["api.example.com", "www.example.com", "video.example.com", "/v1/", "/v2/"] {
        assert!(lines.iter().any(|line| line.contains(name)), "{name}: {lines:?}");
    }
    demo.signal("INT");
    assert_eq!(demo.wait_for_exit().code(), Some(0));
    assert!(!demo.output().contains("panicked"), "{}", demo.output());
}

#[test]
fn every_example_is_a_valid_configuration() {
    let examples = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
    let mut checked = 0;
    for file in std::fs::read_dir(examples).unwrap().flatten() {
        let path = file.path();
        if path.extension().is_some_and(|extension| extension == "yaml") {
            let output = command_line(&["check", &path.display().to_string()]);
            let said = everything(&output);
            // The full example names certificates that only its reader has; nothing else may be wrong with it.
            let shown = said.lines().filter(|line| line.starts_with("error")).collect::<Vec<_>>();
            let lacks_files = !shown.is_empty() && shown.iter().all(|line| line.contains("No such file"));
            assert!(output.status.success() || lacks_files, "{}: {said}", path.display());
            checked += 1;
        }
    }
    assert!(checked > 0, "examples/ has configurations");
}
