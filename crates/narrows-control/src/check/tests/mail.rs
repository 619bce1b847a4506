//! SMTP and LDAP.

use super::harness::*;
use narrows_plan::CheckKind;
use std::io::Write;

#[test]
fn smtp_greets_and_leaves() {
    let server = Server::playing(|stream| {
        stream.write_all(b"220-mail.example\r\n220 ESMTP\r\n").unwrap();
        assert_eq!(read_exactly(stream, 12), b"EHLO proxy\r\n");
        stream.write_all(b"250-mail.example\r\n250 SIZE 1000\r\n").unwrap();
        assert_eq!(read_exactly(stream, 6), b"QUIT\r\n");
        stream.write_all(b"221 bye\r\n").unwrap();
    });
    assert_eq!(ask(&server, CheckKind::Smtp { hello: "proxy".into() }), "passed");
    server.done();
}

#[test]
fn smtp_servers_say_why_they_refuse() {
    let server = Server::playing(|stream| stream.write_all(b"421 too\tbusy\r\n").unwrap());
    assert_eq!(ask(&server, CheckKind::Smtp { hello: "x".into() }), "SMTP: 421 too busy");
    server.done();
    let server = Server::dialogue(&[(b"", b"220 hi\r\n"), (b"EHLO x\r\n", b"550 go away\r\n")]);
    assert_eq!(ask(&server, CheckKind::Smtp { hello: "x".into() }), "SMTP: 550 go away");
    server.done();
    let server = Server::playing(|stream| while stream.write_all(&b"220-x\r\n".repeat(1000)).is_ok() {});
    assert_eq!(ask(&server, CheckKind::Smtp { hello: "x".into() }), "the answer is too long");
    server.done();
}

const BIND: &[u8] = &[0x30, 12, 2, 1, 1, 0x60, 7, 2, 1, 3, 4, 0, 0x80, 0];

#[test]
fn ldap_servers_bind_or_want_a_name() {
    for code in [0, 53] {
        let server = Server::playing(move |stream| {
            assert_eq!(read_exactly(stream, BIND.len()), BIND);
            stream.write_all(&[0x30, 12, 2, 1, 1, 0x61, 7, 0x0a, 1, code, 4, 0, 4, 0]).unwrap();
            assert_eq!(read_exactly(stream, 7), [0x30, 5, 2, 1, 2, 0x42, 0]);
        });
        assert_eq!(ask(&server, CheckKind::Ldap), "passed");
        server.done();
    }
    let server = Server::dialogue(&[(BIND, &[0x30, 12, 2, 1, 1, 0x61, 7, 0x0a, 1, 51, 4, 0, 4, 0])]);
    assert_eq!(ask(&server, CheckKind::Ldap), "LDAP: result 51");
    server.done();
    let server = Server::dialogue(&[(BIND, b"220 mail\r\n")]);
    assert_eq!(ask(&server, CheckKind::Ldap), "not an answer of LDAP");
    server.done();
}
