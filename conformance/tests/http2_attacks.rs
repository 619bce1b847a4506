//! Attacks on HTTP/2: the attacker is ended or bounded, memory stays bounded, others go on.

use std::time::{Duration, Instant};

use narrows_conformance::http2::{Frame, NEWEST, PREFACE, block, code, flag, kind, remembered, setting};
use narrows_conformance::{Backend, Connection, DEADLINE, Http2, Narrows, Setup, until};

/// What the proxy may hold at most, whatever an attacker sends.
const MEMORY_KIB: u64 = 64 * 1024;

/// How long an attacker tries before the test asks what became of it.
const PATIENCE: Duration = Duration::from_secs(2);

/// The proxy under attack, with somebody who has nothing to do with it.
struct House {
    narrows: Narrows,
    backend: Backend,
    good: Http2,
}

fn house(keys: &str) -> House {
    let backend = Backend::saying("hello");
    let narrows = Setup::web(&backend, keys).start();
    let mut good = Http2::connect(narrows.address("web"));
    assert_eq!(good.get("/").text(), "hello");
    House { narrows, backend, good }
}

/// The same with a backend that bears requests that never end.
fn incomplete(keys: &str) -> House {
    let backend = Backend::script(|mut connection, _| {
        while let Some(head) = connection.next_request_head() {
            if head.method() == "POST" {
                connection.read_to_end();
                return;
            }
            connection.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
        }
    });
    let narrows = Setup::web(&backend, keys).start();
    let mut good = Http2::connect(narrows.address("web"));
    assert_eq!(good.get("/").text(), "hello");
    House { narrows, backend, good }
}

impl House {
    fn attacker(&self) -> Connection {
        let mut connection = self.narrows.web();
        connection.send([PREFACE, &Frame::settings(&[]).bytes()].concat());
        connection
    }

    /// How many files and sockets the proxy has open.
    fn descriptors(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.narrows.pid())).unwrap().count()
    }

    /// Asserts that the others did not suffer.
    #[track_caller]
    fn lives(&mut self) {
        let start = Instant::now();
        assert_eq!(self.good.get("/").text(), "hello", "the other connection goes on");
        assert_eq!(Http2::connect(self.narrows.address("web")).get("/").text(), "hello");
        assert!(start.elapsed() < Duration::from_secs(3), "and is not slow: {:?}", start.elapsed());
        let peak = self.narrows.peak_memory_kib();
        assert!(peak < MEMORY_KIB, "{peak} KiB");
    }
}

/// Sends what `piece` makes of its number over and over while a second handle reads whatever comes. Returns how many
/// pieces were taken, and whether the other side ended the connection.
#[track_caller]
fn flood(mut connection: Connection, limit: usize, piece: impl Fn(usize) -> Vec<u8>) -> (usize, bool) {
    let mut reader = connection.second_handle();
    let reading = std::thread::spawn(move || while reader.some_bytes().is_some() {});
    let end = Instant::now() + PATIENCE;
    let mut sent = 0;
    while sent < limit && Instant::now() < end && !reading.is_finished() {
        let bytes = piece(sent);
        if connection.flood(&bytes, bytes.len() as u64, Duration::from_millis(500)) < bytes.len() as u64 {
            break;
        }
        sent += 1;
    }
    let ended = narrows_conformance::deadline::holds_within(Duration::from_secs(2), || reading.is_finished());
    (sent, ended)
}

fn get(stream: u32) -> Vec<u8> {
    let fields = [(":method", "GET"), (":scheme", "http"), (":authority", "example.com"), (":path", "/")];
    Frame::headers(stream, &fields, true).bytes()
}

fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap() * 2 + 1
}

/// Reads until the end and returns the code of GOAWAY, if one came.
fn verdict(connection: Connection) -> Option<u32> {
    let mut connection = connection;
    let bytes = connection.read_to_end();
    let mut rest = bytes.as_slice();
    let mut verdict = None;
    while rest.len() >= 9 {
        let length = usize::from(rest[0]) << 16 | usize::from(rest[1]) << 8 | usize::from(rest[2]);
        if rest[3] == kind::GOAWAY && rest.len() >= 17 {
            verdict = Some(u32::from_be_bytes([rest[13], rest[14], rest[15], rest[16]]));
        }
        rest = rest.get(9 + length..).unwrap_or_default();
    }
    verdict
}

#[test]
fn rapid_reset_ends_the_connection() {
    let mut house = house("");
    let (rounds, ended) = flood(house.attacker(), 200_000, |round| {
        [get(number(round)), Frame::reset(number(round), code::CANCEL).bytes()].concat()
    });
    assert!(ended && rounds < 150_000, "CVE-2023-44487: {rounds} requests were given up");
    house.lives();
    let reached = house.backend.requests().len();
    assert!(reached < 5_000, "{reached} requests reached the backend");
}

#[test]
fn rapid_reset_by_our_own_hand_ends_the_connection() {
    let mut house = house("");
    let (rounds, ended) = flood(house.attacker(), 200_000, |round| {
        [get(number(round)), Frame::window_update(number(round), 0).bytes()].concat()
    });
    assert!(ended, "CVE-2025-8671, the client makes the server reset: {rounds} times");
    house.lives();
}

#[test]
fn a_flood_of_continuations_ends_the_connection() {
    let mut house = house("");
    let mut connection = house.attacker();
    connection.send(Frame::new(kind::HEADERS, flag::END_STREAM, 1, block(&[(":method", "GET")])).bytes());
    let piece = Frame::new(kind::CONTINUATION, 0, 1, block(&[("x-a", &"y".repeat(8000))])).bytes();
    let (rounds, ended) = flood(connection, 20_000, |_| piece.clone());
    assert!(ended && rounds < 10_000, "{rounds} frames of 8 KiB were taken");
    house.lives();
    let mut connection = house.attacker();
    connection.send(Frame::new(kind::HEADERS, flag::END_STREAM, 1, block(&[(":method", "GET")])).bytes());
    let empty = Frame::new(kind::CONTINUATION, 0, 1, []).bytes().repeat(100);
    let (rounds, ended) = flood(connection, 20_000, |_| empty.clone());
    assert!(ended, "empty ones: {rounds} hundreds were taken");
    house.lives();
}

#[test]
fn a_flood_of_settings_or_pings_is_bounded() {
    for (what, frame) in [
        ("settings", Frame::settings(&[(setting::INITIAL_WINDOW_SIZE, 1000)])),
        ("empty settings", Frame::settings(&[])),
        ("pings", Frame::ping([0; 8])),
    ] {
        let mut house = house("");
        // The answers are not read, so that they would pile up in the proxy.
        let mut connection = house.attacker();
        let piece = frame.bytes().repeat(500);
        let taken = connection.flood(&piece, 256 * 1024 * 1024, Duration::from_millis(500));
        assert!(
            taken < 128 * 1024 * 1024,
            "{what}: {taken} bytes were taken from a client that reads nothing"
        );
        house.lives();
        drop(connection);
        let (rounds, _) = flood(house.attacker(), 400, |_| piece.clone());
        assert!(rounds > 0, "{what}");
        house.lives();
    }
}

#[test]
fn a_flood_of_empty_data_is_bounded() {
    let mut house = incomplete("");
    for padding in [false, true] {
        let mut attacker = Http2::over(house.narrows.web());
        let stream = attacker.open("POST", "/", &[], false);
        let frame = if padding {
            Frame::new(kind::DATA, flag::PADDED, stream, [&[200_u8][..], &[0; 200]].concat())
        } else {
            Frame::data(stream, "", false)
        };
        let piece = frame.bytes().repeat(100);
        let connection = attacker.connection().second_handle();
        flood(connection, 20_000, |_| piece.clone());
        house.lives();
        drop(attacker);
    }
}

#[test]
fn a_flood_of_priorities_window_updates_and_unknown_frames_is_bounded() {
    for (what, frame) in [
        ("priority", Frame::new(kind::PRIORITY, 0, 99, [0, 0, 0, 0, 1])),
        ("window updates of the connection", Frame::window_update(0, 1)),
        ("unknown", Frame::new(0xbb, 0xff, 0, [7; 100])),
        ("an answer to a ping that nobody sent", Frame::new(kind::PING, flag::ACK, 0, [0; 8])),
    ] {
        let mut house = house("");
        let piece = frame.bytes().repeat(500);
        let (rounds, _) = flood(house.attacker(), 2_000, |_| piece.clone());
        assert!(rounds > 0, "{what}");
        house.lives();
    }
}

#[test]
fn a_window_that_overflows_is_an_error() {
    let mut house = house("");
    let mut connection = house.attacker();
    connection.send(
        [Frame::window_update(0, 0x7fff_ffff).bytes(), Frame::window_update(0, 0x7fff_ffff).bytes()].concat(),
    );
    assert_eq!(verdict(connection), Some(code::FLOW_CONTROL_ERROR));
    house.lives();
}

#[test]
fn a_bomb_of_compressed_fields_is_bounded() {
    let mut house = house("");
    let mut attacker = Http2::over(house.narrows.web());
    for round in 0..20 {
        let stream = attacker.reserve();
        let mut bomb = block(&[(":method", "GET"), (":scheme", "http"), (":authority", "a"), (":path", "/")]);
        bomb.extend(remembered("x-bomb", &"y".repeat(3_900)));
        bomb.extend(vec![NEWEST; 12_000]);
        let sent =
            attacker.try_send(&Frame::new(kind::HEADERS, flag::END_HEADERS | flag::END_STREAM, stream, bomb));
        if sent.is_err()
            || !attacker.until(|peer| peer.received(stream).reset.is_some() || peer.received(stream).ended)
        {
            break;
        }
        let received = attacker.received(stream);
        let status = received.heads.first().map(|head| head[0].1.clone());
        assert!(received.reset.is_some() || status.as_deref() == Some("431"), "round {round}: {status:?}");
    }
    house.lives();
    assert_eq!(
        house.backend.requests().iter().filter(|request| request.header("x-bomb").is_some()).count(),
        0
    );
}

#[test]
fn header_blocks_that_cannot_be_read_end_the_connection() {
    for bad in [
        vec![0x80],
        vec![0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
        vec![0x40, 0x05, b'a'],
        vec![0xbf, 0xbf],
        vec![0x3f, 0xff, 0xff, 0x7f],
    ] {
        let mut house = house("");
        let mut connection = house.attacker();
        connection
            .send(Frame::new(kind::HEADERS, flag::END_HEADERS | flag::END_STREAM, 1, bad.clone()).bytes());
        let verdict = verdict(connection);
        assert!(verdict.is_some_and(|code| code != code::NO_ERROR), "{bad:?}: {verdict:?}");
        house.lives();
    }
}

#[test]
fn clients_that_never_open_their_windows_cost_bounded_memory_and_are_ended() {
    let backend = Backend::script(|mut connection, _| {
        while let Some(request) = connection.next_request() {
            if request.target() == "/large" {
                connection.send("HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n");
                while connection.try_send([b'x'; 65_536]).is_ok() {}
                return;
            }
            connection.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
        }
    });
    let narrows = Setup::web(&backend, "timeouts: { write_idle: 1s }").start();
    let mut good = Http2::connect(narrows.address("web"));
    assert_eq!(good.get("/").text(), "hello");
    let mut house = House { narrows, backend, good };
    let stalling = (0..5).map(|_| {
        let mut attacker = Http2::over_with(house.narrows.web(), &[(setting::INITIAL_WINDOW_SIZE, 0)]);
        for _ in 0..20 {
            attacker.open("GET", "/large", &[], true);
        }
        attacker
    });
    let mut stalling = stalling.collect::<Vec<_>>();
    until("all of them are under way", || house.backend.requests().len() == 101);
    house.lives();
    for attacker in &mut stalling {
        let over = |peer: &Http2| (0..20).all(|count| peer.received(number(count)).reset.is_some());
        attacker.until(over);
        assert!(over(attacker) || attacker.connection().record().end.is_some(), "given up after write_idle");
    }
    drop(stalling);
    until("their descriptors are closed", || house.descriptors() < 40);
    house.lives();
}

#[test]
fn many_idle_streams_cost_bounded_memory_and_are_ended() {
    let mut house = incomplete("timeouts: { body_idle: 1s }");
    let mut crowd = Vec::new();
    for _ in 0..20 {
        let mut attacker = Http2::over(house.narrows.web());
        for _ in 0..100 {
            attacker.open("POST", "/", &[("content-length", "10")], false);
        }
        attacker.send(&Frame::ping([0; 8]));
        crowd.push(attacker);
    }
    for attacker in &mut crowd {
        attacker.until(|peer| !peer.pongs.is_empty());
    }
    house.lives();
    for attacker in &mut crowd {
        attacker.until(|peer| {
            (0..100).all(|count| {
                let stream = peer.received(number(count));
                stream.reset.is_some() || stream.ended
            })
        });
    }
    drop(crowd);
    until("their descriptors are closed", || house.descriptors() < 40);
    house.lives();
}

#[test]
fn connections_that_stop_are_ended() {
    let mut house = house("timeouts: { head: 500ms, keep_alive: 500ms }");
    let settings = Frame::settings(&[]).bytes();
    let head = Frame::new(kind::HEADERS, flag::END_STREAM, 1, block(&[(":method", "GET")])).bytes();
    let stopped = [
        PREFACE[..10].to_vec(),
        PREFACE.to_vec(),
        [PREFACE, &settings].concat(),
        [PREFACE, &[0, 0, 9]].concat(),
        [PREFACE, &settings, &head[..12]].concat(),
        [PREFACE, &settings, &head].concat(),
    ];
    let mut stopped = stopped.map(|bytes| {
        let mut connection = house.narrows.web();
        connection.send(bytes);
        connection
    });
    let before = Instant::now();
    stopped.iter_mut().for_each(|connection| drop(connection.read_to_end()));
    assert!(before.elapsed() < DEADLINE / 2, "half a head is not waited for for long");
    house.good = Http2::connect(house.narrows.address("web"));
    house.lives();
}

#[test]
fn garbage_after_the_preface_harms_nobody() {
    let mut house = house("timeouts: { head: 1s, keep_alive: 1s }");
    house.good = Http2::connect(house.narrows.address("web"));
    let mut noise = 0x9E37_79B9_7F4A_7C15_u64;
    for round in 0..300 {
        let mut connection = if round % 2 == 0 { house.attacker() } else { house.narrows.web() };
        if round % 2 == 1 {
            connection.send(PREFACE);
        }
        let mut bytes = Vec::new();
        for _ in 0..=round % 60 {
            noise ^= noise << 13;
            noise ^= noise >> 7;
            noise ^= noise << 17;
            bytes.extend(noise.to_le_bytes());
        }
        if round % 3 == 0 {
            // Well-formed frames with senseless content go deeper than noise.
            bytes = bytes
                .chunks_exact(8)
                .flat_map(|piece| {
                    Frame::new(piece[0] % 11, piece[1], u32::from(piece[2] % 6), &piece[3..]).bytes()
                })
                .collect();
        }
        let _ = connection.try_send(&bytes);
        connection.finish_sending();
        connection.read_to_end();
    }
    house.good = Http2::connect(house.narrows.address("web"));
    house.lives();
}

#[test]
fn frames_that_break_the_rules_end_the_connection() {
    let settings = Frame::settings(&[]).bytes();
    let open = [get(1), get(3)].concat();
    for (what, bytes) in [
        ("a frame that is too large", Frame::new(kind::DATA, 0, 1, vec![0; 16_385]).bytes()),
        ("DATA on stream 0", Frame::data(0, "x", false).bytes()),
        ("HEADERS on stream 0", get(0)),
        ("HEADERS on an even stream", get(2)),
        ("a stream number that goes back", [get(5), get(3)].concat()),
        ("DATA on a stream that was never opened", Frame::data(7, "x", false).bytes()),
        ("a push from a client", Frame::new(kind::PUSH_PROMISE, flag::END_HEADERS, 1, [0, 0, 0, 2]).bytes()),
        ("SETTINGS of a wrong length", Frame::new(kind::SETTINGS, 0, 0, [0; 5]).bytes()),
        ("SETTINGS on a stream", Frame::new(kind::SETTINGS, 0, 1, [0; 6]).bytes()),
        (
            "a window that is too large",
            Frame::settings(&[(setting::INITIAL_WINDOW_SIZE, 0x8000_0000)]).bytes(),
        ),
        ("a frame size that is too small", Frame::settings(&[(setting::MAX_FRAME_SIZE, 100)]).bytes()),
        ("PING of a wrong length", Frame::new(kind::PING, 0, 0, [0; 7]).bytes()),
        (
            "a CONTINUATION that continues nothing",
            Frame::new(kind::CONTINUATION, flag::END_HEADERS, 1, []).bytes(),
        ),
        (
            "a head that is interrupted",
            [Frame::new(kind::HEADERS, 0, 1, []).bytes(), settings.clone()].concat(),
        ),
        (
            "padding that is too long",
            Frame::new(kind::HEADERS, flag::PADDED | flag::END_HEADERS, 1, [200, 0]).bytes(),
        ),
        ("RST_STREAM of a stream that was never opened", Frame::reset(9, code::CANCEL).bytes()),
    ] {
        let mut house = house("");
        let mut connection = house.attacker();
        connection.send(&bytes);
        let verdict = verdict(connection);
        assert!(verdict.is_some_and(|code| code != code::NO_ERROR), "{what}: {verdict:?}");
        house.lives();
    }
    let mut house = house("");
    let mut connection = house.attacker();
    connection.send(&open);
    connection.finish_sending();
    connection.read_to_end();
    house.lives();
}
