//! Endpoints that come and go while the proxy runs: names, services and files, with a real DNS server.

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use narrows_conformance::backend::ok;
use narrows_conformance::narrows::binary;
use narrows_conformance::servers::free_port;
use narrows_conformance::servers::knot::Knot;
use narrows_conformance::{Backend, DatagramClient, DatagramServer, End, Folder, Narrows, Setup, until};

/// A backend on `127.0.1.LAST` that answers each request with `LAST`.
fn backend(last: u8, port: u16) -> Backend {
    Backend::respond_at(&format!("127.0.1.{last}:{port}"), move |_| ok(&last.to_string()))
}

/// A resolver that asks only this server, and does not wait long for it.
fn asking(knot: &Knot) -> String {
    format!("resolver: {{ servers: [\"{knot}\"], timeout: 500ms, retry: 1s }}")
}

/// `web` in front of `app`, whose endpoints are written as given.
fn web(endpoints: &str, keys: &str) -> Setup {
    Setup::new()
        .listener("web", "upstream: app")
        .upstream_keys("app", &format!("endpoints: [{endpoints}]\n{keys}"))
}

/// `web` in front of `app`, whose endpoints are in the file `list`.
fn from_file(list: &[&Backend]) -> Setup {
    let keys = "endpoint_file: list.yaml";
    Setup::new().listener("web", "upstream: app").upstream_keys("app", keys).file("list.yaml", &yaml(list))
}

fn yaml(list: &[&Backend]) -> String {
    if list.is_empty() {
        "[]".to_owned()
    } else {
        list.iter().map(|one| format!("- {}\n", one.address())).collect()
    }
}

/// Replaces a file in one step, as careful programs do.
fn replace(narrows: &Narrows, name: &str, text: &str) {
    let new = narrows.folder.write("new", text);
    std::fs::rename(new, narrows.folder.join(name)).expect("a file can be renamed");
}

/// Who answers how many of so many requests.
#[track_caller]
fn spread(narrows: &Narrows, requests: usize) -> BTreeMap<String, usize> {
    let mut web = narrows.web();
    let mut spread = BTreeMap::new();
    for _ in 0..requests {
        let answer = web.exchange("GET / HTTP/1.1\r\nHost: example.com\r\n\r\n");
        assert_eq!(answer.status(), 200, "{}", answer.text());
        *spread.entry(answer.text()).or_default() += 1;
    }
    spread
}

/// Whether exactly these answer now.
fn answering(narrows: &Narrows, expected: &[&str]) -> bool {
    let answer = narrows.get("/", &[]);
    answer.status() == 200
        && spread(narrows, 4 * expected.len()).keys().map(String::as_str).eq(expected.iter().copied())
}

fn said(narrows: &Narrows, part: &str) -> bool {
    narrows.output().contains(part)
}

#[test]
fn addresses_of_a_name_get_traffic_while_dns_has_them() {
    let port = free_port();
    let _backends = [1, 2, 3].map(|last| backend(last, port));
    let knot = Knot::short_lived("app A 127.0.1.1");
    let narrows = web(&format!("\"app.example.com:{port}\""), &asking(&knot)).start();
    assert!(answering(&narrows, &["1"]));
    knot.change("set app 1 A 127.0.1.2\nset app 1 A 127.0.1.3");
    until("all three answer", || answering(&narrows, &["1", "2", "3"]));
    knot.change("unset app A 127.0.1.1");
    until("the first one is out", || answering(&narrows, &["2", "3"]));
    until("it is said", || said(&narrows, "upstream app: app.example.com has changed: "));
}

#[test]
fn the_last_answer_stays_while_the_server_is_silent_and_when_it_is_gone() {
    let port = free_port();
    let _backends = [1, 2].map(|last| backend(last, port));
    let knot = Knot::short_lived("app A 127.0.1.1");
    let narrows = web(&format!("\"app.example.com:{port}\""), &asking(&knot)).start();
    assert!(answering(&narrows, &["1"]));
    knot.pause();
    until("the silence is noticed", || {
        said(&narrows, "no answer in time; its last endpoints stay: 127.0.1.1")
    });
    assert!(answering(&narrows, &["1"]));
    knot.resume();
    knot.change("unset app A\nset app 1 A 127.0.1.2");
    until("the new answer counts", || answering(&narrows, &["2"]));
    // A name that is no more is no reason to have no endpoint either.
    knot.change("unset app");
    until("it is noticed", || said(&narrows, "there is no such name; its last endpoints stay: 127.0.1.2"));
    assert!(answering(&narrows, &["2"]));
    drop(knot);
    until("it is noticed", || said(&narrows, "connection refused; its last endpoints stay: 127.0.1.2"));
    assert!(answering(&narrows, &["2"]));
}

#[test]
fn a_name_that_comes_later_does_not_stop_the_start_and_is_named_until_then() {
    let port = free_port();
    let _backend = backend(1, port);
    let knot = Knot::short_lived("");
    let narrows = web(&format!("\"app.example.com:{port}\""), &asking(&knot)).start();
    narrows.get("/", &[]).assert_proxy_error(503, "destination_unavailable");
    let line =
        "upstream app: cannot look up app.example.com: there is no such name; until then it has no endpoint";
    until("it is said", || said(&narrows, line));
    knot.change("set app 1 A 127.0.1.1");
    until("it answers", || narrows.get("/", &[]).status() == 200);
    assert!(answering(&narrows, &["1"]));
}

#[test]
fn a_silent_server_is_replaced_by_the_next_one() {
    let port = free_port();
    let _backend = backend(1, port);
    let knot = Knot::short_lived("app A 127.0.1.1");
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").expect("a port is free");
    let silent = silent.local_addr().map(|address| (silent, address)).expect("it has an address");
    let keys = format!("resolver: {{ servers: [\"{}\", \"{knot}\"], timeout: 300ms }}", silent.1);
    let narrows = web(&format!("\"app.example.com:{port}\""), &keys).start();
    until("it answers", || narrows.get("/", &[]).status() == 200);
}

#[test]
fn a_ttl_longer_than_the_maximum_is_cut() {
    let port = free_port();
    let _backends = [1, 2].map(|last| backend(last, port));
    let knot = Knot::short_lived("app 86400 A 127.0.1.1");
    let keys = format!("resolver: {{ servers: [\"{knot}\"], maximum_ttl: 1s }}");
    let narrows = web(&format!("\"app.example.com:{port}\""), &keys).start();
    assert!(answering(&narrows, &["1"]));
    knot.change("unset app A\nset app 86400 A 127.0.1.2");
    until("the new answer counts", || answering(&narrows, &["2"]));
}

#[test]
fn a_service_says_ports_weights_and_priorities() {
    let backends = [1, 2, 3].map(|last| backend(last, free_port()));
    let port = |index: usize| backends[index].address().rsplit(':').next().expect("it has a port").to_owned();
    let record = |priority: u8, weight: u8, index: usize| {
        format!("SRV {priority} {weight} {} host{}.example.com.", port(index), index + 1)
    };
    let zone = format!(
        "host1 A 127.0.1.1\nhost2 A 127.0.1.2\nhost3 A 127.0.1.3\n_http._tcp {}\n_http._tcp {}\n_http._tcp {}",
        record(10, 30, 0),
        record(10, 10, 1),
        record(20, 5, 2)
    );
    let knot = Knot::short_lived(&zone);
    let narrows = web("{ service: _http._tcp.example.com }", &asking(&knot)).start();
    until("it is found", || narrows.get("/", &[]).status() == 200);
    let expected = BTreeMap::from([("1".to_owned(), 30), ("2".to_owned(), 10)]);
    assert_eq!(spread(&narrows, 40), expected);
    knot.change(&format!(
        "unset _http._tcp 1 {}\nunset _http._tcp 1 {}",
        record(10, 30, 0),
        record(10, 10, 1)
    ));
    until("the next priority answers", || answering(&narrows, &["3"]));
    knot.change("unset _http._tcp SRV\nset _http._tcp 1 SRV 0 0 0 .");
    until("the service is not there", || narrows.get("/", &[]).status() == 503);
    until("it is said", || said(&narrows, "the service says that it is not there"));
}

#[test]
fn localhost_is_known_without_asking() {
    let backend = Backend::saying("here");
    let port = backend.address().rsplit(':').next().expect("it has a port").to_owned();
    let narrows = web(&format!("\"localhost:{port}\""), "").start();
    assert_eq!(narrows.get("/", &[]).text(), "here");
}

#[test]
fn a_name_of_the_systems_list_of_hosts_is_found_and_looked_at_again() {
    let port = free_port();
    let _backends = [1, 2].map(|last| backend(last, port));
    let folder = Folder::new();
    let hosts = folder.write("hosts", "127.0.1.1 app.lan\n");
    // A list of hosts of its own, in a name space of its own.
    let mut command = Command::new("unshare");
    let script = format!("mount --bind {hosts} /etc/hosts && exec \"$0\" \"$@\"");
    command.args(["--map-root-user", "--mount", "sh", "-c", &script]).arg(binary()).args([
        "run",
        "--workers",
        "1",
    ]);
    let setup = web(&format!("\"app.lan:{port}\""), "");
    let narrows = Narrows::start_with(command, Folder::new(), &setup.yaml());
    assert!(answering(&narrows, &["1"]));
    folder.write("hosts", "127.0.1.2 app.lan # moved\n");
    until("the other one answers", || answering(&narrows, &["2"]));
}

#[test]
fn a_file_edited_under_load_costs_no_request() {
    let backends = [1, 2, 3].map(|last| backend(last, free_port()));
    let narrows = Arc::new(from_file(&[&backends[0]]).workers(2).start());
    let (is_over, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let (narrows, is_over, done) = (Arc::clone(&narrows), Arc::clone(&is_over), Arc::clone(&done));
            thread::spawn(move || {
                let mut web = narrows.web();
                while !is_over.load(Ordering::Relaxed) {
                    // What must not be sent twice must not be lost either.
                    let request = "POST / HTTP/1.1\r\nHost: example.com\r\nContent-Length: 2\r\n\r\nhi";
                    let answer = web.exchange(request);
                    assert_eq!(answer.status(), 200, "{}", answer.text());
                    done.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    for turn in 0..6 {
        let (one, other) = (&backends[turn % 3], &backends[(turn + 1) % 3]);
        replace(&narrows, "list.yaml", &yaml(&[one, other]));
        let expected = [turn % 3 + 1, (turn + 1) % 3 + 1].map(|last| last.to_string());
        let mut expected: Vec<&str> = expected.iter().map(String::as_str).collect();
        expected.sort_unstable();
        until("the new list counts", || answering(&narrows, &expected));
    }
    let before = done.load(Ordering::Relaxed);
    until("requests go on", || done.load(Ordering::Relaxed) > before + 100);
    is_over.store(true, Ordering::Relaxed);
    for client in clients {
        client.join().expect("no request fails");
    }
}

#[test]
fn a_wrong_file_keeps_the_last_list_and_says_where_it_is_wrong() {
    let backends = [1, 2].map(|last| backend(last, free_port()));
    let narrows = from_file(&[&backends[0]]).start();
    assert!(answering(&narrows, &["1"]));
    replace(&narrows, "list.yaml", &format!("- {}\n- address: nowhere\n", backends[1].address()));
    until("it is said", || said(&narrows, "list.yaml:2:") && said(&narrows, "the last list stays"));
    assert!(answering(&narrows, &["1"]));
    replace(&narrows, "list.yaml", &format!("[{{ \"address\": \"{}\" }}]", backends[1].address()));
    until("JSON is read as well", || answering(&narrows, &["2"]));
    std::fs::remove_file(narrows.folder.join("list.yaml")).expect("the file can be removed");
    until("it is said", || said(&narrows, "there is no such file; the last list stays"));
    assert!(answering(&narrows, &["2"]));
}

#[test]
fn a_file_that_is_not_there_yet_does_not_stop_the_start() {
    let backend = backend(1, free_port());
    let narrows = Setup::new()
        .listener("web", "upstream: app")
        .upstream_keys("app", "endpoint_file: later.yaml")
        .start();
    narrows.get("/", &[]).assert_proxy_error(503, "destination_unavailable");
    until("it is said", || said(&narrows, "later.yaml: there is no such file; it gives no endpoint"));
    replace(&narrows, "later.yaml", &yaml(&[&backend]));
    until("it answers", || narrows.get("/", &[]).status() == 200);
}

#[test]
fn names_in_a_file_are_looked_up() {
    let port = free_port();
    let _backends = [1, 2].map(|last| backend(last, port));
    let knot = Knot::short_lived("app A 127.0.1.1");
    let keys = format!("endpoint_file: list.yaml\n{}", asking(&knot));
    let list = format!("- app.example.com:{port}\n");
    let setup = Setup::new().listener("web", "upstream: app").upstream_keys("app", &keys);
    let narrows = setup.file("list.yaml", &list).start();
    assert!(answering(&narrows, &["1"]));
    knot.change("set app 1 A 127.0.1.2");
    until("both answer", || answering(&narrows, &["1", "2"]));
}

#[test]
fn a_download_a_flow_and_a_session_outlive_the_removal_of_their_endpoint() {
    let (go, waiting) = mpsc::channel::<()>();
    let waiting = std::sync::Mutex::new(waiting);
    let old = Backend::script(move |mut connection, _| {
        let Some(request) = connection.next_request() else { return };
        if request.target() == "/chat" {
            connection.send(
                "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
            );
            while let Some(bytes) = connection.some_bytes() {
                connection.send(bytes);
            }
        } else if request.target() == "/" {
            connection.send(ok("old"));
        } else {
            connection.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello");
            let _ = waiting.lock().expect("no poison").recv();
            connection.send("world");
        }
    });
    let echo = Backend::echo();
    let datagrams = DatagramServer::named("old");
    let new = Backend::saying("new");
    let new_datagrams = DatagramServer::named("new");
    let narrows = from_file(&[&old])
        .listener("tcp", "protocol: tcp\nupstream: flows")
        .upstream_keys("flows", "endpoint_file: flows.yaml")
        .file("flows.yaml", &yaml(&[&echo]))
        .listener("udp", "protocol: udp\nupstream: sessions")
        .upstream_keys("sessions", "endpoint_file: sessions.yaml")
        .file("sessions.yaml", &format!("- {datagrams}\n"))
        .start();
    let mut download = narrows.web();
    download.send("GET /file HTTP/1.1\r\nHost: example.com\r\n\r\n");
    assert_eq!(download.response_head().status(), 200);
    let mut chat = narrows.web();
    chat.send("GET /chat HTTP/1.1\r\nHost: example.com\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n");
    assert_eq!(chat.response_head().status(), 101);
    let mut flow = narrows.connect("tcp");
    flow.send("one");
    assert_eq!(flow.read_exactly(3), b"one");
    let session = DatagramClient::new(narrows.address("udp"));
    assert_eq!(session.exchange("one"), b"old one");

    replace(&narrows, "list.yaml", &yaml(&[&new]));
    replace(&narrows, "flows.yaml", &yaml(&[&new]));
    replace(&narrows, "sessions.yaml", &format!("- {new_datagrams}\n"));
    until("requests go elsewhere", || narrows.get("/", &[]).text() == "new");
    until("flows go elsewhere", || {
        let mut other = narrows.connect("tcp");
        other.send("GET / HTTP/1.1\r\nHost: example.com\r\n\r\n");
        other.some_bytes().is_some_and(|bytes| bytes.starts_with(b"HTTP/1.1 200"))
    });
    until("sessions go elsewhere", || {
        DatagramClient::new(narrows.address("udp")).exchange("two") == b"new two"
    });

    flow.send("two");
    assert_eq!(flow.read_exactly(3), b"two");
    assert_eq!(session.exchange("three"), b"old three");
    chat.send("still here");
    assert_eq!(chat.read_exactly(10), b"still here");
    go.send(()).expect("the backend waits");
    assert_eq!(download.read_exactly(10), b"helloworld");
}

#[test]
fn idle_connections_to_an_endpoint_that_left_are_closed() {
    let (left, ended) = mpsc::channel();
    let left = std::sync::Mutex::new(left);
    let old = Backend::script(move |mut connection, _| {
        connection.request();
        connection.send(ok("old"));
        let end = connection.expect_end();
        let _ = left.lock().expect("no poison").send(matches!(end, End::Closed));
    });
    let new = Backend::saying("new");
    let narrows = from_file(&[&old]).start();
    assert_eq!(narrows.get("/", &[]).text(), "old");
    replace(&narrows, "list.yaml", &yaml(&[&new]));
    assert!(ended.recv_timeout(Duration::from_secs(30)).expect("the connection ends"), "it ends cleanly");
}
