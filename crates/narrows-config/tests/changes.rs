//! What makes one configuration another, in meaning.

use narrows_plan::Changes;
use std::path::Path;

fn changes(old: &str, new: &str) -> Changes {
    let plan = |text: &str| {
        let loaded = narrows_config::load_text("a.yaml", text, Path::new(""));
        let said = loaded.diagnostics.render(false);
        loaded.plan.unwrap_or_else(|| panic!("{said}"))
    };
    plan(new).changes_from(&plan(old))
}

fn lines(old: &str, new: &str) -> Vec<String> {
    changes(old, new).changes.iter().map(|change| format!("{change} ({})", change.place)).collect()
}

const OLD: &str = r#"
listeners:
  web:
    bind: "127.0.0.1:8080"
    routes:
      - { host: a.example.com, path: /v1/*, upstream: app }
      - { host: b.example.com, upstream: app }
      - { path: /old, respond: { status: 410, body: gone } }
upstreams:
  app: { endpoints: [10.0.0.1:80, 10.0.0.2:80] }
"#;

#[test]
fn comments_order_of_keys_and_defaults_mean_nothing() {
    let same = r#"# a comment
upstreams: { app: { balance: round-robin, endpoints: [{ address: 10.0.0.1:80, weight: 1 }, 10.0.0.2:80] } }
listeners:
  web:
    routes:
      - { upstream: app, host: a.example.com, path: /v1/* }
      - { host: b.example.com, upstream: app }
      - { path: /old, respond: { status: 410, body: gone } }
    timeouts: { connect: 5s }
    bind: ["127.0.0.1:8080"]
"#;
    assert_eq!(changes(OLD, same), Changes::default());
    assert_eq!(changes(OLD, same).summary(), "nothing changed");
}

#[test]
fn routes_are_known_again_by_what_they_take_whatever_their_number() {
    let new =
        OLD.replace("routes:\n", "routes:\n      - { name: new, host: c.example.com, upstream: app }\n");
    assert_eq!(lines(OLD, &new), ["+ route web/new: c.example.com -> upstream app (a.yaml:6:9)"]);
    let without = OLD.replace("      - { host: b.example.com, upstream: app }\n", "");
    assert_eq!(lines(OLD, &without), ["- route web/web[1] (a.yaml:7:9)"]);
}

#[test]
fn every_key_that_has_another_value_is_told_with_both_and_its_place() {
    let new = OLD
        .replace("/v1/*, upstream: app", "/v1/*, upstream: other")
        .replace(
            "10.0.0.2:80]",
            "{ address: 10.0.0.2:80, weight: 3 }, 10.0.0.3:80], connections: { idle: 7 }",
        )
        .replace("8080\"", "8080\"\n    timeouts: { connect: 250ms }")
        + "  other: { endpoints: [10.0.0.9:80] }\n";
    let told = lines(OLD, &new);
    let expected = [
        "~ listener web: timeouts.connect: 5s -> 250ms (a.yaml:3:3)",
        "~ route web/web[0]: action.upstream: app -> other (a.yaml:7:9)",
        "+ upstream other: 10.0.0.9:80 (a.yaml:12:3)",
        "~ upstream app: pool.idle: 64 -> 7 (a.yaml:11:3)",
        "~ endpoint app/10.0.0.2:80: weight: 1 -> 3 (a.yaml:11:46)",
        "+ endpoint app/10.0.0.3:80 (a.yaml:11:72)",
    ];
    assert_eq!(told, expected);
    assert_eq!(changes(OLD, &new).effects, ["upstream app: idle connections are closed and made anew"]);
}

#[test]
fn a_listener_that_goes_says_what_becomes_of_its_connections() {
    let new = OLD.replace("  web:", "  other:").replace("8080", "8081");
    let changes = changes(OLD, &new);
    assert_eq!(changes.summary(), "1 listener removed, 1 listener added");
    assert_eq!(changes.effects, ["listener web: connections end after what runs on them"]);
}

#[test]
fn no_secret_is_told() {
    let with = |password: &str| {
        OLD.replace(
            "10.0.0.2:80] }",
            &format!("10.0.0.2:80], health: {{ redis: {{ password: {password} }} }} }}"),
        )
    };
    let told = lines(&with("first-secret"), &with("second-secret")).join("\n");
    assert!(!told.contains("secret"), "{told}");
}
