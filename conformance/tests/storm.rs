//! Many reloads and hand-overs while everything flows: no request fails, no flow ends.

use narrows_conformance::backend::ok;
use narrows_conformance::{Backend, Connection, Narrows, until};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};

/// Reloads of the short form; `cargo xtask storm` has more of them.
const RELOADS: usize = 40;
/// A new process after so many reloads.
const HAND_OVER_EVERY: usize = 20;

/// Configuration number `number`: endpoints, routes, limits and listeners come and go, `web` and `flow` stay.
fn yaml(number: usize, servers: &[Backend], echo: &Backend) -> String {
    let mut listeners = String::new();
    if number % 3 == 1 {
        listeners += "  other: { bind: \"127.0.0.1:0\", upstream: app }\n";
    }
    let more =
        if number.is_multiple_of(2) { "      - { path: /never/*, respond: { status: 404 } }\n" } else { "" };
    let endpoints: Vec<_> = (0..2).map(|place| servers[(number + place) % servers.len()].address()).collect();
    let balance = ["round-robin", "least-request", "maglev"][number / 5 % 3];
    format!(
        "settings: {{ drain: 1h }}\nlisteners:\n  web:\n    bind: \"127.0.0.1:0\"\n    routes:\n{more}      - {{ path: /*, upstream: app }}\n  flow: {{ bind: \"127.0.0.1:0\", protocol: tcp, upstream: echo }}\n{listeners}upstreams:\n  app: {{ endpoints: [{}], balance: {balance} }}\n  echo: {{ endpoints: [{}] }}\n",
        endpoints.join(", "),
        echo.address(),
    )
}

/// Clients that ask one after the other until they are told to end.
struct Clients {
    is_over: Arc<AtomicBool>,
    asked: Arc<AtomicU64>,
    threads: Vec<JoinHandle<()>>,
}

impl Clients {
    fn start(address: &str) -> Clients {
        let (is_over, asked) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let client = |number: usize| {
            let (is_over, asked, address) = (Arc::clone(&is_over), Arc::clone(&asked), address.to_owned());
            thread::spawn(move || {
                let mut connection = Connection::connect(&address);
                while !is_over.load(Ordering::SeqCst) {
                    let answer = connection.exchange("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
                    assert_eq!(answer.text(), "ok", "client {number}");
                    asked.fetch_add(1, Ordering::SeqCst);
                    if answer.header("connection").is_some_and(|value| value == "close") {
                        connection = Connection::connect(&address);
                    }
                }
            })
        };
        let threads = (0..6).map(client).collect();
        Clients { is_over, asked, threads }
    }

    fn end(self) -> u64 {
        self.is_over.store(true, Ordering::SeqCst);
        self.threads.into_iter().for_each(|thread| thread.join().expect("no request failed"));
        self.asked.load(Ordering::SeqCst)
    }
}

fn memory_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or("0");
    line.split_whitespace().next().and_then(|kib| kib.parse().ok()).unwrap_or(0)
}

#[test]
fn nothing_is_lost_in_a_storm_of_reloads_and_hand_overs() {
    let reloads = std::env::var("NARROWS_STORM").ok().and_then(|text| text.parse().ok()).unwrap_or(RELOADS);
    let servers: Vec<Backend> = (0..3).map(|_| Backend::respond(|_| ok("ok"))).collect();
    let echo = Backend::echo();
    let narrows = Narrows::start(&yaml(0, &servers, &echo));
    let mut flows: Vec<Connection> = (0..10).map(|_| narrows.connect("flow")).collect();
    let clients = Clients::start(narrows.address("web"));
    let mut serving = narrows.pid();
    let mut after_the_first = 0;
    let served = || narrows.output().matches("narrows: reloaded; ").count();
    for number in 1..=reloads {
        narrows.folder.write("narrows.yaml", yaml(number, &servers, &echo));
        let before = served();
        narrows.signal_to(serving, "HUP");
        until("the new configuration is served", || served() > before);
        for flow in &mut flows {
            flow.send(format!("number {number}"));
            flow.read_until(format!("number {number}").as_bytes());
        }
        if number == HAND_OVER_EVERY / 2 {
            after_the_first = memory_kib(serving);
        }
        if number.is_multiple_of(HAND_OVER_EVERY) {
            serving = narrows.upgrade(serving);
            // Flows that the old process has stay there; further ones are the new one's.
            flows.push(narrows.connect("flow"));
        }
    }
    assert!(!narrows.output().contains("not reloaded"), "{}", narrows.output());
    let asked = clients.end();
    assert!(asked > reloads as u64, "{asked} requests");
    let now = memory_kib(serving);
    assert!(now < after_the_first + 32_768, "{after_the_first} KiB grew to {now} KiB");
}
