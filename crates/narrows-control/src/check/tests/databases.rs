//! PostgreSQL, MySQL and Redis.

use super::harness::*;
use narrows_plan::CheckKind;
use std::io::Write;
use std::net::TcpStream;

fn postgresql() -> CheckKind {
    CheckKind::PostgreSql { user: "u".into(), database: "d".into() }
}

/// A server that reads the startup message and says its first word.
fn postgres_saying(word: &'static [u8], then: impl FnOnce(&mut TcpStream) + Send + 'static) -> Server {
    Server::playing(move |stream| {
        let length = read_exactly(stream, 4);
        let length = u32::from_be_bytes(length.try_into().unwrap()) as usize;
        let message = read_exactly(stream, length - 4);
        assert!(message.starts_with(b"\0\x03\0\0user\0u\0database\0d\0"));
        stream.write_all(word).unwrap();
        then(stream);
    })
}

#[test]
fn postgresql_lets_in_or_asks_and_is_left_politely() {
    let server = postgres_saying(b"R\0\0\0\x08\0\0\0\0", |stream| {
        assert_eq!(read_exactly(stream, 5), b"X\0\0\0\x04");
    });
    assert_eq!(ask(&server, postgresql()), "passed");
    server.done();
    let server = postgres_saying(b"R\0\0\0\x0c\0\0\0\x05salt", |stream| {
        assert_eq!(how_it_ended(stream), "closed");
    });
    assert_eq!(ask(&server, postgresql()), "passed");
    server.done();
}

#[test]
fn postgresql_that_starts_up_is_not_well() {
    let word = b"E\0\0\0\x2fSFATAL\0C57P03\0Mthe database is starting up\0\0";
    let server = postgres_saying(word, |_| {});
    assert_eq!(ask(&server, postgresql()), "PostgreSQL: 57P03 the database is starting up");
    server.done();
    let server = postgres_saying(b"R\xff\xff\xff\xff", |stream| {
        let _ = stream.write_all(&[0; 100 << 10]);
    });
    assert_eq!(ask(&server, postgresql()), "the answer is too long");
    server.done();
}

fn mysql(user: &str) -> CheckKind {
    CheckKind::MySql { user: user.into() }
}

fn send_packet(stream: &mut TcpStream, number: u8, payload: &[u8]) {
    let length = (payload.len() as u32).to_le_bytes();
    stream.write_all(&[&[length[0], length[1], length[2], number], payload].concat()).unwrap();
}

fn read_packet(stream: &mut TcpStream) -> (u8, Vec<u8>) {
    let header = read_exactly(stream, 4);
    let length = u32::from_le_bytes([header[0], header[1], header[2], 0]) as usize;
    (header[3], read_exactly(stream, length))
}

const GREETING: &[u8] =
    b"\x0a8.0\0\x01\0\0\0saltsalt\0\xff\xff-\x02\0\xff\xff\x15\0\0\0\0\0\0\0\0\0\0saltsaltsalt\0";

/// A server that greets, reads a login of `user` and plays on.
fn mysql_for(user: &'static str, then: impl FnOnce(&mut TcpStream) + Send + 'static) -> Server {
    Server::playing(move |stream| {
        send_packet(stream, 0, GREETING);
        let (number, login) = read_packet(stream);
        assert_eq!(number, 1);
        let expected = format!("{user}\0\0mysql_native_password\0");
        assert_eq!(String::from_utf8_lossy(&login[32..]), expected);
        then(stream);
    })
}

#[test]
fn mysql_lets_a_user_in_and_is_left_with_quit() {
    let server = mysql_for("check", |stream| {
        send_packet(stream, 2, b"\0\0\0\x02\0\0\0");
        assert_eq!(read_packet(stream), (0, vec![1]));
    });
    assert_eq!(ask(&server, mysql("check")), "passed");
    server.done();
    let server = mysql_for("check", |stream| {
        send_packet(stream, 2, b"\xfecaching_sha2_password\0salt");
        assert_eq!(read_packet(stream), (3, vec![0]));
        send_packet(stream, 4, b"\x01\x03");
        send_packet(stream, 5, b"\0\0\0\x02\0\0\0");
        assert_eq!(read_packet(stream), (0, vec![1]));
    });
    assert_eq!(ask(&server, mysql("check")), "passed");
    server.done();
}

#[test]
fn mysql_without_a_user_may_refuse_nobody() {
    let refuse = |stream: &mut TcpStream| send_packet(stream, 2, b"\xff\x15\x04#28000Access denied");
    let server = mysql_for("", refuse);
    assert_eq!(ask(&server, mysql("")), "passed");
    server.done();
    let server = mysql_for("check", refuse);
    assert_eq!(ask(&server, mysql("check")), "MySQL: 1045 Access denied");
    server.done();
}

#[test]
fn mysql_that_is_full_or_blocks_the_host_is_not_well() {
    let server = Server::playing(|stream| send_packet(stream, 0, b"\xff\x10\x04Too many connections"));
    assert_eq!(ask(&server, mysql("")), "MySQL: 1040 Too many connections");
    server.done();
    let server = mysql_for("", |stream| send_packet(stream, 2, b"\xff\x69\x04#HY000Host is blocked"));
    assert_eq!(ask(&server, mysql("")), "MySQL: 1129 Host is blocked");
    server.done();
    let server = mysql_for("check", |stream| {
        for number in 0..20 {
            send_packet(stream, number, b"\x01\x03");
        }
    });
    assert_eq!(ask(&server, mysql("check")), "not an answer of MySQL");
    server.done();
}

fn redis(password: &str) -> CheckKind {
    CheckKind::Redis { password: password.into() }
}

const PING: &[u8] = b"*1\r\n$4\r\nPING\r\n";

#[test]
fn redis_answers_ping() {
    let server = Server::dialogue(&[(PING, b"+PONG\r\n")]);
    assert_eq!(ask(&server, redis("")), "passed");
    server.done();
    let server = Server::dialogue(&[(
        b"*2\r\n$4\r\nAUTH\r\n$6\r\nsecret\r\n*1\r\n$4\r\nPING\r\n",
        b"+OK\r\n+PONG\r\n",
    )]);
    assert_eq!(ask(&server, redis("secret")), "passed");
    server.done();
}

#[test]
fn redis_says_why_it_does_not_answer() {
    let server = Server::dialogue(&[(PING, b"-LOADING Redis is loading the dataset in memory\r\n")]);
    assert_eq!(ask(&server, redis("")), "Redis: LOADING Redis is loading the dataset in memory");
    server.done();
    let server = Server::dialogue(&[(PING, b"-NOAUTH Authentication required.\r\n")]);
    assert_eq!(ask(&server, redis("")), "Redis: NOAUTH Authentication required.");
    server.done();
    let server = Server::dialogue(&[(PING, b"$4\r\nPONG\r\n")]);
    assert_eq!(ask(&server, redis("")), "not an answer of Redis");
    server.done();
    let server = Server::dialogue(&[(PING, b"+PON")]);
    assert_eq!(ask(&server, redis("")), "the connection ended before the answer");
    server.done();
}
