//! A new process takes over from the old one while traffic flows.

use narrows_conformance::backend::ok;
use narrows_conformance::{Backend, Connection, DatagramClient, DatagramServer, Folder, Narrows, until};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

const TAKEN: &str = "this one finishes what runs";

fn to(backend: &Backend, further: &str) -> String {
    format!(
        "settings: {{ drain: 20s }}\nlisteners:\n  web: {{ bind: \"127.0.0.1:0\", upstream: app }}\n{further}upstreams:\n  app: {{ endpoints: [{}] }}\n",
        backend.address()
    )
}

fn get(connection: &mut Connection) -> String {
    connection.exchange("GET / HTTP/1.1\r\nHost: a\r\n\r\n").text()
}

/// The processes that run this configuration.
fn processes(narrows: &Narrows) -> Vec<u32> {
    let folder = narrows.folder.path().display().to_string();
    let all = std::fs::read_dir("/proc").expect("Linux has /proc");
    let numbers = all.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    let is_ours = |pid: &u32| {
        std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| {
            let line = String::from_utf8_lossy(&line).into_owned();
            line.contains(&folder) && line.contains("run\0")
        })
    };
    numbers.filter(is_ours).collect()
}

/// Ends what took over, whatever becomes of the test.
struct Successors<'a>(&'a Narrows);

impl Drop for Successors<'_> {
    fn drop(&mut self) {
        for pid in processes(self.0).into_iter().filter(|pid| *pid != self.0.pid()) {
            let _ = Command::new("kill").args(["-KILL", &pid.to_string()]).status();
        }
    }
}

#[test]
fn no_request_fails_and_flows_go_on_while_a_new_process_takes_over() {
    let (server, echo) = (Backend::respond(|_| ok("ok")), Backend::echo());
    let further = "  flow: { bind: \"127.0.0.1:0\", protocol: tcp, upstream: echo }\n";
    let yaml = to(&server, further) + &format!("  echo: {{ endpoints: [{}] }}\n", echo.address());
    let mut narrows = Narrows::start(&yaml);
    let mut flow = narrows.connect("flow");
    flow.send("before");
    flow.read_until(b"before");
    let address = narrows.address("web").to_owned();
    let is_over = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let (address, is_over) = (address.clone(), Arc::clone(&is_over));
            thread::spawn(move || {
                let mut requests = 0;
                while !is_over.load(Ordering::SeqCst) {
                    let request = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
                    assert_eq!(Connection::connect(&address).exchange(request).text(), "ok");
                    requests += 1;
                }
                requests
            })
        })
        .collect();
    let first = narrows.pid();
    narrows.signal("USR2");
    let _successors = Successors(&narrows);
    until("the old one drains", || narrows.output().contains(TAKEN));
    let second = processes(&narrows).into_iter().find(|pid| *pid != first).expect("there is a new process");
    // The old one serves its flow still; everything new is the new one's.
    for number in 0..20 {
        flow.send(format!("after {number}"));
        flow.read_until(format!("after {number}").as_bytes());
        assert_eq!(get(&mut narrows.web()), "ok");
    }
    is_over.store(true, Ordering::SeqCst);
    let requests: u32 = clients.into_iter().map(|client| client.join().expect("no request failed")).sum();
    assert!(requests > 20, "{requests}");
    drop(flow);
    until("the old one is gone", || {
        !processes(&narrows).contains(&first) || {
            std::fs::read_to_string(format!("/proc/{first}/stat")).is_ok_and(|stat| stat.contains(") Z "))
        }
    });
    assert!(processes(&narrows).contains(&second));
    assert_eq!(get(&mut narrows.web()), "ok");
    drop(_successors);
    let _ = narrows.wait_for_exit();
}

#[test]
fn a_new_process_that_cannot_serve_changes_nothing() {
    let server = Backend::respond(|_| ok("ok"));
    let narrows = Narrows::start(&to(&server, ""));
    narrows.folder.write("narrows.yaml", "listeners: { web: { bind: nowhere } }");
    narrows.signal("USR2");
    let _successors = Successors(&narrows);
    until("it is told", || narrows.output().contains("upgrade failed, this process goes on"));
    assert!(!narrows.output().contains(TAKEN), "{}", narrows.output());
    assert_eq!(get(&mut narrows.web()), "ok");
    until("the new one is gone", || processes(&narrows) == [narrows.pid()]);
}

#[test]
fn unix_sockets_and_datagrams_go_over_too() {
    let (server, datagrams) = (Backend::respond(|_| ok("ok")), DatagramServer::named("one"));
    let folder = Folder::new();
    let path = folder.path().join("web.sock");
    let further = format!(
        "  local: {{ bind: \"unix:{}\", upstream: app }}\n  udp: {{ bind: \"127.0.0.1:0\", protocol: udp, upstream: udp }}\n",
        path.display()
    );
    let yaml = to(&server, &further) + &format!("  udp: {{ endpoints: [\"{}\"] }}\n", datagrams.address());
    let narrows = Narrows::start_in(folder, &yaml, &["--workers", "2"]);
    narrows.signal("USR2");
    let _successors = Successors(&narrows);
    until("the old one drains", || narrows.output().contains(TAKEN));
    let first = narrows.pid();
    until("the old one is gone", || {
        std::fs::read_to_string(format!("/proc/{first}/stat")).is_ok_and(|stat| stat.contains(") Z "))
    });
    assert_eq!(get(&mut narrows.connect("local")), "ok");
    let client = DatagramClient::new(narrows.address("udp"));
    assert_eq!(client.exchange("?"), b"one ?");
}

#[test]
fn the_process_file_tells_who_serves() {
    let server = Backend::respond(|_| ok("ok"));
    let folder = Folder::new();
    let path = folder.path().join("narrows.pid");
    let yaml = to(&server, "").replace("drain: 20s", &format!("drain: 20s, pid_file: {}", path.display()));
    let narrows = Narrows::start_in(folder, &yaml, &["--workers", "1"]);
    let told = || std::fs::read_to_string(&path).ok().and_then(|text| text.trim().parse::<u32>().ok());
    assert_eq!(told(), Some(narrows.pid()));
    narrows.signal("USR2");
    let _successors = Successors(&narrows);
    until("another one serves", || told().is_some_and(|pid| pid != narrows.pid()));
    assert_eq!(get(&mut narrows.web()), "ok");
}

#[test]
fn a_manager_is_told_that_it_serves_reloads_and_stops() {
    let server = Backend::respond(|_| ok("ok"));
    let folder = Folder::new();
    let path = folder.path().join("notify.sock");
    let manager = std::os::unix::net::UnixDatagram::bind(&path).unwrap();
    manager.set_read_timeout(Some(narrows_conformance::DEADLINE)).unwrap();
    let mut command = Command::new(narrows_conformance::narrows::binary());
    command.args(["run", "--workers", "1"]).env("NOTIFY_SOCKET", &path);
    let narrows = Narrows::start_with(command, folder, &to(&server, ""));
    let next = || {
        let mut buffer = [0; 4096];
        let length = manager.recv(&mut buffer).expect("the manager is told");
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    };
    let until_told = |word: &str| while !next().contains(word) {};
    until_told("READY=1");
    narrows.signal("HUP");
    until_told("RELOADING=1");
    until_told("READY=1");
    narrows.signal("TERM");
    until_told("STOPPING=1");
}
