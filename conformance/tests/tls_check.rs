//! What `narrows check` says about certificates, and that `narrows run` starts with none of it.

use std::process::Output;

use narrows_conformance::Folder;
use narrows_conformance::narrows::command_line;
use narrows_conformance::servers::certificates::{Authority, Identity};

fn everything(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// The configuration of a listener, its `tls` on lines from the fifth on.
fn yaml(tls: &str) -> String {
    format!(
        "listeners:\n  web:\n    bind: \"127.0.0.1:0\"\n    tls:\n{tls}\n    routes:\n      - {{ path: /*, respond: {{}} }}\n"
    )
}

fn certificate(identity: &Identity) -> String {
    format!("      certificates:\n        - {}", identity.yaml())
}

/// What `check` says of a configuration that is wrong.
#[track_caller]
fn mistakes(yaml: &str) -> String {
    let folder = Folder::new();
    let path = folder.write("site.yaml", yaml);
    let output = command_line(&["check", &path]);
    let shown = everything(&output);
    assert_eq!(output.status.code(), Some(1), "{yaml}\n{shown}");
    assert!(shown.contains("error[N0") && !shown.contains("panicked"), "{shown}");
    let run = command_line(&["run", &path]);
    assert_eq!(run.status.code(), Some(1), "run starts with no mistake: {}", everything(&run));
    shown
}

#[test]
fn good_files_are_good() {
    let authority = Authority::new("a root");
    let identity = authority.server(&["example.com"]);
    let folder = Folder::new();
    let path = folder.write("site.yaml", yaml(&certificate(&identity)));
    let output = command_line(&["check", &path]);
    assert_eq!(output.status.code(), Some(0), "{}", everything(&output));
}

#[test]
fn a_file_is_found_beside_the_configuration() {
    let authority = Authority::new("a root");
    let identity = authority.server(&["example.com"]);
    let folder = Folder::new();
    folder.write("site.pem", std::fs::read(&identity.certificate).unwrap());
    folder.write("site.key", std::fs::read(&identity.key).unwrap());
    let path =
        folder.write("site.yaml", yaml("      certificates:\n        - { cert: site.pem, key: site.key }"));
    let output = command_line(&["check", &path]);
    assert_eq!(output.status.code(), Some(0), "{}", everything(&output));
}

#[test]
fn a_missing_file_is_named_with_its_line() {
    let shown = mistakes(&yaml("      certificates:\n        - { cert: nowhere.pem, key: nowhere.key }"));
    assert!(shown.contains("site.yaml:6:"), "{shown}");
    assert!(shown.contains("nowhere.pem") && shown.contains("nowhere.key"), "both at once: {shown}");
    assert!(shown.to_lowercase().contains("no such file") || shown.contains("not found"), "{shown}");
}

#[test]
fn a_file_that_is_not_pem_is_named() {
    let authority = Authority::new("a root");
    let good = authority.server(&["example.com"]);
    let folder = Folder::new();
    let text = folder.write("text.pem", "hello\n");
    for identity in [
        Identity { certificate: text.clone(), key: good.key.clone() },
        Identity { certificate: good.certificate.clone(), key: text.clone() },
        Identity { certificate: good.key.clone(), key: good.key.clone() },
    ] {
        let shown = mistakes(&yaml(&certificate(&identity)));
        assert!(shown.contains("site.yaml:6:") && shown.contains("PEM"), "{shown}");
    }
}

#[test]
fn a_key_that_does_not_fit_is_told() {
    let authority = Authority::new("a root");
    let (one, two) = (authority.server(&["example.com"]), authority.server(&["example.com"]));
    let mixed = Identity { certificate: one.certificate, key: two.key.clone() };
    let shown = mistakes(&yaml(&certificate(&mixed)));
    assert!(shown.contains("site.yaml:6:") && shown.contains("key"), "{shown}");
    assert!(shown.contains(&two.key) || shown.contains("fit") || shown.contains("match"), "{shown}");
}

#[test]
fn an_expired_certificate_is_a_warning_with_its_dates() {
    let authority = Authority::new("a root");
    let folder = Folder::new();
    let path = folder.write("site.yaml", yaml(&certificate(&authority.expired("example.com"))));
    let output = command_line(&["check", &path]);
    let shown = everything(&output);
    assert_eq!(output.status.code(), Some(0), "it can be used, clients refuse it: {shown}");
    assert!(shown.contains("warning[N0") && shown.contains("site.yaml:6:"), "{shown}");
    assert!(shown.contains("expired.pem") && shown.contains("2020"), "{shown}");
}

#[test]
fn the_files_of_clients_and_upstreams_are_looked_at_too() {
    let authority = Authority::new("a root");
    let identity = authority.server(&["example.com"]);
    let tls = format!(
        "{}\n      clients: {{ mode: required, ca: no-authority.pem, crl: [no-list.pem] }}",
        certificate(&identity)
    );
    let upstream = "upstreams:\n  app: { endpoints: [\"127.0.0.1:1\"], tls: { ca: no-roots.pem } }\n";
    let shown = mistakes(&(yaml(&tls) + upstream));
    for file in ["no-authority.pem", "no-list.pem", "no-roots.pem"] {
        assert!(shown.contains(file), "{file} is missing: {shown}");
    }
}

#[test]
fn each_file_is_told_on_its_own_line() {
    let tls = "      certificates:
        - cert: no.pem
          key: no.key
          ocsp: no.ocsp
      clients:
        ca: no-authority.pem
        crl:
          - first.crl
          - second.crl";
    let upstream = "upstreams:\n  app:\n    endpoints: [\"127.0.0.1:1\"]\n    tls:\n      verify: true\n      ca: no-roots.pem\n";
    let shown = mistakes(&(yaml(tls) + upstream));
    for place in [6, 7, 8, 10, 12, 13, 21].map(|line| format!("site.yaml:{line}:")) {
        assert!(shown.contains(&place), "{place} is missing: {shown}");
    }
}

#[test]
fn a_swapped_certificate_and_key_are_recognised() {
    let authority = Authority::new("a root");
    let good = authority.server(&["example.com"]);
    let swapped = Identity { certificate: good.key, key: good.certificate };
    let shown = mistakes(&yaml(&certificate(&swapped)));
    assert!(shown.contains("are `cert` and `key` swapped?"), "{shown}");
}

#[test]
fn several_mistakes_are_told_at_once() {
    let authority = Authority::new("a root");
    let (one, two) = (authority.server(&["example.com"]), authority.server(&["example.com"]));
    let tls = format!(
        "      profile: antique
      minimum_version: \"1.1\"
      certificates:
        - {{ cert: nowhere.pem, key: \"{}\" }}
        - {}
        - {}",
        one.key,
        Identity { certificate: one.certificate.clone(), key: two.key.clone() }.yaml(),
        authority.expired("old.example.com").yaml()
    );
    let path_and_lines = mistakes(&yaml(&tls));
    for line in [5, 6] {
        assert!(path_and_lines.contains(&format!("site.yaml:{line}:")), "line {line}: {path_and_lines}");
    }
    let tls = tls.lines().skip(2).collect::<Vec<_>>().join("\n");
    let shown = mistakes(&yaml(&tls));
    for line in [6, 7, 8] {
        assert!(shown.contains(&format!("site.yaml:{line}:")), "line {line} is missing: {shown}");
    }
    let folder = Folder::new();
    let path = folder.write("site.yaml", yaml(&tls));
    let json = command_line(&["check", "--format", "json", &path]);
    let list: Vec<serde_json::Value> = serde_json::from_slice(&json.stdout).expect("an array");
    for line in [6, 7, 8] {
        assert!(list.iter().any(|item| item["line"] == line), "line {line} is missing: {list:#?}");
    }
}

#[test]
fn keys_that_cannot_be_meant_are_errors() {
    let authority = Authority::new("a root");
    let identity = authority.server(&["example.com"]);
    let certificate = certificate(&identity);
    let upstream = |keys: &str| {
        format!("{}upstreams:\n  app: {{ endpoints: [\"127.0.0.1:1\"], {keys} }}\n", yaml(&certificate))
    };
    mistakes(&upstream("protocol: auto"));
    mistakes(&upstream("protocol: http3"));
    mistakes(&upstream("tls: { verfiy: false }"));
    mistakes(&yaml("      certificates: []"));
    mistakes(&yaml(&format!("{certificate}\n      clients: {{ mode: required }}")));
    mistakes(&yaml(&format!("{certificate}\n      clients: {{ mode: sometimes, ca: x.pem }}")));
}
