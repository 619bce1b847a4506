//! A new process takes over from the old one while traffic flows.

use narrows_conformance::backend::ok;
use narrows_conformance::{
    Backend, Connection, DatagramClient, DatagramServer, Folder, Narrows, output_of, until,
};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

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

#[test]
fn no_request_fails_and_flows_go_on_while_a_new_process_takes_over() {
    let (server, echo) = (Backend::respond(|_| ok("ok")), Backend::echo());
    let further = "  flow: { bind: \"127.0.0.1:0\", protocol: tcp, upstream: echo }\n";
    let yaml = to(&server, further) + &format!("  echo: {{ endpoints: [{}] }}\n", echo.address());
    let narrows = Narrows::start(&yaml);
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
    until("the old one drains", || narrows.output().contains(TAKEN));
    let second = narrows.processes().into_iter().find(|pid| *pid != first).expect("there is a new process");
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
    until("the old one is gone", || !narrows.processes().contains(&first));
    assert!(narrows.processes().contains(&second));
    assert_eq!(get(&mut narrows.web()), "ok");
}

#[test]
fn a_new_process_that_cannot_serve_changes_nothing() {
    let server = Backend::respond(|_| ok("ok"));
    let narrows = Narrows::start(&to(&server, ""));
    narrows.folder.write("narrows.yaml", "listeners: { web: { bind: nowhere } }");
    narrows.signal("USR2");
    until("it is told", || narrows.output().contains("upgrade failed, this process goes on"));
    assert!(!narrows.output().contains(TAKEN), "{}", narrows.output());
    assert_eq!(get(&mut narrows.web()), "ok");
    until("the new one is gone", || narrows.processes() == [narrows.pid()]);
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
    until("the old one drains", || narrows.output().contains(TAKEN));
    let first = narrows.pid();
    until("the old one is gone", || !narrows.processes().contains(&first));
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
    until("another one serves", || told().is_some_and(|pid| pid != narrows.pid()));
    assert_eq!(get(&mut narrows.web()), "ok");
}

#[test]
fn a_service_manager_is_told_how_things_go_and_who_serves() {
    let server = Backend::respond(|_| ok("ok"));
    let folder = Folder::new();
    let path = folder.path().join("notify.sock");
    let manager = std::os::unix::net::UnixDatagram::bind(&path).unwrap();
    manager.set_read_timeout(Some(narrows_conformance::DEADLINE)).unwrap();
    let mut command = Command::new(narrows_conformance::narrows::binary());
    command.args(["run", "--workers", "1"]).env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "1500000");
    let narrows = Narrows::start_with(command, folder, &to(&server, ""));
    let next = || {
        let mut buffer = [0; 4096];
        let length = manager.recv(&mut buffer).expect("the manager is told");
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    };
    let until_told = |word: &str| while !next().contains(word) {};
    until_told(&format!("READY=1\nMAINPID={}\n", narrows.pid()));
    until_told("WATCHDOG=1");
    narrows.signal("HUP");
    until_told("RELOADING=1\nMONOTONIC_USEC=");
    until_told("READY=1");
    let pid = narrows.upgrade(narrows.pid());
    until_told(&format!("MAINPID={pid}"));
    until("the old one is gone", || narrows.processes() == [pid]);
    // Who took over is watched as well, though the manager has not started it.
    while next() != "WATCHDOG=1" {}
    narrows.signal_to(pid, "TERM");
    until_told("STOPPING=1");
}

#[test]
fn a_worker_that_stands_still_is_not_called_alive() {
    let server = Backend::respond(|_| ok("ok"));
    let folder = Folder::new();
    let path = folder.path().join("notify.sock");
    let manager = std::os::unix::net::UnixDatagram::bind(&path).unwrap();
    let mut command = Command::new(narrows_conformance::narrows::binary());
    command.args(["run", "--workers", "1"]).env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "1500000");
    let narrows = Narrows::start_with(command, folder, &to(&server, ""));
    let hears = |limit: Duration| {
        manager.set_read_timeout(Some(limit)).unwrap();
        let mut buffer = [0; 4096];
        manager.recv(&mut buffer).is_ok_and(|length| buffer[..length].starts_with(b"WATCHDOG=1"))
    };
    until("it is alive", || hears(narrows_conformance::DEADLINE));
    let tasks = std::fs::read_dir(format!("/proc/{}/task", narrows.pid())).unwrap();
    let is_worker = |task: &std::path::PathBuf| {
        std::fs::read_to_string(task.join("comm")).is_ok_and(|name| name.starts_with("worker-"))
    };
    let worker = tasks.map(|task| task.unwrap().path()).find(is_worker).expect("there is one");
    let thread = worker.file_name().unwrap().to_str().unwrap().to_owned();
    // A thread that is traced stands still, alone.
    let tracer = "
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
thread = int(sys.argv[1])
assert libc.ptrace(16, thread, 0, 0) == 0, os.strerror(ctypes.get_errno())
os.waitpid(thread, 0x40000000)
print('still', flush=True)
sys.stdin.read()
";
    let mut tracing = Command::new(narrows_conformance::servers::python::python())
        .args(["-c", tracer, &thread])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("Python runs");
    let mut said = String::new();
    BufReader::new(tracing.stdout.take().unwrap()).read_line(&mut said).unwrap();
    assert_eq!(said, "still\n");
    // While it moved, it was told every 500 ms.
    until("nobody calls it alive", || !hears(Duration::from_millis(1500)));
    drop(tracing.stdin.take());
    tracing.wait().unwrap();
    until("it is alive again", || hears(narrows_conformance::DEADLINE));
}

#[test]
fn a_second_upgrade_works_while_the_first_process_still_drains() {
    let (server, echo) = (Backend::respond(|_| ok("ok")), Backend::echo());
    let further = "  flow: { bind: \"127.0.0.1:0\", protocol: tcp, upstream: echo }\n";
    let yaml = to(&server, further) + &format!("  echo: {{ endpoints: [{}] }}\n", echo.address());
    let narrows = Narrows::start(&yaml);
    let first = narrows.pid();
    let mut pid = first;
    let mut flows = Vec::new();
    for number in 0..3 {
        let mut flow = narrows.connect("flow");
        flow.send(format!("flow {number}"));
        flow.read_until(format!("flow {number}").as_bytes());
        flows.push(flow);
        pid = narrows.upgrade(pid);
        assert_eq!(get(&mut narrows.web()), "ok");
    }
    assert_eq!(narrows.processes().len(), 4, "each of the three old ones has a flow");
    for flow in &mut flows {
        flow.send("still here");
        flow.read_until(b"still here");
    }
    narrows.signal("USR2");
    until("who drains does not hand over again", || narrows.output().contains("this process ends already"));
    drop(flows);
    until("all old ones are gone", || narrows.processes() == [pid]);
}

#[test]
fn a_connection_that_is_kept_alive_is_served_once_more_and_told_to_close() {
    let server = Backend::respond(|_| ok("ok"));
    let narrows = Narrows::start(&to(&server, ""));
    let (mut used, mut fresh) = (narrows.web(), narrows.web());
    assert_eq!(get(&mut used), "ok");
    // The old process has accepted it before this one.
    assert_eq!(get(&mut narrows.web()), "ok");
    narrows.upgrade(narrows.pid());
    for connection in [&mut used, &mut fresh] {
        let answer = connection.exchange("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(answer.text(), "ok");
        assert!(answer.lists("connection", "close"), "{}", answer.head);
        connection.expect_end();
    }
    let first = narrows.pid();
    until("nothing holds the old one", || !narrows.processes().contains(&first));
}

/// How many workers a process has.
fn workers(pid: u32) -> usize {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).expect("the process runs");
    let names = threads.filter_map(|thread| std::fs::read_to_string(thread.ok()?.path().join("comm")).ok());
    names.filter(|name| name.starts_with("worker-")).count()
}

#[test]
fn the_new_process_may_have_more_or_fewer_workers() {
    let (server, datagrams) = (Backend::respond(|_| ok("ok")), DatagramServer::named("one"));
    let further = "  udp: { bind: \"127.0.0.1:0\", protocol: udp, upstream: udp }\n";
    let yaml = to(&server, further) + &format!("  udp: {{ endpoints: [\"{}\"] }}\n", datagrams.address());
    let with = |workers: usize| yaml.replace("drain: 20s", &format!("drain: 20s, workers: {workers}"));
    let narrows = Narrows::start_in(Folder::new(), &with(1), &[]);
    let mut pid = narrows.pid();
    for count in [4, 2, 1, 3] {
        narrows.folder.write("narrows.yaml", with(count));
        pid = narrows.upgrade(pid);
        until("the old one is gone", || narrows.processes() == [pid]);
        assert_eq!(workers(pid), count);
        // Connections and datagrams are spread over all sockets; each of them has somebody who takes them.
        for _ in 0..32 {
            assert_eq!(get(&mut narrows.web()), "ok");
            assert_eq!(DatagramClient::new(narrows.address("udp")).exchange("?"), b"one ?");
        }
    }
}

#[test]
fn a_listener_that_is_gone_and_one_that_is_new_change_hands_with_the_configuration() {
    let server = Backend::respond(|_| ok("ok"));
    let folder = Folder::new();
    let (old, new) = (folder.join("old.sock"), folder.join("new.sock"));
    let with = |path: &str| to(&server, &format!("  local: {{ bind: \"unix:{path}\", upstream: app }}\n"));
    let narrows = Narrows::start_in(folder, &with(&old), &["--workers", "2"]);
    narrows.folder.write("narrows.yaml", with(&new));
    let pid = narrows.upgrade(narrows.pid());
    assert_eq!(get(&mut Connection::connect(&format!("unix:{new}"))), "ok");
    until("the file of the one that is gone is removed", || !Path::new(&old).exists());
    until("the old process is gone", || narrows.processes() == [pid]);
    assert_eq!(get(&mut Connection::connect(&format!("unix:{new}"))), "ok");
    narrows.signal_to(pid, "TERM");
    until("the file goes with its owner", || !Path::new(&new).exists());
}

#[test]
fn the_addresses_of_the_metrics_go_over_too() {
    let server = Backend::respond(|_| ok("ok"));
    let yaml = to(&server, "") + "metrics: { bind: \"127.0.0.1:0\" }\n";
    let narrows = Narrows::start(&yaml);
    let line = |output: &str| {
        let found =
            output.lines().find_map(|line| line.strip_prefix("narrows: metrics on ").map(str::to_owned));
        found.expect("it says where")
    };
    let address = line(&narrows.output());
    let pid = narrows.upgrade(narrows.pid());
    until("the old one is gone", || narrows.processes() == [pid]);
    let answer = Connection::connect(&address).exchange("GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(answer.status(), 200);
}

#[test]
fn a_program_that_was_replaced_is_started_from_its_path_and_one_that_hangs_is_ended() {
    let server = Backend::respond(|_| ok("ok"));
    let folder = Folder::new();
    let (program, beside) = (folder.join("narrows"), folder.join("beside"));
    let install = |from: &dyn Fn()| {
        from();
        std::fs::rename(&beside, &program).expect("a file can be moved");
    };
    let good = || {
        let copied = std::fs::copy(narrows_conformance::narrows::binary(), &beside);
        assert!(copied.expect("the program can be copied") > 0);
    };
    let script = |text: &str| {
        std::fs::write(&beside, text).expect("a file can be written");
        output_of(Command::new("chmod").args(["+x", &beside]));
    };
    install(&good);
    let mut command = Command::new(&program);
    command.args(["run", "--workers", "1"]);
    let yaml = to(&server, "").replace("drain: 20s", "drain: 20s, upgrade_timeout: 300ms");
    let narrows = Narrows::start_with(command, folder, &yaml);
    let goes_on = |why: &str| {
        narrows.signal("USR2");
        until(why, || narrows.output().contains(why));
        assert_eq!(get(&mut narrows.web()), "ok");
        until("nothing is left of it", || narrows.processes() == [narrows.pid()]);
    };
    install(&|| script("#!/bin/sh\nexec tail -f /dev/null \"$4\"\n"));
    goes_on("the new process was not ready within 300ms");
    install(&|| script("#!/bin/sh\nexit 3\n"));
    goes_on("the new process ended before it was ready (exit status: 3)");
    std::fs::remove_file(&program).expect("the file is there");
    goes_on("cannot start");
    // The file that this process runs from is gone by now; another one is at its path.
    narrows.folder.write("narrows.yaml", yaml.replace("300ms", "20s"));
    install(&good);
    narrows.signal("HUP");
    until("it has reloaded", || narrows.output().contains("reloaded; configuration"));
    let pid = narrows.upgrade(narrows.pid());
    until("the old one is gone", || narrows.processes() == [pid]);
    assert_eq!(get(&mut narrows.web()), "ok");
}

#[test]
fn programs_of_health_checks_get_no_socket_and_no_word_of_the_upgrade() {
    let server = Backend::respond(|_| ok("ok"));
    let folder = Folder::new();
    let told = folder.join("told");
    let script = format!("(ls -l /proc/$$/fd; env) > {told}.new && mv {told}.new {told}");
    let script = folder.write("check.sh", script);
    let check = format!("health: {{ command: [/bin/sh, {script}], interval: 100ms }} }}");
    let yaml = to(&server, "").replacen("] }", &format!("], {check}"), 1);
    let narrows = Narrows::start_in(folder, &yaml, &["--workers", "2"]);
    let pid = narrows.upgrade(narrows.pid());
    until("the old one is gone", || narrows.processes() == [pid]);
    let _ = std::fs::remove_file(&told);
    until("a check of the new process runs", || Path::new(&told).exists());
    let told = std::fs::read_to_string(&told).unwrap();
    assert!(told.contains("/dev/null") && told.contains("NARROWS_ENDPOINT="), "{told}");
    for word in ["socket:", "memfd", "NARROWS_HANDOVER"] {
        assert!(!told.contains(word), "{word} in {told}");
    }
}

#[test]
fn operators_ask_for_an_upgrade_and_hear_what_became_of_it() {
    let server = Backend::respond(|_| ok("ok"));
    let folder = Folder::new();
    let admin = format!("unix:{}", folder.join("admin.sock"));
    let yaml = format!("admin: \"{admin}\"\n") + &to(&server, "");
    let narrows = Narrows::start_in(folder, &yaml, &["--workers", "1"]);
    let command = |words: &[&str]| {
        let mut command = Command::new(narrows_conformance::narrows::binary());
        let output = command.args(words).args(["--admin", &admin]).output().expect("it runs");
        let said = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&said).into_owned())
    };
    for _ in 0..2 {
        let before = narrows.processes();
        let (is_done, said) = command(&["upgrade"]);
        assert!(is_done, "{said}");
        until("the old one is gone", || narrows.processes().len() == 1 && narrows.processes() != before);
        assert!(command(&["status"]).0, "the new process answers at the same place");
    }
    let present = narrows.processes();
    narrows.folder.write("narrows.yaml", "listeners: { web: { bind: nowhere } }");
    let (is_done, said) = command(&["upgrade"]);
    assert!(!is_done && said.contains("this process goes on") && said.contains("nowhere"), "{said}");
    assert_eq!(narrows.processes(), present);
    assert!(command(&["status"]).0, "the admin API is still there");
    assert_eq!(get(&mut narrows.web()), "ok");
}
