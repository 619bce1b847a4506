//! Files of endpoints that are read while the process runs.

use narrows_config::load_endpoints;
use narrows_plan::{Address, AdminState, Endpoint, Origin};
use std::path::PathBuf;

/// A file that is gone after the test.
struct Temporary(PathBuf);

impl Temporary {
    fn new(name: &str, text: impl AsRef<[u8]>) -> Self {
        let path = std::env::temp_dir().join(format!("narrows-{}-{name}", std::process::id()));
        std::fs::write(&path, text).expect("a temporary file");
        Temporary(path)
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn load(name: &str, text: &str) -> Result<Vec<Endpoint>, String> {
    let file = Temporary::new(name, text);
    let prefix = format!("{}:", file.0.display());
    load_endpoints(&file.0).map_err(|error| match error.strip_prefix(&prefix) {
        Some(rest) => rest.to_owned(),
        None => panic!("the file is not named: {error}"),
    })
}

#[test]
fn yaml_and_json_say_the_same() {
    let yaml = load(
        "same.yaml",
        "- 10.0.0.1:8080\n- { address: app.internal:80, weight: 0, backup: true, zone: eu-1, labels: { version: v2, a: 1 },\n    state: drain, connections: 100, requests: 200 }\n- service: _http._tcp.App.internal\n  priority: 3\n",
    );
    let json = load(
        "same.json",
        "[\n\t\"10.0.0.1:8080\",\n\t{\"address\": \"app.internal:80\", \"weight\": 0, \"backup\": true, \"zone\": \"eu-1\",\n\t \"labels\": {\"version\": \"v2\", \"a\": 1}, \"state\": \"drain\", \"connections\": 100, \"requests\": 200},\n\t{\"service\": \"_http._tcp.App.internal\", \"priority\": 3}\n]\n",
    );
    let yaml = yaml.expect("endpoints");
    assert_eq!(json.as_ref(), Ok(&yaml));
    assert_eq!(
        yaml[0],
        Endpoint::new(Address::Socket("10.0.0.1:8080".parse().expect("an address")), Origin::default())
    );
    let second = &yaml[1];
    assert_eq!((second.weight, second.priority, second.zone.as_deref()), (0, 1, Some("eu-1")));
    assert_eq!(*second.labels, [("a".into(), "1".into()), ("version".into(), "v2".into())]);
    assert_eq!(
        (second.state, second.limits.connections, second.limits.requests),
        (AdminState::Drain, Some(100), Some(200))
    );
    assert_eq!(
        (&yaml[2].address, yaml[2].priority),
        (&Address::Service("_http._tcp.app.internal".into()), 3)
    );
}

#[test]
fn a_list_may_be_empty_but_a_file_may_not() {
    assert_eq!(load("none.yaml", "[]"), Ok(Vec::new()));
    for text in ["", "# nothing yet\n", "---\n"] {
        let error = load("empty.yaml", text).expect_err("half a file");
        assert!(error.contains("1:1: "), "{error}");
    }
}

#[test]
fn an_error_says_where_and_what_in_one_paragraph() {
    let error = load("slip.yaml", "- { address: '10.0.0.1:80', wieght: 2 }\n").expect_err("a slip");
    assert_eq!(error, "1:29: unknown key `wieght` (did you mean `weight`?)");
    let error = load("slips.yaml", "- 10.0.0.1\n- a b\n- { weight: 70000 }\n").expect_err("slips");
    assert_eq!(error, "1:3: `10.0.0.1` has no port (write `10.0.0.1:8080`); 3 more errors follow");
    let error = load("table.yaml", "endpoints: []\n").expect_err("no list");
    assert_eq!(error, "1:1: expected a list, found a table");
    let error = load("cut.json", "[\"10.0.0.1:80\", ").expect_err("half a file");
    assert!(!error.contains('\n') && error.contains("this is not YAML"), "{error}");
}

#[test]
fn a_file_that_cannot_be_read_is_an_error() {
    let error = load_endpoints(&PathBuf::from("/no/such/file.yaml")).expect_err("no file");
    assert!(error.starts_with("/no/such/file.yaml: cannot read this file: "), "{error}");
    let bytes = Temporary::new("bytes.yaml", [b'-', b' ', 0xff]);
    let error = load_endpoints(&bytes.0).expect_err("no text");
    assert!(error.contains("not UTF-8"), "{error}");
}

#[test]
fn a_file_that_is_too_large_is_refused() {
    let large = Temporary::new("large.yaml", vec![b'#'; (16 << 20) + 1]);
    let error = load_endpoints(&large.0).expect_err("too large");
    assert!(error.ends_with("this file is larger than 16MiB"), "{error}");
}
