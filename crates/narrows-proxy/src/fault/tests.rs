//! The table of faults is whole, and what it says can be used.

use super::catalogue::faults;
use super::*;
use std::collections::{BTreeMap, BTreeSet};

/// Names each variant of `Fault`. The compiler asks for a new one here, and the test below for its row.
macro_rules! variants {
    ($($name:ident $(($inner:tt))?),* $(,)?) => {
        const ALL: &[&str] = &[$(stringify!($name)),*];

        fn variant(fault: Fault) -> &'static str {
            match fault { $(Fault::$name $(($inner))? => stringify!($name)),* }
        }
    };
}

variants! {
    RequestHead(_),
    RequestTarget(_),
    RequestHeadTimedOut,
    RequestBody(_),
    RequestBodyTooLarge,
    RequestBodyTimedOut,
    RequestBodyTooSlow,
    ClientGone,
    ClientTooSlow,
    TunnelRefused,
    NoRoute,
    RequestTimedOut,
    NoEndpoint,
    Shed(_),
    EndpointDown,
    StickyEndpointDown,
    Connect(_),
    ResponseMissing,
    ResponseHead(_),
    ResponseHeadTimedOut,
    TryTimedOut,
    ResponseBody(_),
    ResponseIncomplete,
    ResponseTimedOut,
    IdleTimedOut,
    PeekTimedOut,
    ClientHello,
    FlowReset,
    Handshake(_),
    TlsOnPlainPort,
    Http2(_),
    ProxyProtocolMissing,
    ProxyProtocolInvalid(_),
    ProxyProtocolUntrusted,
    SessionLimit,
    QuicInitial,
    DatagramTooLarge,
}

#[test]
fn every_kind_of_fault_has_a_row_in_the_catalogue() {
    let found: BTreeSet<_> = faults().into_iter().map(variant).collect();
    assert_eq!(found, ALL.iter().copied().collect());
}

#[test]
fn every_head_and_body_error_is_listed_under_its_own_code() {
    let mut heads = BTreeSet::new();
    let mut bodies = BTreeSet::new();
    for fault in faults() {
        match fault {
            Fault::RequestHead(error) => assert!(heads.insert(error.token()), "{error:?} twice"),
            Fault::RequestBody(error) => assert!(bodies.insert(error.token()), "{error:?} twice"),
            _ => {}
        }
    }
    assert!(heads.contains("missing-host") && bodies.contains("incomplete-body"));
}

#[test]
fn every_cause_says_what_leads_to_it_and_what_to_do_in_whole_sentences() {
    for cause in Cause::all() {
        let code = cause.meaning.code;
        assert!(
            code.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-'),
            "{code}"
        );
        for text in [cause.meaning.sentence, cause.advice.usually, cause.advice.remedy] {
            assert!(text.ends_with('.') && text.len() > 12, "{code}: {text}");
            assert!(!text.contains('|'), "{code}: a table cannot hold {text}");
        }
    }
}

#[test]
fn a_code_has_one_status_and_one_word_in_proxy_status() {
    let mut seen = BTreeMap::new();
    for Cause { meaning, .. } in Cause::all() {
        let facts = (meaning.side == Side::Downstream, meaning.status, meaning.proxy_status);
        assert_eq!(*seen.entry(meaning.code).or_insert(facts), facts, "{}", meaning.code);
    }
}
