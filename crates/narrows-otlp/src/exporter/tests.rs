use super::*;
use narrows_observe::SpanKind;
use narrows_plan::{Origin, defaults};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Instant;

fn span(number: u8) -> Span {
    Span {
        trace: [1; 16],
        id: [number.max(1); 8],
        parent: None,
        state: "".into(),
        is_sampled: true,
        has_remote_parent: false,
        kind: SpanKind::Server,
        name: "GET".into(),
        began: Duration::from_secs(1),
        ended: Duration::from_secs(2),
        attributes: vec![],
        failure: None,
    }
}

fn collector(port: u16) -> Otlp {
    Otlp {
        origin: Origin::default(),
        host: "127.0.0.1".into(),
        port,
        path: "/here".into(),
        protocol: OtlpProtocol::Http,
        tls: None,
        headers: vec![("x-token".into(), "secret".into())],
        timeout: defaults::OTLP_TIMEOUT,
        service: "narrows".into(),
        resource: vec![],
    }
}

fn exporter(otlp: &Otlp) -> Arc<Exporter> {
    let exporter = Exporter::new(|_| {});
    exporter.adopt(exporter.prepare(Some(otlp)).unwrap()).unwrap();
    exporter
}

fn until(what: &str, mut is_true: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_true() {
        assert!(began.elapsed() < Duration::from_secs(20), "{what}");
        std::thread::yield_now();
    }
}

/// Reads one request and answers it.
fn answer(stream: &mut TcpStream, status: &str) -> String {
    let mut received = Vec::new();
    let mut piece = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&received).into_owned();
        if let Some((head, _)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            let length: usize = length.unwrap().parse().unwrap();
            if received.len() >= head.len() + 4 + length {
                write!(stream, "HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n").unwrap();
                return head.to_owned();
            }
        }
        let count = stream.read(&mut piece).unwrap();
        assert!(count > 0, "it hung up");
        received.extend_from_slice(&piece[..count]);
    }
}

#[test]
fn spans_reach_a_collector_by_http() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let exporter = exporter(&collector(listener.local_addr().unwrap().port()));
    exporter.offer(vec![span(1), span(2)]);
    let (mut stream, _) = listener.accept().unwrap();
    let head = answer(&mut stream, "200 OK");
    assert!(head.starts_with("POST /here/v1/traces HTTP/1.1\r\n"), "{head}");
    assert!(head.contains("x-token: secret\r\n"), "{head}");
    until("they are counted", || exporter.counts().traces.exported == 2);
    assert_eq!(exporter.counts().traces.waiting, 0);
}

#[test]
fn a_collector_that_is_busy_is_asked_again_and_one_that_refuses_is_not() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let exporter = exporter(&collector(listener.local_addr().unwrap().port()));
    exporter.offer(vec![span(1)]);
    let (mut stream, _) = listener.accept().unwrap();
    answer(&mut stream, "503 Busy");
    answer(&mut stream, "200 OK");
    until("it is exported", || exporter.counts().traces.exported == 1);
    exporter.offer(vec![span(2)]);
    answer(&mut stream, "400 Bad");
    until("it is refused", || exporter.counts().traces.refused == 1);
    assert_eq!(exporter.counts().traces.lost, 0);
}

#[test]
fn what_finds_no_room_is_lost_and_counted() {
    // Nobody listens there.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let exporter = exporter(&collector(port));
    let offered = 3 * WAITING;
    for _ in 0..offered / 64 {
        exporter.offer(vec![span(1); 64]);
    }
    let counts = exporter.counts().traces;
    assert!(counts.dropped > 0 && counts.waiting <= WAITING as u64, "{counts:?}");
    assert_eq!(counts.exported, 0);
}

#[test]
fn without_a_collector_there_is_no_thread_and_nothing_waits() {
    let exporter = Exporter::new(|_| {});
    exporter.offer(vec![span(1)]);
    assert_eq!(exporter.counts(), ExporterCounts::default());
    assert!(matches!(*exporter.thread.lock().unwrap(), Thread::Waiting(_)));
}

#[test]
fn what_waits_is_sent_when_the_process_ends() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let exporter = exporter(&collector(listener.local_addr().unwrap().port()));
    exporter.offer(vec![span(1)]);
    let ending = std::thread::spawn(move || drop(exporter));
    let (mut stream, _) = listener.accept().unwrap();
    answer(&mut stream, "200 OK");
    ending.join().unwrap();
}
