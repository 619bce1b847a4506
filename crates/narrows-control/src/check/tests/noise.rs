//! Answers that are broken at random: whatever comes, a check ends, without a panic.

use super::harness::*;
use crate::check::{PROGRAMS, check};
use narrows_plan::{CheckKind, HttpCheck};
use narrows_upstream::Chance;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

/// What a server that is well says, all at once.
fn kinds() -> Vec<(CheckKind, &'static [u8])> {
    let http = HttpCheck {
        path: "/".into(),
        method: "GET".into(),
        host: None,
        headers: Box::default(),
        statuses: [(200, 200)].into(),
        body: contains("never"),
    };
    vec![
        (CheckKind::Tcp { send: Box::default(), expect: contains("never") }, b"hello"),
        (
            CheckKind::Http(Box::new(http)),
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX: y\r\n\r\n5\r\nhello\r\n3;a=b\r\nyou\r\n0\r\nT: v\r\n\r\n",
        ),
        (
            CheckKind::Grpc { service: "a.B".into() },
            b"\0\0\x06\x04\0\0\0\0\0\0\x03\0\0\0\x64\0\0\0\x04\x01\0\0\0\0\0\0\x01\x01\x05\0\0\0\x01\x88",
        ),
        (CheckKind::PostgreSql { user: "u".into(), database: "".into() }, b"E\0\0\0\x11C57P03\0Mwait\0\0"),
        (
            CheckKind::MySql { user: "u".into() },
            b"\x05\0\0\0\x0a8.0\0\x2c\0\0\x02\xfemysql_native_password\0saltsaltsaltsaltsalt\0\x0c\0\0\x04\xff\x15\x04#28000no",
        ),
        (CheckKind::Redis { password: "p".into() }, b"+OK\r\n-LOADING wait\r\n"),
        (CheckKind::Smtp { hello: "h".into() }, b"220-a\r\n220 b\r\n250-a\r\n250 b\r\n"),
        (CheckKind::Ldap, b"\x30\x84\0\0\0\x10\x02\x01\x01\x61\x84\0\0\0\x07\x0a\x01\x00\x04\0\x04\0"),
    ]
}

/// Some bytes other, gone, doubled or cut off.
fn broken(whole: &[u8], chance: &Chance) -> Vec<u8> {
    let mut bytes = whole.to_vec();
    for _ in 0..chance.below(6) {
        if bytes.is_empty() {
            break;
        }
        let place = chance.below(bytes.len() as u64) as usize;
        match chance.below(4) {
            0 => bytes[place] = chance.number() as u8,
            1 => drop(bytes.remove(place)),
            2 => bytes.insert(place, [0, 0x7f, 0x80, 0xff, b'\r', b'\n'][chance.below(6) as usize]),
            _ => bytes.truncate(place),
        }
    }
    bytes
}

fn serve(mut stream: TcpStream, answer: &[u8], cut: usize) {
    let (first, second) = answer.split_at(cut.min(answer.len()));
    let _ = stream.write_all(first).and_then(|()| stream.write_all(second));
    let _ = stream.shutdown(std::net::Shutdown::Write);
    let _ = stream.read_to_end(&mut Vec::new());
}

#[test]
fn no_answer_makes_a_check_panic_or_hang() {
    for (number, (kind, whole)) in kinds().into_iter().enumerate() {
        const ROUNDS: u64 = 100;
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let subject = subject(listener.local_addr().unwrap());
        let script = std::thread::spawn(move || {
            for seed in 0..ROUNDS {
                let chance = Chance::new(seed * 100 + number as u64);
                let answer = broken(whole, &chance);
                let cut = chance.below(answer.len() as u64 + 1) as usize;
                serve(listener.accept().unwrap().0, &answer, cut);
            }
        });
        let plan = plan(kind, LONG);
        run(|deadlines| async move {
            let (watch, turns) = (deadlines.watch(), Semaphore::new(PROGRAMS));
            for seed in 0..ROUNDS {
                let result = check(&subject, &plan, &watch, &turns).await;
                let text = result.map_or_else(|failure| failure.to_string(), |()| "passed".to_owned());
                assert_ne!(text, "timed out", "{} with seed {seed}", plan.kind.name());
                assert!(!text.contains(char::is_control), "{} with seed {seed}: {text:?}", plan.kind.name());
            }
        });
        script.join().unwrap();
    }
}
