//! Requests made from the description of the admin API, valid and invalid ones: each is answered as described.

use narrows_conformance::servers::free_port;
use narrows_conformance::servers::python::python;
use narrows_conformance::{Folder, Narrows};
use std::process::Command;

/// Requests for each operation and phase; `NARROWS_ADMIN_FUZZ` asks for more.
const EXAMPLES: &str = "20";
const TOKEN: &str = "0123456789abcdef0123";

#[test]
fn whatever_is_made_of_the_description_is_answered_as_described_and_traffic_goes_on() {
    let folder = Folder::new();
    let token = folder.write("token", TOKEN);
    let port = free_port();
    let yaml = format!(
        "admin: {{ bind: \"127.0.0.1:{port}\", token: \"{token}\" }}\n\
         listeners:\n  web: {{ bind: \"127.0.0.1:0\", upstream: app }}\n  free: {{ bind: \"127.0.0.1:0\", routes: [ {{ path: /*, respond: {{ status: 204 }} }} ] }}\n\
         upstreams:\n  app: {{ endpoints: [\"127.0.0.1:1\"] }}\n"
    );
    let mut narrows = Narrows::start_in(folder, &yaml, &["--workers", "1"]);
    let examples = std::env::var("NARROWS_ADMIN_FUZZ").unwrap_or_else(|_| EXAMPLES.to_owned());
    let mut run = Command::new(python().with_file_name("schemathesis"));
    run.args(["run", &format!("http://127.0.0.1:{port}/openapi.json"), "--no-color"])
        .args(["--header", &format!("Authorization: Bearer {TOKEN}"), "--max-examples", &examples])
        // They end the process, or do not end themselves.
        .args([
            "--exclude-path",
            "/v1/drain",
            "--exclude-path",
            "/v1/upgrade",
            "--exclude-path",
            "/v1/explain",
        ])
        // What is made must not depend on what earlier runs left behind.
        .args(["--generation-database", "none"])
        .current_dir(narrows.folder.path());
    let output = run.output().expect("it runs: `cargo xtask test` installs it");
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(told.contains("No issues found"), "{told}");
    assert!(narrows.is_running());
    let answer = narrows.connect("free").exchange("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(answer.status(), 204, "{}", answer.head);
}
