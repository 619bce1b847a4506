//! Bodies stream with back-pressure, and every way in which a side can leave has its own end.

use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use narrows_conformance::{Backend, DEADLINE, End, Setup};

const MIB: u64 = 1024 * 1024;

/// What the proxy may hold at most while a body of any size passes.
const MEMORY_KIB: u64 = 64 * 1024;

/// The size of the large bodies: `NARROWS_LARGE_BODY_GIB` GiB, by default 1.
fn large() -> u64 {
    let gib = std::env::var("NARROWS_LARGE_BODY_GIB").ok().and_then(|text| text.parse().ok());
    gib.unwrap_or(1) * 1024 * MIB
}

#[test]
fn load_a_large_upload_through_a_slow_upstream_takes_constant_memory() {
    let size = large();
    let (resume, resumed) = channel::<()>();
    let resumed = Mutex::new(resumed);
    let backend = Backend::script(move |mut connection, _| {
        connection.next_request_head().expect("a request arrives");
        connection.discard(MIB);
        resumed.lock().unwrap().recv().expect("the test goes on");
        connection.discard(size - MIB);
        connection.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone");
        connection.next_request();
    });
    let narrows = Setup::web(&backend, "limits: { body: off }").start();
    let mut client = narrows.web();
    client.send(format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {size}\r\n\r\n"));
    let piece = vec![b'x'; 256 * 1024];
    let taken = client.flood(&piece, size, Duration::from_millis(700));
    assert!(
        taken < 64 * MIB,
        "an upstream that does not read holds the client back: {taken} bytes were taken"
    );
    resume.send(()).unwrap();
    assert_eq!(taken + client.flood(&piece, size - taken, DEADLINE), size);
    assert_eq!(client.response("POST").text(), "done");
    assert!(narrows.peak_memory_kib() < MEMORY_KIB, "{} KiB", narrows.peak_memory_kib());
}

#[test]
fn load_a_large_download_to_a_slow_client_takes_constant_memory() {
    let size = large();
    let sent = Arc::new(Mutex::new(0));
    let counter = Arc::clone(&sent);
    let backend = Backend::script(move |mut connection, _| {
        connection.request();
        connection.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n"));
        let piece = vec![b'x'; 256 * 1024];
        let taken = connection.flood(&piece, size, Duration::from_millis(700));
        *counter.lock().unwrap() = taken;
        connection.flood(&piece, size - taken, DEADLINE);
    });
    let narrows = Setup::web(&backend, "").start();
    let mut client = narrows.web();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let head = client.response_head();
    assert_eq!(head.status(), 200);
    narrows_conformance::until("the backend is held back", || *sent.lock().unwrap() > 0);
    let taken = *sent.lock().unwrap();
    assert!(
        taken < 64 * MIB,
        "a client that does not read holds the upstream back: {taken} bytes were taken"
    );
    client.discard(size);
    assert!(narrows.peak_memory_kib() < MEMORY_KIB, "{} KiB", narrows.peak_memory_kib());
}

#[test]
fn pieces_are_passed_on_as_they_come() {
    let backend = Backend::script(|mut connection, _| {
        connection.next_request_head().expect("a request arrives");
        for _ in 0..3 {
            let piece = connection.read_exactly(4);
            connection.send(if connection.record().bytes.ends_with(b"one\n") {
                [b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n", piece.as_slice()].concat()
            } else {
                piece
            });
        }
        connection.next_request();
    });
    let narrows = Setup::web(&backend, "").start();
    let mut client = narrows.web();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 12\r\n\r\none\n");
    assert_eq!(client.response_head().status(), 200);
    assert_eq!(client.read_exactly(4), b"one\n");
    for piece in ["two\n", "tre\n"] {
        client.send(piece);
        assert_eq!(client.read_exactly(4), piece.as_bytes());
    }
}

#[test]
fn a_server_sent_event_arrives_before_the_next_is_sent() {
    let (next, go) = channel::<()>();
    let go = Mutex::new(go);
    let backend = Backend::script(move |mut connection, _| {
        connection.request();
        connection
            .send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n");
        for _ in 0..3 {
            connection.send("6\r\ndata\n\n\r\n");
            go.lock().unwrap().recv().expect("the test goes on");
        }
        connection.send("0\r\n\r\n");
        connection.next_request();
    });
    let narrows = Setup::web(&backend, "").start();
    let mut client = narrows.web();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    client.response_head();
    for _ in 0..3 {
        client.read_until(b"data\n\n\r\n");
        next.send(()).unwrap();
    }
    client.read_until(b"0\r\n\r\n");
}

#[test]
fn an_early_answer_reaches_the_client_while_it_still_uploads() {
    let backend = Backend::script(|mut connection, _| {
        connection.next_request_head().expect("a request arrives");
        connection.read_exactly(5);
        connection.send("HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbig");
        connection.read_to_end();
    });
    let narrows = Setup::web(&backend, "").start();
    let mut client = narrows.web();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nhello");
    let answer = client.response("POST");
    assert_eq!((answer.status(), answer.text().as_str()), (413, "big"));
    client.flood(&[b'x'; 1000], 999_995, DEADLINE);
    client.finish_sending();
    client.read_to_end();
    backend.wait_for_end(0);
}

#[test]
fn an_early_answer_does_not_mix_the_rest_of_the_body_with_the_next_request() {
    let backend = Backend::script(|mut connection, number| {
        let head = connection.next_request_head().expect("a request arrives");
        if number == 0 && head.method() == "POST" {
            connection.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nearly");
            connection.read_to_end();
        } else {
            connection.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnext");
            connection.next_request();
        }
    });
    let narrows = Setup::web(&backend, "").start();
    let mut client = narrows.web();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 40\r\n\r\n");
    assert_eq!(client.response("POST").text(), "early");
    let _ = client.try_send("GET /inside HTTP/1.1\r\nHost: a\r\n\r\n12345");
    let _ = client.try_send("GET /next HTTP/1.1\r\nHost: a\r\n\r\n");
    let rest = {
        client.finish_sending();
        client.read_to_end()
    };
    let answers = String::from_utf8_lossy(&rest).into_owned();
    assert!(answers.is_empty() || answers.ends_with("next"), "{answers}");
    for request in backend.requests() {
        assert_ne!(request.target(), "/inside", "the body never became a request");
    }
    assert!(!backend.record(0).bytes.windows(9).any(|window| window == b"GET /next"));
}

#[test]
fn an_upstream_that_closes_before_its_head_becomes_502() {
    let backend = Backend::script(|mut connection, _| drop(connection.next_request()));
    let narrows = Setup::web(&backend, "").start();
    let answer = narrows.get("/", &[]);
    answer.assert_proxy_error(502, "connection_terminated");
}

#[test]
fn an_upstream_that_closes_within_its_head_becomes_502() {
    let backend = Backend::script(|mut connection, _| {
        connection.next_request();
        connection.send("HTTP/1.1 200 OK\r\nContent-Le");
    });
    let narrows = Setup::web(&backend, "").start();
    let answer = narrows.get("/", &[]);
    assert_eq!(answer.status(), 502);
    let cause = answer.header("proxy-status").unwrap_or_default();
    assert!(
        cause.contains("error=http_response_incomplete") || cause.contains("error=connection_terminated"),
        "{cause}"
    );
}

#[test]
fn an_upstream_that_resets_before_its_head_becomes_502() {
    let backend = Backend::script(|mut connection, _| {
        connection.next_request();
        connection.reset();
    });
    let narrows = Setup::web(&backend, "").start();
    narrows.get("/", &[]).assert_proxy_error(502, "connection_terminated");
}

/// The client's view of an answer that the backend breaks off after `start`.
fn broken_answer(start: &'static str, reset: bool) -> (Vec<u8>, End) {
    let (broken, may_break) = channel::<()>();
    let may_break = Mutex::new(may_break);
    let backend = Backend::script(move |mut connection, _| {
        connection.request();
        connection.send(start);
        may_break.lock().unwrap().recv().expect("the test goes on");
        if reset {
            connection.reset();
        }
    });
    let narrows = Setup::web(&backend, "").start();
    let mut client = narrows.web();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.response_head().status(), 200);
    client.read_until(b"hello");
    broken.send(()).unwrap();
    let rest = client.read_to_end();
    let end = client.record().end.expect("the connection ended");
    (rest, end)
}

#[test]
fn an_answer_that_closes_early_is_never_completed() {
    for reset in [false, true] {
        let (rest, _) = broken_answer("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello", reset);
        assert!(rest.is_empty(), "nothing is made up: {rest:?}");
        let (rest, _) =
            broken_answer("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", reset);
        assert!(!rest.windows(5).any(|window| window == b"0\r\n\r\n"), "no last chunk is made up: {rest:?}");
    }
}

#[test]
fn an_answer_until_close_that_is_reset_is_not_ended_in_order() {
    let (rest, end) = broken_answer("HTTP/1.1 200 OK\r\n\r\nhello", true);
    let marked_as_complete = rest.windows(5).any(|window| window == b"0\r\n\r\n");
    assert!(!marked_as_complete, "{rest:?} {end:?}");
}

#[test]
fn a_client_that_goes_away_mid_body_takes_its_upstream_connection_along() {
    let backend = Backend::script(|mut connection, number| {
        if number == 0 {
            connection.next_request_head().expect("a request arrives");
            connection.read_to_end();
        } else {
            connection.request();
            connection.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
            connection.next_request();
        }
    });
    let narrows = Setup::web(&backend, "").start();
    for reset in [true, false] {
        let mut client = narrows.web();
        if reset {
            client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nhalf");
            narrows_conformance::until("the half arrives", || backend.received().ends_with(b"half"));
            client.reset();
            backend.wait_for_end(0);
        } else {
            assert_eq!(client.exchange("GET / HTTP/1.1\r\nHost: a\r\n\r\n").text(), "hi");
        }
    }
    assert_eq!(backend.connections(), 2, "a connection with half a request is not used again");
}

#[test]
fn a_client_that_goes_away_during_the_answer_stops_it() {
    let backend = Backend::script(|mut connection, _| {
        connection.request();
        connection.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        while connection.try_send(format!("1000\r\n{}\r\n", "x".repeat(4096))).is_ok() {}
    });
    let narrows = Setup::web(&backend, "").start();
    let mut client = narrows.web();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    client.read_exactly(100_000);
    client.reset();
    let mut next = narrows.web();
    next.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(next.response_head().status(), 200);
    assert_eq!(backend.connections(), 2, "a connection with half an answer is not used again");
}

#[test]
fn a_client_that_waits_for_nothing_any_more_frees_its_upstream_connection() {
    let backend = Backend::script(|mut connection, _| {
        connection.request();
        connection.expect_end();
    });
    let narrows = Setup::web(&backend, "").start();
    let mut client = narrows.web();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    narrows_conformance::until("the request arrives", || !backend.requests().is_empty());
    client.reset();
    backend.wait_for_end(0);
}

#[test]
fn a_client_that_ends_its_sending_direction_still_gets_its_answer() {
    let (answer, may_answer) = channel::<()>();
    let may_answer = Mutex::new(may_answer);
    let backend = Backend::script(move |mut connection, _| {
        connection.request();
        may_answer.lock().unwrap().recv().expect("the test goes on");
        connection.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
        connection.next_request();
    });
    let narrows = Setup::web(&backend, "").start();
    let mut client = narrows.web();
    client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    client.finish_sending();
    narrows_conformance::until("the request arrives", || !backend.requests().is_empty());
    answer.send(()).unwrap();
    assert_eq!(client.response("GET").text(), "hi");
    client.expect_end();
}

#[test]
fn bytes_after_an_answer_are_not_the_answer_to_the_next_request() {
    let backend = Backend::script(|mut connection, number| {
        connection.request();
        let answer = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";
        match number {
            0 => connection.send(format!("{answer}firstHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged")),
            _ => connection.send(format!("{answer}later")),
        }
        connection.next_request();
    });
    let narrows = Setup::web(&backend, "").start();
    let mut client = narrows.web();
    assert_eq!(client.exchange("GET / HTTP/1.1\r\nHost: a\r\n\r\n").text(), "first");
    assert_eq!(client.exchange("GET / HTTP/1.1\r\nHost: a\r\n\r\n").text(), "later");
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let backend = Backend::respond(|request| narrows_conformance::backend::ok(request.target()));
    let narrows = Setup::web(&backend, "").start();
    let mut client = narrows.web();
    let requests =
        (0..50).map(|number| format!("GET /{number} HTTP/1.1\r\nHost: a\r\n\r\n")).collect::<String>();
    client.send(requests);
    for number in 0..50 {
        assert_eq!(client.response("GET").text(), format!("/{number}"));
    }
}

#[test]
fn pipelined_requests_with_bodies_are_separated_exactly() {
    let backend = Backend::respond(|request| narrows_conformance::backend::ok(&request.text()));
    let narrows = Setup::web(&backend, "").start();
    let mut client = narrows.web();
    client.send(
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\none\
         POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\ntwo\r\n0\r\n\r\n\
         GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n\
         GET /ignored HTTP/1.1\r\nHost: a\r\n\r\n",
    );
    assert_eq!(client.response("POST").text(), "one");
    assert_eq!(client.response("POST").text(), "two");
    let last = client.response("GET");
    assert!(last.lists("connection", "close"), "{}", last.head);
    assert!(client.read_to_end().is_empty());
    assert_eq!(backend.requests().len(), 3, "what follows `Connection: close` is not a request");
}

#[test]
fn a_pipelined_request_that_comes_while_an_answer_is_awaited_keeps_its_order() {
    let (came, has_come) = channel();
    let backend = Backend::script(move |mut connection, _| {
        let head = connection.next_request_head().expect("a request");
        let _ = came.send("head");
        if head.method() == "POST" {
            connection.read_exactly(5);
            let _ = came.send("body");
            // Longer than the proxy waits before it reads what the client sends next.
            thread::sleep(Duration::from_millis(1500));
        }
        connection.send(narrows_conformance::backend::ok(head.target()));
        if let Some(next) = connection.next_request() {
            connection.send(narrows_conformance::backend::ok(next.target()));
        }
    });
    let narrows = Setup::web(&backend, "").start();
    let mut client = narrows.web();
    client.send("POST /first HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n");
    assert_eq!(has_come.recv_timeout(DEADLINE), Ok("head"));
    client.send("helloGET /sec");
    assert_eq!(has_come.recv_timeout(DEADLINE), Ok("body"));
    client.send("ond HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.response("POST").text(), "/first");
    assert_eq!(client.response("GET").text(), "/second");
}

#[test]
fn requests_in_single_bytes_are_understood() {
    let backend = Backend::respond(|request| narrows_conformance::backend::ok(&request.text()));
    let narrows = Setup::web(&backend, "").start();
    let mut client = narrows.web();
    let request =
        "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-T: 1\r\n\r\n";
    for byte in request.bytes() {
        client.send([byte]);
    }
    assert_eq!(client.response("POST").text(), "hello");
    assert_eq!(backend.only_request().trailers.len(), 1);
}

#[test]
fn answers_in_single_bytes_are_understood() {
    let backend = Backend::script(|mut connection, _| {
        connection.request();
        for byte in b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-T: 1\r\n\r\n"
        {
            connection.send([*byte]);
        }
        connection.next_request();
    });
    let narrows = Setup::web(&backend, "").start();
    let answer = narrows.get("/", &[]);
    assert_eq!((answer.text().as_str(), answer.trailers.len()), ("hello", 1));
}

#[test]
fn upload_and_download_at_once_do_not_wait_for_each_other() {
    let backend = Backend::script(|mut connection, _| {
        connection.next_request_head().expect("a request arrives");
        connection.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", 32 * MIB));
        let mut reader = connection.second_handle();
        let reading = thread::spawn(move || reader.discard(32 * MIB));
        connection.flood(&[b'y'; 65536], 32 * MIB - 1, DEADLINE);
        reading.join().expect("the upload is read");
        connection.send("z");
        connection.next_request();
    });
    let narrows = Setup::web(&backend, "").start();
    let mut client = narrows.web();
    client.send(format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", 32 * MIB));
    let mut writer = client.second_handle();
    let writing = thread::spawn(move || writer.flood(&[b'x'; 65536], 32 * MIB, DEADLINE));
    assert_eq!(client.response_head().status(), 200);
    client.discard(32 * MIB);
    assert_eq!(writing.join().unwrap(), 32 * MIB);
}
