//! Where the proxy listens, and what happens when it runs out of descriptors.

use std::process::Command;

use narrows_conformance::narrows::binary;
use narrows_conformance::{Backend, Connection, Folder, Narrows, Setup, program, until};

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

#[test]
fn a_port_without_an_address_is_dual_stack() {
    let backend = Backend::saying("hello");
    let narrows = Setup::web(&backend, "bind: \":0\"").start();
    let port = narrows.port("web");
    for address in [format!("127.0.0.1:{port}"), format!("[::1]:{port}")] {
        assert_eq!(Connection::connect(&address).exchange(GET).text(), "hello", "{address}");
    }
    let seen = backend
        .requests()
        .iter()
        .map(|request| request.header("x-forwarded-for").map(str::to_owned))
        .collect::<Vec<_>>();
    assert_eq!(seen, [Some("127.0.0.1".to_owned()), Some("::1".to_owned())], "no mapped addresses");
}

#[test]
fn addresses_of_both_families_can_be_bound() {
    let backend = Backend::saying("hello");
    let narrows = Setup::web(&backend, "bind: [\"127.0.0.1:0\", \"[::1]:0\"]").start();
    assert_eq!(narrows.addresses("web").len(), 2);
    for address in narrows.addresses("web") {
        assert_eq!(Connection::connect(address).exchange(GET).text(), "hello", "{address}");
    }
    let v6 = narrows.addresses("web").into_iter().find(|address| address.starts_with("[::1]")).unwrap();
    let v4 = v6.replace("[::1]", "127.0.0.1");
    let elsewhere = narrows.addresses("web").contains(&v4.as_str());
    assert!(elsewhere || Connection::try_connect(&v4).is_err(), "[::1] is not dual stack");
}

#[test]
fn unix_sockets_work_on_both_sides() {
    let folder = Folder::new();
    let (front, back) = (format!("unix:{}", folder.join("front")), format!("unix:{}", folder.join("back")));
    let backend = Backend::respond_at(&back, |_| narrows_conformance::backend::ok("by path"));
    let narrows = Setup::web(&back, &format!("bind: \"{front}\"")).start();
    assert_eq!(narrows.address("web"), front);
    assert_eq!(narrows.web().exchange(GET).text(), "by path");
    drop(backend);
}

#[test]
fn a_unix_socket_left_by_a_killed_proxy_is_replaced() {
    let folder = Folder::new();
    let front = format!("unix:{}", folder.join("front"));
    let backend = Backend::saying("hello");
    let setup = Setup::web(&backend, &format!("bind: \"{front}\""));
    drop(setup.start());
    let narrows = setup.start();
    assert_eq!(narrows.web().exchange(GET).text(), "hello");
}

#[test]
fn a_unix_socket_serves_layer_four_too() {
    let folder = Folder::new();
    let (front, back) = (format!("unix:{}", folder.join("front")), format!("unix:{}", folder.join("back")));
    let _backend = Backend::script_at(&back, |mut connection, _| connection.send("hello"));
    let narrows = Setup::tcp(&back, &format!("bind: \"{front}\"")).start();
    assert_eq!(narrows.connect("tcp").read_to_end(), b"hello");
}

#[test]
fn port_zero_is_one_port_for_all_workers() {
    let backend = Backend::saying("hello");
    let narrows = Setup::web(&backend, "").workers(4).start();
    assert_eq!(narrows.addresses("web").len(), 1, "one address, one line");
    let mut clients = (0..64).map(|_| narrows.web()).collect::<Vec<_>>();
    for client in &mut clients {
        assert_eq!(client.exchange(GET).text(), "hello");
    }
}

#[test]
fn a_port_in_use_ends_the_start_with_the_reason() {
    let taken = Backend::saying("hello");
    let folder = Folder::new();
    let path = folder.write(
        "narrows.yaml",
        format!("listeners:\n  free: {{ bind: \"127.0.0.1:0\", upstream: app }}\n  web: {{ bind: \"{taken}\", upstream: app }}\nupstreams:\n  app: {{ endpoints: [\"{taken}\"] }}\n"),
    );
    let output = program::run(Command::new(binary()).args(["run", &path]));
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains(taken.address()) && text.to_lowercase().contains("in use"), "{text}");
    assert!(!text.contains("listening on"), "nothing is half started: {text}");
}

#[test]
fn running_out_of_descriptors_is_survived() {
    let backend = Backend::saying("hello");
    let narrows = Setup::web(&backend, "").start_with_open_files(40);
    let mut good = narrows.web();
    assert_eq!(good.exchange(GET).text(), "hello");
    let mut crowd = Vec::new();
    for _ in 0..100 {
        let mut client = narrows.web();
        let _ = client.try_send(GET);
        crowd.push(client);
    }
    for _ in 0..20 {
        assert_eq!(good.exchange(GET).status(), 200, "established connections are not starved");
    }
    drop(crowd);
    until("new connections are served again", || {
        let mut client = narrows.web();
        client.try_send(GET).is_ok() && client.anything_within(std::time::Duration::from_secs(2))
    });
    assert_eq!(narrows.web().exchange(GET).text(), "hello");
}

#[test]
fn a_crowd_of_new_connections_does_not_starve_an_established_one() {
    let backend = Backend::saying("hello");
    let narrows = Setup::web(&backend, "").start();
    let mut good = narrows.web();
    let address = narrows.address("web").to_owned();
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let stopped = std::sync::Arc::clone(&stop);
    let crowd = std::thread::spawn(move || {
        while !stopped.load(std::sync::atomic::Ordering::Relaxed) {
            let _ = Connection::try_connect(&address);
        }
    });
    for _ in 0..200 {
        assert_eq!(good.exchange(GET).text(), "hello");
    }
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    crowd.join().unwrap();
}

#[test]
fn several_files_are_one_configuration() {
    let backend = Backend::saying("hello");
    let folder = Folder::new();
    let first = folder.write("first.yaml", format!("upstreams:\n  app: {{ endpoints: [\"{backend}\"] }}\n"));
    let second = "listeners:\n  web: { bind: \"127.0.0.1:0\", upstream: app }\n";
    let narrows = Narrows::start_in(folder, second, &["--workers", "1", &first]);
    assert_eq!(narrows.web().exchange(GET).text(), "hello");
}
