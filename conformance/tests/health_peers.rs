//! Real servers that go down and come back behind health checks of their own protocol.

use narrows_conformance::servers::certificates::Authority;
use narrows_conformance::servers::grpc_health::GrpcHealth;
use narrows_conformance::servers::mariadb::{self, Mariadb};
use narrows_conformance::servers::nginx::Nginx;
use narrows_conformance::servers::postgres::{self, Postgres};
use narrows_conformance::servers::redis::Redis;
use narrows_conformance::{Narrows, Setup, output_of};

#[test]
fn a_real_postgresql_goes_down_and_comes_back() {
    let mut server = Postgres::start();
    let address = server.address.clone();
    let health = "postgresql: { user: postgres }, start: checked";
    let narrows = Setup::checked("tcp", &[&server], health, "").start();
    let ask = |narrows: &Narrows| {
        let mut psql = postgres::client("psql", narrows.port("tcp"));
        output_of(psql.args(["-Atqc", "select 6 * 7", "postgres"])).trim().to_owned()
    };
    assert_eq!(ask(&narrows), "42");
    assert_eq!(narrows.until_checked(&address, 5)["health"]["failed_total"], 0);
    let log = server.output();
    assert!(!log.contains("could not") && !log.contains("unexpected"), "checks are polite: {log}");
    server.stop();
    narrows.until_endpoint(&address, "down", "connection refused");
    let refused = postgres::client("psql", narrows.port("tcp")).args(["-c", "select 1"]).output().unwrap();
    assert!(!refused.status.success(), "there is nobody to ask");
    server.start_again();
    narrows.until_endpoint(&address, "up", "2 checks passed");
    assert_eq!(ask(&narrows), "42");
    server.signal("STOP");
    narrows.until_endpoint(&address, "down", "timed out");
    server.signal("CONT");
    narrows.until_endpoint(&address, "up", "2 checks passed");
    assert_eq!(ask(&narrows), "42");
}

#[test]
fn a_postgresql_that_refuses_the_checks_user_is_well() {
    let server = Postgres::start();
    let health = "postgresql: { user: nobody, database: nothing }, start: checked";
    let narrows = Setup::checked("tcp", &[&server], health, "").start();
    let seen = narrows.until_checked(&server, 3);
    assert_eq!((&seen["state"], &seen["health"]["failed_total"]), (&"up".into(), &0.into()), "{seen:#}");
}

#[test]
fn a_real_mariadb_goes_down_and_comes_back_and_counts_no_aborted_connect() {
    let mut server = Mariadb::start();
    let address = server.address.clone();
    let narrows = Setup::checked("tcp", &[&server], "mysql: { user: test }, start: checked", "").start();
    let ask = |narrows: &Narrows, sql: &str| {
        output_of(mariadb::client(narrows.port("tcp")).args(["-e", sql])).trim().to_owned()
    };
    assert_eq!(narrows.until_checked(&address, 10)["health"]["failed_total"], 0);
    let aborted = ask(&narrows, "show global status like 'Aborted_%'");
    for line in aborted.lines().filter(|line| line.starts_with("Aborted_c")) {
        assert!(line.ends_with("\t0"), "{aborted}");
    }
    server.stop();
    narrows.until_endpoint(&address, "down", "connection refused");
    server.start_again();
    narrows.until_endpoint(&address, "up", "2 checks passed");
    assert_eq!(ask(&narrows, "select 6 * 7"), "42");
}

#[test]
fn a_mariadb_is_checked_without_a_user_and_with_a_wrong_one() {
    let server = Mariadb::start();
    let narrows = Setup::checked("tcp", &[&server], "mysql: true, start: checked", "").start();
    let seen = narrows.until_checked(&server, 3);
    assert_eq!((&seen["state"], &seen["health"]["failed_total"]), (&"up".into(), &0.into()), "{seen:#}");
    let narrows = Setup::checked("tcp", &[&server], "mysql: { user: nobody }, start: checked", "").start();
    narrows.until_endpoint(&server, "down", "MySQL: 1045 Access denied for user 'nobody'");
}

#[test]
fn a_real_redis_goes_down_and_comes_back() {
    for password in ["", "secret"] {
        let mut server = Redis::start(password);
        let address = server.address.clone();
        let health = format!("redis: {{ password: \"{password}\" }}, start: checked");
        let narrows = Setup::checked("tcp", &[&server], &health, "").start();
        let ping = |narrows: &Narrows| {
            let mut connection = narrows.connect("tcp");
            connection.send(format!("AUTH {password}x\r\n").as_bytes());
            !connection.some_bytes().unwrap_or_default().is_empty()
        };
        assert!(ping(&narrows));
        assert_eq!(narrows.until_checked(&address, 5)["health"]["failed_total"], 0);
        server.stop();
        narrows.until_endpoint(&address, "down", "connection refused");
        server.start_again();
        narrows.until_endpoint(&address, "up", "2 checks passed");
        assert!(ping(&narrows));
        server.signal("STOP");
        narrows.until_endpoint(&address, "down", "timed out");
        server.signal("CONT");
        narrows.until_endpoint(&address, "up", "2 checks passed");
    }
    let server = Redis::start("secret");
    let narrows = Setup::checked("tcp", &[&server], "redis: { password: wrong }", "").start();
    narrows.until_endpoint(&server, "down", "Redis: WRONGPASS");
    let narrows = Setup::checked("tcp", &[&server], "redis: true", "").start();
    narrows.until_endpoint(&server, "down", "Redis: NOAUTH");
}

#[test]
fn a_real_grpc_server_says_how_its_services_are() {
    let mut server = GrpcHealth::start("=SERVING\ngreeter.Greeter=SERVING");
    let address = server.address.clone();
    let health = "grpc: { service: greeter.Greeter }, start: checked";
    let narrows = Setup::checked("http", &[&server], health, "protocol: http2").start();
    let seen = narrows.until_checked(&address, 3);
    assert_eq!((&seen["state"], &seen["health"]["failed_total"]), (&"up".into(), &0.into()), "{seen:#}");
    server.set("greeter.Greeter=NOT_SERVING");
    narrows.until_endpoint(&address, "down", "3 checks failed: gRPC: NOT_SERVING");
    server.set("greeter.Greeter=SERVING");
    narrows.until_endpoint(&address, "up", "2 checks passed");
    server.stop();
    narrows.until_endpoint(&address, "down", "connection refused");
    server.start_again();
    narrows.until_endpoint(&address, "up", "2 checks passed");
    server.signal("STOP");
    narrows.until_endpoint(&address, "down", "timed out");
    server.signal("CONT");
    narrows.until_endpoint(&address, "up", "2 checks passed");
}

#[test]
fn an_unknown_grpc_service_fails_and_the_whole_server_is_asked_by_default() {
    let server = GrpcHealth::start("=SERVING");
    let narrows = Setup::checked("http", &[&server], "grpc: { service: missing }", "protocol: http2").start();
    narrows.until_endpoint(&server, "down", "gRPC: status 5");
    // A listener for TCP says nothing of HTTP/2, and the check speaks it all the same.
    let narrows = Setup::checked("tcp", &[&server], "grpc: true, start: checked", "").start();
    assert_eq!(narrows.until_checked(&server, 3)["state"], "up");
}

#[test]
fn a_grpc_server_is_checked_over_tls() {
    let authority = Authority::new("a root");
    let server = GrpcHealth::start_tls("=SERVING", &authority.server(&["example.com"]));
    let tls = format!("tls: {{ ca: {}, server_name: example.com }}", authority.certificate);
    for (protocol, keys) in [("http", "protocol: http2"), ("http", "protocol: auto")] {
        let keys = format!("{tls}\n{keys}");
        let narrows = Setup::checked(protocol, &[&server], "grpc: true, start: checked", &keys).start();
        let seen = narrows.until_checked(&server, 3);
        assert_eq!(
            (&seen["state"], &seen["health"]["failed_total"]),
            (&"up".into(), &0.into()),
            "{keys}: {seen:#}"
        );
    }
}

#[test]
fn something_else_than_the_protocol_is_a_failure() {
    let server = Nginx::start("");
    for (health, reason) in [
        ("postgresql: true", "not an answer of PostgreSQL"),
        ("redis: true", "not an answer of Redis"),
        ("ldap: true", "not an answer of LDAP"),
        ("grpc: true", "the connection broke"),
        ("tcp: { send: \"PING\\r\\n\", expect: PONG }", "the answer does not have what is expected"),
    ] {
        let narrows = Setup::checked("tcp", &[&server], &format!("{health}, start: checked"), "").start();
        narrows.until_endpoint(&server, "down", &format!("1 check failed: {reason}"));
    }
}
