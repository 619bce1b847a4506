//! Balancing by the client's address, for HTTP and TCP (UDP stands in udp.rs).

use std::collections::BTreeSet;
use std::process::Command;

use narrows_conformance::servers::nginx::Nginx;
use narrows_conformance::{Backend, Connection, Folder, Narrows, Setup, output_of, tool};

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

/// The server that each key leads to.
fn owners(address: &str, keys: usize) -> Vec<String> {
    let ask = |key: usize| {
        let head = format!("GET /?k=user-{key} HTTP/1.1\r\nHost: app\r\nConnection: close\r\n\r\n");
        let answer = Connection::connect(address).exchange(head);
        assert_eq!(answer.status(), 200, "user-{key}");
        answer.text().to_owned()
    };
    (0..keys).map(ask).collect()
}

#[test]
fn ketama_leads_each_key_where_nginx_leads_it_also_when_a_server_is_gone() {
    const KEYS: usize = 200;
    let mut servers =
        vec![(named("a"), 1), (named("b"), 2), (named("c"), 5), (named("d"), 1), (named("e"), 3)];
    let written: String =
        servers.iter().map(|(server, weight)| format!("server {server} weight={weight};")).collect();
    let nginx = Nginx::balancing(&format!("hash $arg_k consistent; {written}"));
    let endpoints: String = servers
        .iter()
        .map(|(server, weight)| format!("\n      - {{ address: \"{server}\", weight: {weight} }}"))
        .collect();
    let yaml = format!(
        "listeners:\n  web:\n    bind: 127.0.0.1:0\n    upstream: app\n\
         upstreams:\n  app:\n    balance: ketama\n    hash_key: '${{request.params[\"k\"]}}'\n    endpoints:{endpoints}\n"
    );
    let narrows = Narrows::start_in(Folder::new(), &yaml, &["--workers", "2"]);
    let theirs = owners(&nginx.address, KEYS);
    assert_eq!(owners(narrows.address("web"), KEYS), theirs);
    assert_eq!(theirs.iter().collect::<BTreeSet<_>>().len(), servers.len(), "every server has keys");
    drop(servers.remove(2));
    let theirs = owners(&nginx.address, KEYS);
    assert_eq!(owners(narrows.address("web"), KEYS), theirs, "their keys go to the next points");
    assert!(!theirs.contains(&"c".to_owned()));
}
