//! Strangers, floods and dying backends: the proxy lives, and what it says is typed.

use std::io::Read as _;
use std::process::Command;

use narrows_conformance::program::Program;
use narrows_conformance::servers::nginx::Nginx;
use narrows_conformance::{Backend, Connection, Narrows, Setup, output_of, tool, until};

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

/// Repeatable noise (xorshift).
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| (self.next() >> 32) as u8).collect()
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() >> 33).unwrap() % limit
    }
}

#[test]
fn noise_on_every_port_harms_nobody() {
    let (backend, sink) =
        (Backend::saying("hello"), Backend::script(|mut connection, _| drop(connection.read_to_end())));
    let narrows = Setup::web(&backend, "timeouts: { head: 2s }")
        .upstream("sink", &[&sink])
        .listener("tcp", "protocol: tcp\nupstream: sink")
        .listener("tls", "protocol: tcp\nupstream: sink\nroutes:\n  - { sni: a.example.com, upstream: sink }")
        .start();
    let mut noise = Noise(0x9E37_79B9_7F4A_7C15);
    for round in 0..300 {
        let listener = ["web", "tcp", "tls"][round % 3];
        let mut client = narrows.connect(listener);
        let size = 1 + noise.below(3000);
        let _ = client.try_send(noise.bytes(size));
        if round % 2 == 0 {
            client.reset();
        } else {
            client.finish_sending();
            client.read_to_end();
        }
    }
    assert_eq!(backend.requests().len(), 0);
    assert_eq!(narrows.web().exchange(GET).text(), "hello");
}

#[test]
fn what_passes_a_mutated_head_is_well_formed_for_the_backend() {
    let backend = Backend::script(|mut connection, _| {
        if connection.next_request_head().is_some() {
            let _ =
                connection.try_send("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi");
        }
    });
    let narrows = Setup::web(&backend, "timeouts: { head: 500ms }").start();
    let valid = "GET /a/b?c=d HTTP/1.1\r\nHost: example.com\r\nAccept: text/html;q=0.9\r\nX-A: b\r\nConnection: x-a\r\n\
                 Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    let mut noise = Noise(42);
    for _ in 0..1500 {
        let mut request = valid.as_bytes().to_vec();
        for _ in 0..=noise.below(3) {
            let at = noise.below(request.len());
            let byte = u8::try_from(noise.below(128)).unwrap();
            match noise.below(3) {
                0 => request[at] = byte,
                1 => request.insert(at, byte),
                _ => drop(request.remove(at)),
            }
        }
        let mut client = narrows.web();
        let _ = client.try_send(&request);
        client.finish_sending();
        let answers = client.read_to_end();
        let shown = String::from_utf8_lossy(&answers);
        assert!(answers.is_empty() || shown.starts_with("HTTP/1.1 "), "{shown}");
    }
    let answer = narrows.web().exchange(GET);
    assert_eq!(answer.text(), "hi");
}

#[test]
fn noise_from_a_backend_is_a_typed_error() {
    let seed = std::sync::atomic::AtomicU64::new(1);
    let backend = Backend::script(move |mut connection, _| {
        let mut noise = Noise(seed.fetch_add(1, std::sync::atomic::Ordering::Relaxed) * 0x9E37_79B9);
        if connection.next_request().is_some() {
            let size = 1 + noise.below(2000);
            let _ = connection.try_send([noise.bytes(size), b"\r\n\r\n".to_vec()].concat());
        }
    });
    let narrows = Setup::web(&backend, "").start();
    for _ in 0..100 {
        let answer = narrows.get("/", &[]);
        assert_eq!(answer.status(), 502);
        assert!(
            answer.header("proxy-status").is_some_and(|value| value.contains("error=")),
            "{}",
            answer.head
        );
    }
}

#[test]
fn a_crowd_of_slow_clients_does_not_stop_the_others() {
    let backend = Backend::saying("hello");
    let narrows = Setup::web(&backend, "timeouts: { head: 2s }").start();
    let mut crowd = (0..300).map(|_| narrows.web()).collect::<Vec<_>>();
    for client in &mut crowd {
        client.send("GET / HTTP/1.1\r\nHost: a\r\nX-Slow: ");
    }
    for _ in 0..50 {
        assert_eq!(narrows.web().exchange(GET).text(), "hello");
    }
    for client in &mut crowd {
        let rest = client.read_to_end();
        assert!(rest.is_empty() || rest.starts_with(b"HTTP/1.1 408 "), "{}", String::from_utf8_lossy(&rest));
    }
}

/// Lets wrk count answers that are neither 200 nor an error with a typed cause.
const TYPED: &str = r#"
local threads = {}
function setup(thread) table.insert(threads, thread) end
function init() total, typed, untyped = 0, 0, 0 end
function response(status, headers, body)
  total = total + 1
  if status == 200 then
    if body ~= "nginx says hello" then untyped = untyped + 1 end
    return
  end
  local cause = headers["Proxy-Status"] or headers["proxy-status"]
  if cause and cause:find("error=") then typed = typed + 1 else untyped = untyped + 1 end
end
function done()
  local sums = { total = 0, typed = 0, untyped = 0 }
  for _, thread in ipairs(threads) do
    for name in pairs(sums) do sums[name] = sums[name] + thread:get(name) end
  end
  print(string.format("total=%d typed=%d untyped=%d", sums.total, sums.typed, sums.untyped))
end
"#;

fn wrk(narrows: &Narrows, arguments: &[&str]) -> Command {
    let script = narrows.folder.write("typed.lua", TYPED);
    let mut command = Command::new(tool("wrk"));
    command
        .args(["-t", "2", "-s", &script])
        .args(arguments)
        .arg(format!("http://{}/", narrows.address("web")));
    command
}

/// The number after `name=` in what wrk printed.
fn count(report: &str, name: &str) -> u64 {
    let value = report.split_whitespace().find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
    value.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("{name} is counted: {report}"))
}

#[test]
fn load_on_kept_alive_connections_is_answered_without_an_error() {
    let nginx = [Nginx::start(""), Nginx::start("")];
    let narrows = Setup::web(&nginx[0], "").upstream("app", &[&nginx[0], &nginx[1]]).workers(2).start();
    let report = output_of(&mut wrk(&narrows, &["-c", "64", "-d", "5"]));
    assert_eq!((count(&report, "typed"), count(&report, "untyped")), (0, 0), "{report}");
    assert!(count(&report, "total") > 100 && !report.contains("Socket errors"), "{report}");
}

#[test]
fn load_with_a_connection_per_request_is_answered_without_an_error() {
    let nginx = Nginx::start("");
    let narrows = Setup::web(&nginx, "").workers(2).start();
    let report = output_of(&mut wrk(&narrows, &["-c", "32", "-d", "4", "-H", "Connection: close"]));
    assert_eq!((count(&report, "typed"), count(&report, "untyped")), (0, 0), "{report}");
    assert!(count(&report, "total") > 100, "{report}");
}

#[test]
fn load_while_backends_die_sees_no_error_without_a_cause() {
    let mut nginx = [Nginx::start(""), Nginx::start("")].map(Some);
    let addresses = [0, 1].map(|index: usize| nginx[index].as_ref().unwrap().address.clone());
    let narrows =
        Setup::web(&addresses[0], "").upstream("app", &[&addresses[0], &addresses[1]]).workers(2).start();
    let mut load = Program::start(&mut wrk(&narrows, &["-c", "32", "-d", "8"]));
    let mut round = 0;
    while load.is_running() {
        let index = round % 2;
        nginx[index] = None;
        some_answers(&narrows);
        nginx[index] = Some(Nginx::start_at(&addresses[index], ""));
        some_answers(&narrows);
        round += 1;
    }
    let report = load.output();
    assert_eq!(count(&report, "untyped"), 0, "{report}");
    let (total, typed) = (count(&report, "total"), count(&report, "typed"));
    assert!(
        round > 1 && typed * 100 < total,
        "one backend of two always lives, after {round} deaths: {report}"
    );
}

fn some_answers(narrows: &Narrows) {
    for _ in 0..100 {
        let answer = narrows.get("/", &[]);
        match answer.status() {
            200 => assert_eq!(answer.text(), "nginx says hello"),
            _ => assert!(
                answer.header("proxy-status").is_some_and(|value| value.contains("error=")),
                "{}",
                answer.head
            ),
        }
    }
}

#[test]
fn load_of_idle_connections_costs_little_memory() {
    let backend = Backend::saying("hello");
    let narrows = Setup::web(&backend, "").start();
    let before = narrows.peak_memory_kib();
    let mut clients = (0..1000).map(|_| narrows.web()).collect::<Vec<_>>();
    for client in &mut clients {
        assert_eq!(client.exchange(GET).text(), "hello");
    }
    let each = (narrows.peak_memory_kib() - before) * 1024 / 1000;
    assert!(each < 16 * 1024, "{each} bytes for an idle connection");
}

#[test]
fn load_of_large_answers_arrives_whole() {
    let nginx = Nginx::start("");
    let content = Noise(7).bytes(8 * 1024 * 1024);
    nginx.folder.write("www/large", &content);
    let narrows = Setup::web(&nginx, "").start();
    let download = narrows.folder.join("download");
    let url = format!("http://{}/large", narrows.address("web"));
    for version in ["--http1.1", "--http1.0"] {
        output_of(Command::new(tool("curl")).args(["-sS", "--fail", version, "-o", &download, &url]));
        let mut received = Vec::new();
        std::fs::File::open(&download).unwrap().read_to_end(&mut received).unwrap();
        assert!(received == content, "{version}");
    }
}

#[test]
fn many_connections_that_come_and_go_leave_nothing_behind() {
    let backend = Backend::saying("hello");
    let narrows = Setup::web(&backend, "").start();
    let descriptors = || std::fs::read_dir(format!("/proc/{}/fd", narrows.pid())).unwrap().count();
    assert_eq!(narrows.web().exchange(GET).text(), "hello");
    let before = descriptors();
    for number in 0..500 {
        let mut client = Connection::connect(narrows.address("web"));
        match number % 3 {
            0 => client.reset(),
            1 => drop(client.try_send("GET / HTTP/1.1\r\nHo")),
            _ => assert_eq!(client.exchange(GET).text(), "hello"),
        }
    }
    until("the descriptors are closed", || descriptors() <= before + 2);
}
