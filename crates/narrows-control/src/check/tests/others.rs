//! UDP and programs.

use super::harness::*;
use narrows_plan::CheckKind;
use std::net::UdpSocket;
use std::time::{Duration, Instant};

fn udp(send: &str, expect: Option<&str>) -> CheckKind {
    CheckKind::Udp { send: send.as_bytes().into(), expect: expect.and_then(contains) }
}

#[test]
fn a_datagram_gets_the_expected_answer_or_another_one() {
    for (answer, expected) in [("pong", "passed"), ("no", "the answer does not have what is expected")] {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        server.set_read_timeout(Some(LONG)).unwrap();
        let subject = subject(server.local_addr().unwrap());
        let script = std::thread::spawn(move || {
            let mut buffer = [0; 100];
            let (length, peer) = server.recv_from(&mut buffer).unwrap();
            assert_eq!(&buffer[..length], b"ping");
            server.send_to(answer.as_bytes(), peer).unwrap();
        });
        assert_eq!(result_of(&subject, udp("ping", Some("pong")), LONG), expected);
        script.join().unwrap();
    }
}

#[test]
fn silence_is_good_only_where_nothing_is_expected() {
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    let subject = subject(server.local_addr().unwrap());
    assert_eq!(result_of(&subject, udp("ping", None), SHORT), "passed");
    assert_eq!(result_of(&subject, udp("ping", Some("x")), SHORT), "timed out");
    drop(server);
    assert_eq!(result_of(&subject, udp("ping", None), LONG), "connection refused");
    assert_eq!(result_of(&subject, udp("ping", Some("x")), LONG), "connection refused");
}

fn shell(script: &str) -> CheckKind {
    CheckKind::Command { command: ["/bin/sh", "-c", script].map(Into::into).into() }
}

#[test]
fn a_program_is_told_what_it_checks_and_judges_by_its_status() {
    let subject = subject(([127, 0, 0, 1], 77).into());
    let told = r#"test "$NARROWS_ADDRESS,$NARROWS_PORT,$NARROWS_ENDPOINT,$NARROWS_UPSTREAM" = 127.0.0.1,77,127.0.0.1:77,app"#;
    assert_eq!(result_of(&subject, shell(told), LONG), "passed");
    assert_eq!(result_of(&subject, shell("exit 7"), LONG), "the program ended with status 7");
    assert_eq!(result_of(&subject, shell("kill -9 $$"), LONG), "the program ended with signal 9");
    let missing = CheckKind::Command { command: ["/nonexistent/check".into()].into() };
    assert_eq!(result_of(&subject, missing, LONG), "the program cannot be started: entity not found");
}

#[test]
fn a_program_that_takes_too_long_is_killed_with_its_children() {
    let folder = std::env::temp_dir().join(format!("narrows-check-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("pid").display().to_string();
    let subject = subject(([127, 0, 0, 1], 77).into());
    let script = format!("sleep 1000 & echo $! > {file}.new; mv {file}.new {file}; wait");
    assert_eq!(result_of(&subject, shell(&script), Duration::from_secs(2)), "timed out");
    let child = std::fs::read_to_string(&file).unwrap();
    let stat = format!("/proc/{}/stat", child.trim());
    let deadline = Instant::now() + LONG;
    // Gone, or waiting for somebody to take its status.
    while std::fs::read_to_string(&stat).is_ok_and(|stat| !stat.contains(") Z ")) {
        assert!(Instant::now() < deadline, "the child lives on");
        std::thread::yield_now();
    }
    std::fs::remove_dir_all(&folder).unwrap();
}
