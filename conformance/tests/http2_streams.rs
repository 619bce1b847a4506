//! Many streams on one connection: each has its own pace and its own end.

use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

use narrows_conformance::backend::ok;
use narrows_conformance::http2::{Frame, code, setting};
use narrows_conformance::{Backend, Connection, Http2, Narrows, Setup, until};

fn http2(narrows: &Narrows) -> Http2 {
    Http2::connect(narrows.address("web"))
}

/// A backend whose answers wait until the test says so, once for all.
fn gated() -> (Backend, Arc<(Mutex<bool>, Condvar)>) {
    let gate = Arc::new((Mutex::new(false), Condvar::new()));
    let waiting = Arc::clone(&gate);
    let backend = Backend::script(move |mut connection, _| {
        while let Some(request) = connection.next_request() {
            let (open, opened) = &*waiting;
            drop(opened.wait_while(open.lock().unwrap(), |open| !*open).unwrap());
            if connection.try_send(ok(request.target())).is_err() {
                return;
            }
        }
    });
    (backend, gate)
}

fn open(gate: &Arc<(Mutex<bool>, Condvar)>) {
    *gate.0.lock().unwrap() = true;
    gate.1.notify_all();
}

/// A backend that sends a large answer for `/large` and a small one for everything else.
fn large_and_small(size: usize) -> Backend {
    Backend::script(move |mut connection, _| {
        while let Some(request) = connection.next_request() {
            let large = request.target() == "/large";
            let body = if large { "y".repeat(size) } else { "small".to_owned() };
            if connection.try_send(ok(&body)).is_err() {
                return;
            }
        }
    })
}

#[test]
fn a_hundred_requests_run_at_once_on_one_connection() {
    let (backend, gate) = gated();
    let narrows = Setup::web(&backend, "").start();
    let mut client = http2(&narrows);
    let streams =
        (0..100).map(|number| client.open("GET", &format!("/{number}"), &[], true)).collect::<Vec<_>>();
    until("all of them reached the backend", || backend.requests().len() == 100);
    open(&gate);
    for (number, stream) in streams.into_iter().enumerate() {
        assert_eq!(client.answer(stream).text(), format!("/{number}"));
    }
    assert_eq!(client.get("/again").text(), "/again");
}

#[test]
fn a_stream_beyond_the_limit_is_refused_alone() {
    let (backend, gate) = gated();
    let narrows = Setup::web(&backend, "http2: { streams: 3 }").start();
    let mut client = http2(&narrows);
    let streams =
        (0..4).map(|number| client.open("GET", &format!("/{number}"), &[], true)).collect::<Vec<_>>();
    let refused = client.answer(streams[3]);
    assert_eq!(refused.reset, Some(code::REFUSED_STREAM), "which may be repeated: {refused:?}");
    open(&gate);
    for (number, stream) in streams[..3].iter().enumerate() {
        assert_eq!(client.answer(*stream).text(), format!("/{number}"));
    }
    assert_eq!(client.get("/again").text(), "/again");
}

#[test]
fn a_slow_reader_holds_back_its_own_stream_only() {
    let backend = large_and_small(8 * 1024 * 1024);
    let narrows = Setup::web(&backend, "").start();
    let mut client = http2(&narrows);
    client.replenish = false;
    client.send(&Frame::window_update(0, 1_000_000_000));
    let large = client.open("GET", "/large", &[], true);
    client.until(|client| client.received(large).body.len() == 65_535);
    for _ in 0..20 {
        assert_eq!(client.get("/small").text(), "small");
    }
    assert_eq!(client.received(large).body.len(), 65_535, "not a byte beyond the window");
    client.send(&Frame::window_update(large, 1_000_000_000));
    assert_eq!(client.answer(large).body.len(), 8 * 1024 * 1024);
    assert!(narrows.peak_memory_kib() < 64 * 1024, "{} KiB", narrows.peak_memory_kib());
}

#[test]
fn a_slow_upstream_holds_back_its_own_stream_only() {
    let (resume, resumed) = channel::<()>();
    let resumed = Mutex::new(resumed);
    let backend = Backend::script(move |mut connection, _| {
        while let Some(head) = connection.next_request_head() {
            if head.target() == "/slow" {
                resumed.lock().unwrap().recv().expect("the test goes on");
                connection.discard(64 * 1024 * 1024);
            }
            connection.send(ok(head.target()));
        }
    });
    let narrows = Setup::web(&backend, "").start();
    let mut client = http2(&narrows);
    let slow = client.open("POST", "/slow", &[("content-length", "67108864")], false);
    let piece = vec![b'x'; 16_384];
    let mut sent = 0;
    loop {
        let room = client.send_window(slow) >= 16_384;
        if room {
            client.upload(slow, &piece, false);
            sent += piece.len();
        } else if !client.connection().anything_within(std::time::Duration::from_millis(500)) {
            break;
        } else {
            client.step();
        }
        assert!(sent < 48 * 1024 * 1024, "an upstream that does not read holds its stream back");
    }
    for _ in 0..10 {
        assert_eq!(client.get("/quick").text(), "/quick");
    }
    resume.send(()).unwrap();
    client.upload(slow, &vec![b'x'; 67_108_864 - sent], true);
    assert_eq!(client.answer(slow).text(), "/slow");
    assert!(narrows.peak_memory_kib() < 64 * 1024, "{} KiB", narrows.peak_memory_kib());
}

#[test]
fn the_window_of_the_connection_holds_for_all_streams() {
    let backend = large_and_small(1_000_000);
    let narrows = Setup::web(&backend, "").start();
    let mut client = http2(&narrows);
    client.replenish = false;
    let streams = [0; 4].map(|_| client.open("GET", "/large", &[], true));
    let received =
        |client: &Http2| streams.iter().map(|stream| client.received(*stream).body.len()).sum::<usize>();
    client.until(|client| received(client) == 65_535);
    client.send(&Frame::ping([1; 8]));
    client.until(|client| !client.pongs.is_empty());
    assert_eq!(received(&client), 65_535, "no byte more");
    for stream in streams {
        client.send(&Frame::window_update(stream, 2_000_000));
    }
    client.send(&Frame::window_update(0, 10_000_000));
    for stream in streams {
        assert_eq!(client.answer(stream).body.len(), 1_000_000);
    }
}

#[test]
fn small_windows_of_the_client_are_respected() {
    let backend = large_and_small(20_000);
    let narrows = Setup::web(&backend, "").start();
    let settings = [(setting::INITIAL_WINDOW_SIZE, 100)];
    let mut client = Http2::over_with(narrows.web(), &settings);
    let stream = client.open("GET", "/large", &[], true);
    assert_eq!(client.answer(stream).body.len(), 20_000);
}

#[test]
fn a_stream_that_the_client_gives_up_ends_its_upstream_request() {
    let backend = Backend::script(|mut connection, _| {
        let request = connection.request();
        if request.target() == "/started" {
            connection.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
        }
        connection.read_to_end();
    });
    let narrows = Setup::web(&backend, "").start();
    let mut client = http2(&narrows);
    let started = client.open("GET", "/started", &[], true);
    client.until(|client| client.received(started).body == b"half");
    client.send(&Frame::reset(started, code::CANCEL));
    backend.wait_for_end(0);
    let waiting = client.open("GET", "/waiting", &[], true);
    until("it is under way", || backend.requests().len() == 2);
    client.send(&Frame::reset(waiting, code::CANCEL));
    backend.wait_for_end(1);
}

#[test]
fn a_client_that_goes_away_ends_all_its_upstream_requests() {
    let backend = Backend::script(|mut connection, _| drop(connection.read_to_end()));
    let narrows = Setup::web(&backend, "").start();
    let mut client = http2(&narrows);
    for _ in 0..5 {
        client.open("GET", "/", &[], true);
    }
    until("all of them are under way", || backend.connections() == 5);
    drop(client);
    (0..5).for_each(|number| backend.wait_for_end(number));
}

#[test]
fn an_answer_that_breaks_off_resets_its_stream_only() {
    let backend = Backend::script(|mut connection, _| {
        while let Some(request) = connection.next_request() {
            match request.target() {
                "/length" => return connection.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"),
                "/chunks" => {
                    return connection
                        .send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n");
                }
                "/reset" => {
                    connection.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
                    return connection.reset();
                }
                _ => connection.send(ok("whole")),
            }
        }
    });
    let narrows = Setup::web(&backend, "").start();
    let mut client = http2(&narrows);
    for path in ["/length", "/chunks", "/reset"] {
        let stream = client.open("GET", path, &[], true);
        let got = client.answer(stream);
        assert!(got.reset.is_some() && !got.ended, "{path}: {got:?}");
        assert_eq!(client.get("/whole").text(), "whole", "{path}: the connection goes on");
    }
}

/// A backend that answers in two steps, each when the test says so.
fn told() -> (Backend, Sender<()>) {
    let (tell, wait) = channel::<()>();
    let wait = Mutex::new(wait);
    let backend = Backend::script(move |mut connection, _| {
        while connection.next_request().is_some() {
            let wait = wait.lock().unwrap();
            for piece in ["HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfirst", "final"] {
                if wait.recv().is_err() {
                    return;
                }
                connection.send(piece);
            }
        }
    });
    (backend, tell)
}

#[test]
fn a_drain_says_goaway_and_finishes_what_runs() {
    let (backend, tell) = told();
    let mut narrows = Setup::web(&backend, "").start();
    let address = narrows.address("web").to_owned();
    let mut idle = http2(&narrows);
    idle.send(&Frame::ping([0; 8]));
    idle.until(|client| !client.pongs.is_empty());
    let mut client = http2(&narrows);
    let running = client.open("GET", "/", &[], true);
    until("the request is under way", || !backend.requests().is_empty());
    narrows.signal("TERM");
    until("new connections are refused", || Connection::try_connect(&address).is_err());
    assert_eq!(idle.end().map(|(_, code)| code), Some(code::NO_ERROR));
    assert!(client.until(|client| client.go_away.is_some()));
    assert!(narrows.is_running(), "a request is running");
    tell.send(()).unwrap();
    tell.send(()).unwrap();
    let got = client.answer(running);
    assert_eq!((got.status(), got.text().as_str(), got.ended), (200, "firstfinal", true));
    let (last, why) = client.end().expect("a GOAWAY");
    assert_eq!((last, why), (running, code::NO_ERROR), "the last one names what was served");
    assert_eq!(narrows.wait_for_exit().code(), Some(0));
}

#[test]
fn a_stream_opened_after_goaway_may_be_repeated_elsewhere() {
    let (backend, tell) = told();
    let mut narrows = Setup::web(&backend, "").start();
    let mut client = http2(&narrows);
    let running = client.open("GET", "/", &[], true);
    until("the request is under way", || !backend.requests().is_empty());
    narrows.signal("TERM");
    assert!(client.until(|client| client.go_away.is_some()));
    let _ = client.try_send(&Frame::ping([1; 8]));
    client.until(|client| !client.pongs.is_empty());
    client.until(|client| client.go_away.is_some_and(|(last, _)| last == running));
    let late = client.open("GET", "/late", &[], true);
    tell.send(()).unwrap();
    tell.send(()).unwrap();
    assert_eq!(client.answer(running).text(), "firstfinal");
    client.end();
    let late = client.received(late);
    assert!(late.heads.is_empty(), "not served, so that it may be repeated: {late:?}");
    assert_eq!(backend.requests().len(), 1);
    assert_eq!(narrows.wait_for_exit().code(), Some(0));
}

#[test]
fn a_drain_has_a_deadline() {
    let (backend, _tell) = told();
    let mut narrows = Setup::web(&backend, "").settings("drain: 300ms").start();
    let mut client = http2(&narrows);
    client.open("GET", "/", &[], true);
    until("the request is under way", || !backend.requests().is_empty());
    narrows.signal("TERM");
    assert_eq!(narrows.wait_for_exit().code(), Some(0));
    client.end();
}

#[test]
fn an_idle_connection_is_told_before_it_is_closed() {
    let backend = Backend::saying("hello");
    let narrows = Setup::web(&backend, "timeouts: { keep_alive: 300ms }").start();
    let mut client = http2(&narrows);
    assert_eq!(client.get("/").text(), "hello");
    assert_eq!(client.end().map(|(_, code)| code), Some(code::NO_ERROR));
    let mut never = http2(&narrows);
    never.end();
}

#[test]
fn a_busy_connection_is_not_idle() {
    let backend = Backend::script(|mut connection, _| {
        while connection.next_request().is_some() {
            assert!(!connection.anything_within(std::time::Duration::from_millis(800)));
            connection.send(ok("late"));
        }
    });
    let narrows = Setup::web(&backend, "timeouts: { keep_alive: 300ms, head: 300ms }").start();
    assert_eq!(http2(&narrows).get("/").text(), "late");
}

#[test]
fn a_connection_takes_as_many_requests_as_allowed() {
    let backend = Backend::saying("hello");
    let narrows = Setup::web(&backend, "requests_per_connection: 3").start();
    let mut client = http2(&narrows);
    for _ in 0..3 {
        assert_eq!(client.get("/").text(), "hello");
    }
    assert_eq!(client.end().map(|(_, code)| code), Some(code::NO_ERROR));
}

#[test]
fn an_answer_has_all_of_its_time() {
    // The answer comes when most of the time is over, which is no time to wait for in a test: the deadline is long.
    let backend = Backend::script(|mut connection, _| {
        while connection.next_request().is_some() {
            thread::sleep(Duration::from_millis(700));
            connection.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlate");
        }
    });
    let narrows = Setup::web(&backend, "timeouts: { response_head: 1500ms }").start();
    let mut client = Http2::connect(narrows.address("web"));
    assert_eq!(client.get("/").text(), "late");
}

#[test]
fn an_answer_on_its_way_is_not_cut_off_by_a_drain() {
    let body = "x".repeat(2_000_000);
    let backend = Backend::saying(&body);
    let mut narrows = Setup::web(&backend, "").settings("drain: 60s").start();
    let connection = narrows.web();
    connection.small_receive_buffer();
    let mut client = Http2::over_with(connection, &[(setting::INITIAL_WINDOW_SIZE, 1 << 30)]);
    client.send(&Frame::window_update(0, 1 << 30));
    let stream = client.open("GET", "/", &[], true);
    client.until(|client| !client.received(stream).body.is_empty());
    narrows.signal("TERM");
    until("the drain began", || narrows.output().contains("draining"));
    assert_eq!(client.answer(stream).text().len(), body.len());
    client.end();
    assert_eq!(narrows.wait_for_exit().code(), Some(0));
}
