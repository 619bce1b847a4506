use super::*;
use narrows_wire::http1::{HeadLimits, parse_request};

fn client(peer: &str, sources: &[&str], hops: Option<u32>, fields: &str) -> String {
    let bytes = format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
    let mut head = RequestHead::default();
    let limits = HeadLimits { head_bytes: 4096, fields: 20, target_bytes: 100 };
    parse_request(bytes.as_bytes(), &limits, &mut head).unwrap();
    let sources = sources.iter().map(|text| text.parse().unwrap()).collect();
    let trusted = TrustedProxies { sources, hops };
    address(peer.parse().unwrap(), bytes.as_bytes(), &head, &trusted).0.to_string()
}

#[test]
fn a_stranger_is_not_believed() {
    assert_eq!(client("203.0.113.1", &[], None, "X-Forwarded-For: 1.1.1.1\r\n"), "203.0.113.1");
    assert_eq!(client("203.0.113.1", &["10.0.0.0/8"], None, "X-Forwarded-For: 1.1.1.1\r\n"), "203.0.113.1");
}

#[test]
fn the_first_address_that_is_not_trusted_is_the_client() {
    let fields = "X-Forwarded-For: 6.6.6.6, 203.0.113.7\r\nX-Forwarded-For: 10.0.0.2\r\n";
    assert_eq!(client("10.0.0.1", &["10.0.0.0/8"], None, fields), "203.0.113.7");
}

#[test]
fn no_more_hops_are_walked_than_allowed() {
    let fields = "X-Forwarded-For: 203.0.113.7, 10.0.0.3, 10.0.0.2\r\n";
    assert_eq!(client("10.0.0.1", &["10.0.0.0/8"], Some(1), fields), "10.0.0.2");
    assert_eq!(client("10.0.0.1", &["10.0.0.0/8"], Some(0), fields), "10.0.0.1");
}

#[test]
fn forwarded_is_read_with_quotes_brackets_and_ports() {
    let fields = "Forwarded: for=\"[2001:db8::1]:4711\";proto=https, for=10.0.0.2\r\n";
    assert_eq!(client("10.0.0.1", &["10.0.0.0/8"], None, fields), "2001:db8::1");
}

#[test]
fn a_hidden_address_ends_the_walk() {
    let fields = "Forwarded: for=203.0.113.7, for=_hidden\r\n";
    assert_eq!(client("10.0.0.1", &["10.0.0.0/8"], None, fields), "10.0.0.1");
}
