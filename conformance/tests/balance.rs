//! Balancing by the client's address, for HTTP and TCP (UDP stands in udp.rs).

use std::collections::BTreeSet;
use std::process::Command;

use narrows_conformance::{Backend, Setup, output_of, tool};

/// A server that answers each request with its name.
fn named(name: &'static str) -> Backend {
    Backend::script(move |mut connection, _| {
        connection.request();
        connection.send(format!("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: close\r\n\r\n{name}"));
    })
}

#[test]
fn the_same_client_address_gets_the_same_server_over_http_and_tcp() {
    let servers = [named("a"), named("b"), named("c")];
    for protocol in ["http", "tcp"] {
        for balance in ["hash", "consistent-hash"] {
            let narrows = Setup::new()
                .upstream_with(
                    "app",
                    &[&servers[0], &servers[1], &servers[2]],
                    &format!("balance: {balance}"),
                )
                .listener("web", &format!("protocol: {protocol}\nupstream: app"))
                .workers(2)
                .start();
            let ask = |host: u8| {
                let mut curl = Command::new(tool("curl"));
                curl.args(["-sS", "--max-time", "20", "--interface", &format!("127.0.0.{host}")]);
                output_of(curl.arg(format!("http://{}/", narrows.address("web"))))
            };
            let mut seen = BTreeSet::new();
            for host in 2..42 {
                let first = ask(host);
                assert_eq!(ask(host), first, "{protocol} {balance}: 127.0.0.{host} moved");
                seen.insert(first);
            }
            assert_eq!(seen.len(), 3, "{protocol} {balance}: each server has clients: {seen:?}");
        }
    }
}
