//! A second attempt beside the first, when that takes long.

use narrows_conformance::backend::{Silent, answer, ok};
use narrows_conformance::http2::{Frame, code};
use narrows_conformance::{Backend, Folder, Http2, Narrows, Setup, until};
use std::fmt::Display;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

/// A listener `web` in front of endpoints that are asked in this order, the next one after 200 ms.
fn hedged(endpoints: &[&dyn Display], upstream: &str, retries: &str) -> Narrows {
    let keys = format!("passive: off\n{upstream}retries: {{ hedge: 200ms{retries} }}");
    Setup::web(&"", "").upstream_in_order("app", endpoints, &keys).start()
}

/// A backend that reads requests and never answers.
fn silent() -> Backend {
    Backend::script(|mut connection, _| while connection.next_request().is_some() {})
}

/// A backend that answers with `bytes` once `open` is set.
fn waiting(open: &Arc<AtomicBool>, bytes: impl Into<Vec<u8>>) -> Backend {
    let (open, bytes) = (Arc::clone(open), bytes.into());
    Backend::respond(move |_| {
        until("the test lets it answer", || open.load(Ordering::SeqCst));
        bytes.clone()
    })
}

#[test]
fn the_second_answer_is_taken_when_the_first_does_not_come() {
    let (slow, quick) = (silent(), Backend::saying("quick"));
    let narrows = hedged(&[&slow, &quick], "", "");
    let mut client = narrows.web();
    for number in 0..3 {
        assert_eq!(client.exchange(GET).text(), "quick");
        slow.wait_for_end(number);
    }
    assert_eq!((slow.requests().len(), quick.requests().len()), (3, 3));
    assert_eq!(quick.connections(), 1, "the winner's connection is of further use");
}

#[test]
fn the_first_answer_is_taken_when_it_comes_after_all() {
    let open = Arc::default();
    let (first, second) = (waiting(&open, ok("first")), silent());
    let narrows = hedged(&[&first, &second], "", "");
    let mut client = narrows.web();
    client.send(GET);
    until("the second is asked", || second.requests().len() == 1);
    open.store(true, Ordering::SeqCst);
    assert_eq!(client.response("GET").text(), "first");
    second.wait_for_end(0);
    assert_eq!(client.exchange(GET).text(), "first");
    assert_eq!((first.connections(), second.connections()), (1, 1), "an answer in time needs no second");
}

#[test]
fn a_request_with_side_effects_is_not_asked_twice() {
    let open = Arc::default();
    let (first, second) = (waiting(&open, ok("first")), Backend::saying("second"));
    let narrows = hedged(&[&first, &second], "", "");
    let mut posting = narrows.web();
    posting.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi");
    until("the POST is there", || first.requests().len() == 1);
    // A later request that is hedged and answered: the time for the earlier one has passed.
    assert_eq!(narrows.web().exchange(GET).text(), "second");
    assert_eq!(second.only_request().method(), "GET");
    open.store(true, Ordering::SeqCst);
    assert_eq!(posting.response("POST").text(), "first");
}

#[test]
fn a_body_that_is_there_goes_to_both() {
    let (slow, quick) = (silent(), Backend::respond(|request| ok(&request.text())));
    let narrows = hedged(&[&slow, &quick], "", "");
    let mut client = narrows.web();
    client.send("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhello");
    until("the first is asked", || slow.connections() == 1);
    assert_eq!(quick.connections(), 0, "the body is not whole");
    client.send("world");
    assert_eq!(client.response("PUT").text(), "helloworld");
    assert_eq!(slow.requests()[0].text(), "helloworld");
    let chunked = "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n";
    assert_eq!(client.exchange(chunked).text(), "hi");
}

#[test]
fn an_endpoint_that_cannot_be_reached_is_not_waited_for() {
    let (silent, quick) = (Silent::new(), Backend::saying("quick"));
    let narrows = hedged(&[&silent, &quick], "", "");
    let mut client = narrows.web();
    for _ in 0..3 {
        assert_eq!(client.exchange(GET).text(), "quick");
    }
    assert_eq!(quick.connections(), 1);
}

#[test]
fn the_second_goes_on_alone_when_the_first_fails() {
    let broken = Arc::<AtomicBool>::default();
    let breaks = Arc::clone(&broken);
    let first = Backend::script(move |mut connection, _| {
        connection.request();
        until("the test lets it break", || breaks.load(Ordering::SeqCst));
        connection.reset();
    });
    let open = Arc::default();
    let second = waiting(&open, ok("second"));
    let narrows = hedged(&[&first, &second], "", "");
    let mut client = narrows.web();
    client.send(GET);
    until("the second is asked", || second.requests().len() == 1);
    broken.store(true, Ordering::SeqCst);
    first.wait_for_script(0);
    open.store(true, Ordering::SeqCst);
    assert_eq!(client.response("GET").text(), "second");
    assert_eq!((first.requests().len(), second.requests().len()), (1, 1));
}

#[test]
fn the_first_goes_on_alone_when_the_second_fails() {
    let open = Arc::default();
    let first = waiting(&open, ok("first"));
    let second = Backend::script(|mut connection, _| {
        connection.request();
        connection.reset();
    });
    let narrows = hedged(&[&first, &second], "", "");
    let mut client = narrows.web();
    client.send(GET);
    second.wait_for_script(0);
    open.store(true, Ordering::SeqCst);
    assert_eq!(client.response("GET").text(), "first");
    assert_eq!((first.requests().len(), second.requests().len()), (1, 1), "once is enough");
}

#[test]
fn a_failure_does_not_win() {
    let open = Arc::default();
    let (first, second) = (waiting(&open, ok("first")), Backend::answering(answer("503 Busy", "busy")));
    let narrows = hedged(&[&first, &second], "", ", on: [503]");
    let mut client = narrows.web();
    client.send(GET);
    until("the second is asked", || second.requests().len() == 1);
    open.store(true, Ordering::SeqCst);
    assert_eq!(client.response("GET").text(), "first");
}

#[test]
fn a_failure_is_better_than_no_answer() {
    for order in [[0, 1], [1, 0]] {
        let (open, broken) = (Arc::default(), Arc::<AtomicBool>::default());
        let breaks = Arc::clone(&broken);
        let busy = waiting(&open, answer("503 Busy", "busy"));
        let breaking = Backend::script(move |mut connection, _| {
            connection.request();
            until("the test lets it break", || breaks.load(Ordering::SeqCst));
            connection.reset();
        });
        let both = [&busy, &breaking];
        let narrows = hedged(&[both[order[0]], both[order[1]]], "", ", limit: 0, on: [503, reset]");
        let mut client = narrows.web();
        client.send(GET);
        until("both are asked", || busy.requests().len() + breaking.requests().len() == 2);
        open.store(true, Ordering::SeqCst);
        assert!(!client.anything_within(std::time::Duration::from_millis(100)), "the other may still answer");
        broken.store(true, Ordering::SeqCst);
        let answer = client.response("GET");
        assert_eq!((answer.status(), answer.text().as_str()), (503, "busy"));
        assert!(client.exchange(GET).status() >= 502, "the connection goes on");
    }
}

#[test]
fn a_stream_that_lost_is_cancelled() {
    let cancelled = Arc::<AtomicBool>::default();
    let seen = Arc::clone(&cancelled);
    let slow = Backend::script(move |connection, _| {
        let Some(mut peer) = Http2::accept(connection, &[]) else { return };
        while let Some(stream) = peer.next_request() {
            peer.until(|peer| peer.received(stream).reset.is_some());
            seen.store(peer.received(stream).reset == Some(code::CANCEL), Ordering::SeqCst);
        }
    });
    let quick = Backend::script(|connection, _| {
        let Some(mut peer) = Http2::accept(connection, &[]) else { return };
        while let Some(stream) = peer.next_request() {
            peer.respond(stream, &[(":status", "200")], "quick");
        }
    });
    let narrows = hedged(&[&slow, &quick], "protocol: http2\n", "");
    let mut client = Http2::connect(narrows.address("web"));
    for _ in 0..3 {
        cancelled.store(false, Ordering::SeqCst);
        assert_eq!(client.get("/").text(), "quick");
        until("the first stream is cancelled", || cancelled.load(Ordering::SeqCst));
    }
    assert_eq!((slow.connections(), quick.connections()), (1, 1), "the connections go on");
}

#[test]
fn a_client_that_leaves_ends_both() {
    let (first, second) = (silent(), silent());
    let narrows = hedged(&[&first, &second], "", "");
    let mut client = narrows.web();
    client.send(GET);
    until("both are asked", || first.requests().len() + second.requests().len() == 2);
    client.reset();
    first.wait_for_end(0);
    second.wait_for_end(0);

    let mut client = Http2::connect(narrows.address("web"));
    let stream = client.open("GET", "/", &[], true);
    until("both are asked", || first.requests().len() + second.requests().len() == 4);
    client.send(&Frame::reset(stream, code::CANCEL));
    first.wait_for_end(1);
    second.wait_for_end(1);
}

#[test]
fn the_record_counts_both_and_names_the_one_that_answered() {
    let (slow, quick) = (silent(), Backend::saying("quick"));
    let log = Folder::new();
    let path = log.join("access.log");
    let narrows = Setup::web(&"", "")
        .upstream_in_order("app", &[&slow, &quick], "retries: { hedge: 200ms }")
        .settings(&format!("access_log: \"{path}\"\nlog_format: json"))
        .start();
    assert_eq!(narrows.get("/", &[]).text(), "quick");
    let text = || std::fs::read_to_string(&path).unwrap_or_default();
    until("the record is there", || text().contains("\"attempts\":2"));
    assert!(text().contains(quick.address()), "{}", text());
}

#[test]
fn both_tries_have_the_same_time() {
    let (first, second) = (silent(), silent());
    let narrows = hedged(&[&first, &second], "", ", try_timeout: 500ms, limit: 0");
    narrows.web().exchange(GET).assert_proxy_error(504, "http_response_timeout");
    assert_eq!((first.requests().len(), second.requests().len()), (1, 1));
    first.wait_for_end(0);
    second.wait_for_end(0);
}
