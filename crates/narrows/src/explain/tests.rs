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
    let listeners = candidates(&plan, &arguments.url, None);
    let reports = listeners.iter().map(|listener| match &listener.protocol {
        Protocol::Http(http) => http::explain(&plan, listener, http, &arguments),
        Protocol::Tcp(tcp) => tcp::explain(&plan, listener, tcp, &arguments),
        Protocol::Udp(udp) => udp::explain(&plan, listener, udp, &arguments),
    });
    reports.map(|report| report.to_text()).collect()
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
    let plan = narrows_config::load_text("udp.yaml", &text, Path::new(".")).plan.unwrap();
    let words = [&["explain", "udp.yaml", "UDP", "udp://127.0.0.1:53"], words].concat();
    let Line { arguments } = Line::parse_from(words);
    let Protocol::Udp(udp) = &plan.listeners[0].protocol else { panic!("no udp listener") };
    assert_eq!(candidates(&plan, &arguments.url, None).len(), 1);
    udp::explain(&plan, &plan.listeners[0], udp, &arguments).to_text()
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
    let plan = narrows_config::load_text("test.yaml", yaml, Path::new(".")).plan.unwrap();
    let Line { arguments } = Line::parse_from(["explain", "test.yaml", "GET", "http://a/"]);
    let listener = &plan.listeners[0];
    let Protocol::Http(http) = &listener.protocol else { panic!("a listener for HTTP") };
    let text = http::explain(&plan, listener, http, &arguments).to_text();
    assert!(text.contains("a PROXY protocol header is required from 10.0.0.0/8"), "{text}");
    assert!(text.contains("proxy_protocol.tlv[\"0xE1\"] = \"\""), "{text}");
    assert!(text.contains("at most 3 attempts, PROXY protocol v2"), "{text}");
}
