use super::*;
use clap::Parser;
use std::path::Path;

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    arguments: Arguments,
}

/// The report for a request to the demo.
fn report(words: &[&str]) -> String {
    let demo = include_str!("../../../../examples/demo.yaml");
    let plan = narrows_config::load_text("demo.yaml", demo, Path::new(".")).plan.unwrap();
    let Line { arguments } = Line::parse_from([&["explain", "demo.yaml"], words].concat());
    let (_, arguments) = arguments.understood().expect("a question");
    reports(&plan, &arguments).iter().map(Report::to_text).collect()
}

/// The reports of all listeners that are asked.
fn reports(plan: &Plan, arguments: &Arguments) -> Vec<Report> {
    let choices = ChoicePreview::new(plan);
    let listeners = candidates(plan, &arguments.url, None);
    listeners.into_iter().map(|listener| super::report(&choices, plan, listener, arguments)).collect()
}

/// What is explained for a request to `yaml`, where the listener is on port 80.
fn explained(yaml: &str, words: &[&str]) -> Report {
    let loaded = narrows_config::load_text("test.yaml", yaml, Path::new("."));
    let plan = loaded.plan.unwrap_or_else(|| panic!("{}", loaded.diagnostics.render(false)));
    let Line { arguments } = Line::parse_from([&["explain", "test.yaml"], words].concat());
    let (_, arguments) = arguments.understood().expect("a question");
    reports(&plan, &arguments).remove(0)
}

#[test]
fn the_rule_that_takes_a_request_is_named_with_the_values_it_saw() {
    let text = report(&["GET", "http://video.example.com/film", "-H", "x-beta: 1"]);
    assert!(text.contains("TAKEN"), "{text}");
    assert!(text.contains("request.headers[\"x-beta\"] = \"1\""), "{text}");
    assert!(text.contains("upstream video-beta"), "{text}");
    assert!(text.contains("endpoint 127.0.0.1:9106"), "{text}");
}

#[test]
fn a_condition_that_fails_is_shown_before_the_rule_that_wins() {
    let text = report(&["GET", "http://video.example.com/film"]);
    let failed = text.find("a condition does not hold").unwrap();
    assert!(failed < text.find("TAKEN").unwrap(), "{text}");
    assert!(text.contains("upstream video ("), "{text}");
}

#[test]
fn a_redirect_is_shown_with_its_captures() {
    let text = report(&["GET", "http://www.example.com/old/news"]);
    assert!(text.contains("redirects with 301 to /new/news"), "{text}");
}

#[test]
fn a_request_that_nothing_takes_says_so() {
    let text = report(&["GET", "http://nobody.example.com/", "--all"]);
    assert!(text.contains("refused with 404 no-route"), "{text}");
    assert!(text.contains("the host differs"), "{text}");
}

#[test]
fn a_request_that_is_no_http_says_why() {
    let text = report(&["GET", "http://www.example.com/", "-H", "bad header"]);
    assert!(text.contains("refused with 400"), "{text}");
}

#[test]
fn a_tcp_connection_is_explained_by_its_port() {
    let text = report(&["TCP", "tcp://127.0.0.1:9090"]);
    assert!(text.contains("upstream lines"), "{text}");
}

/// The report for datagrams to a listener that is QUIC or not.
fn datagram_report(quic: bool, words: &[&str]) -> String {
    let route = if quic { "sni: a.example.com" } else { "source: 10.0.0.0/8" };
    let text = format!(
        "listeners: {{ u: {{ bind: ':53', protocol: udp, quic: {quic}, routes: [{{ {route}, upstream: a }}], upstream: b }} }}
upstreams: {{ a: {{ endpoints: ['10.0.0.1:53'] }}, b: {{ endpoints: ['10.0.0.2:53'] }} }}"
    );
    explained(&text, &[&["UDP", "udp://127.0.0.1:53"], words].concat()).to_text()
}

#[test]
fn a_datagram_is_explained_by_its_source() {
    let text = datagram_report(false, &["--source", "10.1.2.3"]);
    assert!(text.contains("TAKEN") && text.contains("upstream a ("), "{text}");
    assert!(datagram_report(false, &["--source", "192.0.2.1"]).contains("upstream b ("));
}

#[test]
fn a_quic_connection_is_explained_by_its_server_name() {
    let text = datagram_report(true, &["--sni", "A.example.com"]);
    assert!(text.contains("TAKEN") && text.contains("upstream a ("), "{text}");
    assert!(datagram_report(true, &[]).contains("upstream b ("));
    assert!(datagram_report(false, &["--sni", "a.example.com"]).contains("note: --sni"));
}

#[test]
fn the_header_in_front_of_a_connection_is_told_on_both_sides() {
    let yaml = r#"
listeners:
  web:
    bind: ":80"
    proxy_protocol: { sources: 10.0.0.0/8 }
    routes: [{ when: 'proxy_protocol.tlv["0xE1"] == "blue"', upstream: app }]
    upstream: app
upstreams: { app: { endpoints: ["127.0.0.1:1"], proxy_protocol: v2 } }
"#;
    let text = explained(yaml, &["GET", "http://a/"]).to_text();
    assert!(text.contains("a PROXY protocol header is required from 10.0.0.0/8"), "{text}");
    assert!(text.contains("proxy_protocol.tlv[\"0xE1\"] = \"\""), "{text}");
    assert!(text.contains("at most 3 attempts, PROXY protocol v2"), "{text}");
}

/// An upstream of three endpoints with these keys.
fn with_upstream(keys: &str) -> String {
    format!(
        "listeners: {{ web: {{ bind: ':80', upstream: app }} }}
upstreams:
  app:
    endpoints:
      - 10.0.0.1:80
      - {{ address: '10.0.0.2:80', weight: 3, labels: {{ version: v2 }} }}
      - {{ address: '10.0.0.3:80', state: drain }}
      - {{ address: '10.0.0.4:80', backup: true }}
{keys}"
    )
}

#[test]
fn candidates_are_shown_with_what_speaks_for_and_against_them() {
    let text = explained(&with_upstream(""), &["GET", "http://a/"]).to_text();
    for line in [
        "candidates, as configured:",
        "endpoint 10.0.0.1:80 weight 1 (25 %)",
        "endpoint 10.0.0.2:80 weight 3 (75 %)",
        "endpoint 10.0.0.3:80 weight 1 (0 %), drain (configured)",
        "endpoint 10.0.0.4:80 weight 1 (0 %), tier 2",
        "retries 2 on connect-failure refused-stream reset",
    ] {
        assert!(text.contains(line), "{line}:\n{text}");
    }
    assert!(!text.contains("CHOSEN"), "round robin is left to what was before: {text}");
}

#[test]
fn the_winner_of_a_hash_is_the_one_that_live_traffic_gets() {
    let yaml = with_upstream("    balance: ketama\n    hash_key: '${request.headers[\"x-user\"]}'");
    let report = |user: &str| explained(&yaml, &["GET", "http://a/", "-H", &format!("x-user: {user}")]);
    let text = report("alice").to_text();
    assert!(text.contains("ketama") && text.contains("hash key \"alice\""), "{text}");
    assert_eq!(text.matches("CHOSEN").count(), 1, "{text}");
    let chosen = |user: &str| {
        let json = report(user).to_json();
        let endpoints = json["outcome"]["upstreams"][0]["endpoints"].as_array().unwrap().clone();
        let chosen = endpoints.iter().position(|endpoint| endpoint["chosen"] == true);
        chosen.unwrap()
    };
    let names: Vec<String> = (0..20).map(|number| format!("user{number}")).collect();
    let spread: Vec<usize> = names.iter().map(|name| chosen(name)).collect();
    assert!(spread.contains(&0) && spread.contains(&1) && !spread.contains(&2), "{spread:?}");
    let empty = explained(&yaml, &["GET", "http://a/"]).to_text();
    assert!(empty.contains("hash key \"\": empty, left to chance") && !empty.contains("CHOSEN"), "{empty}");
}

#[test]
fn a_sticky_cookie_is_followed_and_does_not_reach_the_endpoint() {
    let yaml = with_upstream("    stickiness: { cookie: { value: address } }");
    let ask = |cookie: &str| {
        explained(&yaml, &["GET", "http://a/", "-H", &format!("cookie: a=b; narrows={cookie}")]).to_text()
    };
    let text = ask("10.0.0.3:80");
    assert!(
        text.contains(
            "sticks by cookie narrows (inserted, an address): \"10.0.0.3:80\", which names an endpoint"
        ),
        "{text}"
    );
    assert!(text.contains("endpoint 10.0.0.3:80 weight 1 (0 %), drain (configured), CHOSEN"), "{text}");
    assert!(text.contains("Cookie: a=b\n"), "{text}");
    assert!(ask("10.9.9.9:80").contains("which names no endpoint"));
    let table = with_upstream("    stickiness: { key: source }");
    let text = explained(&table, &["GET", "http://a/"]).to_text();
    assert!(
        text.contains("sticks by the client's address: \"127.0.0.1\", which only the running process knows"),
        "{text}"
    );
}

#[test]
fn labels_that_a_route_asks_for_are_shown_as_rendered() {
    let yaml = with_upstream("    breaker: on").replace(
        "upstream: app }",
        "routes: [{ path: /, upstream: app, subset: { version: '${request.headers[\"x-version\"]}' } }] }",
    );
    let text = explained(&yaml, &["GET", "http://a/", "-H", "x-version: v2"]).to_text();
    assert!(text.contains("only endpoints with version: \"v2\""), "{text}");
    assert!(text.contains("endpoint 10.0.0.1:80 weight 1 (0 %), lacks the labels"), "{text}");
    assert!(text.contains("endpoint 10.0.0.2:80 weight 3 (100 %)"), "{text}");
    assert!(text.contains("breaker opens for 5s at 50 % of 20 requests"), "{text}");
}

#[test]
fn a_flow_is_explained_with_its_choice_too() {
    let yaml =
        with_upstream("    balance: consistent-hash").replace("bind: ':80'", "bind: ':80', protocol: tcp");
    let text = explained(&yaml, &["TCP", "tcp://a:80", "--source", "192.0.2.7"]).to_text();
    assert!(text.contains("hash key \"192.0.2.7\""), "{text}");
    assert_eq!(text.matches("CHOSEN").count(), 1, "{text}");
}
