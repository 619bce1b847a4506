//! The process itself: what it is started with, as whom it runs, and what it says when it cannot start.

use narrows_conformance::backend::ok;
use narrows_conformance::narrows::{binary, command_line};
use narrows_conformance::servers::python::python;
use narrows_conformance::{
    Backend, Connection, DatagramClient, DatagramServer, Folder, Narrows, output_of, until,
};
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

/// Whether the tests run as root, who alone can become somebody else.
fn is_root() -> bool {
    output_of(Command::new("id").arg("-u")).trim() == "0"
}

/// A line of what the system tells of a process.
fn status(pid: u32, name: &str) -> String {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("the process runs");
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    line.unwrap_or_else(|| panic!("no {name}")).split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Opens a socket of each kind as a service manager does, writes the ports into the configuration (TCP_PORT, UDP_PORT), and becomes the proxy.
const MANAGER: &str = "
import fcntl, os, socket, sys
sockets = [socket.socket(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM), socket.socket(socket.AF_UNIX)]
for one in sockets[:2]: one.bind(('127.0.0.1', 0))
path = sys.argv[-1] + '.sock'
sockets[2].bind(path)
for one in (sockets[0], sockets[2]): one.listen()
text = open(sys.argv[-1]).read()
for word, value in (('TCP_PORT', sockets[0]), ('UDP_PORT', sockets[1])):
    text = text.replace(word, str(value.getsockname()[1]))
open(sys.argv[-1], 'w').write(text.replace('UNIX_PATH', path))
spare = [os.dup(one.fileno()) for one in sockets]
high = [fcntl.fcntl(one, fcntl.F_DUPFD, 100) for one in spare]
for number, one in enumerate(high): os.dup2(one, 3 + number, inheritable=True)
for one in high: os.close(one)
environment = dict(os.environ, LISTEN_PID=str(os.getpid()), LISTEN_FDS='3', LISTEN_FDNAMES='web:dns:local')
os.execve(sys.argv[1], sys.argv[1:], environment)
";

#[test]
fn sockets_of_a_service_manager_are_used_and_outlive_the_process() {
    let (server, datagrams) = (Backend::respond(|_| ok("ok")), DatagramServer::named("one"));
    let yaml = format!(
        "settings: {{ workers: 2 }}\nlisteners:\n  web: {{ bind: \"127.0.0.1:TCP_PORT\", upstream: app }}\n  \
         local: {{ bind: \"unix:UNIX_PATH\", upstream: app }}\n  \
         dns: {{ bind: \"127.0.0.1:UDP_PORT\", protocol: udp, upstream: dns }}\n\
         upstreams:\n  app: {{ endpoints: [{}] }}\n  dns: {{ endpoints: [\"{}\"] }}\n",
        server.address(),
        datagrams.address()
    );
    let mut command = Command::new(python());
    command.args(["-c", MANAGER]).arg(binary()).arg("run");
    let narrows = Narrows::start_with(command, Folder::new(), &yaml);
    let ask = || {
        for _ in 0..8 {
            assert_eq!(narrows.web().exchange(GET).text(), "ok");
            assert_eq!(narrows.connect("local").exchange(GET).text(), "ok");
            assert_eq!(DatagramClient::new(narrows.address("dns")).exchange("?"), b"one ?");
        }
    };
    ask();
    let environment = std::fs::read(format!("/proc/{}/environ", narrows.pid())).expect("it runs");
    assert!(String::from_utf8_lossy(&environment).contains("LISTEN_FDS=3"), "it was given sockets");
    let pid = narrows.upgrade(narrows.pid());
    until("the old one is gone", || narrows.processes() == [pid]);
    ask();
    narrows.signal_to(pid, "TERM");
    until("it ends", || narrows.processes().is_empty());
    let path = narrows.address("local").trim_start_matches("unix:");
    assert!(Path::new(path).exists(), "the file of the socket is the manager's");
}

#[test]
fn sockets_that_were_meant_for_another_process_are_left_alone() {
    let server = Backend::respond(|_| ok("ok"));
    let mut command = Command::new(binary());
    command.args(["run", "--workers", "1"]).env("LISTEN_PID", "1").env("LISTEN_FDS", "7");
    let yaml = format!(
        "listeners:\n  web: {{ bind: \"127.0.0.1:0\", upstream: app }}\nupstreams:\n  app: {{ endpoints: [{}] }}\n",
        server.address()
    );
    let narrows = Narrows::start_with(command, Folder::new(), &yaml);
    assert_eq!(narrows.web().exchange(GET).text(), "ok");
}

#[test]
fn privileges_are_dropped_for_good_and_an_upgrade_still_works() {
    let server = Backend::respond(|_| ok("ok"));
    let folder = Folder::new();
    output_of(Command::new("chmod").arg("1777").arg(folder.path()));
    let yaml = format!(
        "settings: {{ user: nobody, workers: 2, pid_file: narrows.pid }}\nlisteners:\n  web: {{ bind: \"127.0.0.1:0\", upstream: app }}\n\
         upstreams:\n  app: {{ endpoints: [{}] }}\n",
        server.address()
    );
    if !is_root() {
        let path = folder.write("narrows.yaml", yaml);
        let output = command_line(&["run", &path]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        return assert!(said.contains("only root can become `nobody`"), "{said}");
    }
    let narrows = Narrows::start_in(folder, &yaml, &[]);
    let nobody = output_of(Command::new("id").args(["-u", "nobody"])).trim().to_owned();
    let group = output_of(Command::new("id").args(["-g", "nobody"])).trim().to_owned();
    let is_nobody = |pid: u32| {
        // Each thread: a worker that had stayed root would be no better.
        for thread in std::fs::read_dir(format!("/proc/{pid}/task")).expect("the process runs") {
            let thread = thread.unwrap().file_name().to_string_lossy().parse().unwrap();
            assert_eq!(status(thread, "Uid:"), [nobody.as_str(); 4].join(" "));
            assert_eq!(status(thread, "Gid:"), [group.as_str(); 4].join(" "));
            assert_eq!(status(thread, "Groups:"), group);
            assert_eq!(status(thread, "CapPrm:"), "0000000000000000");
            assert_eq!(status(thread, "CapEff:"), "0000000000000000");
        }
        assert_eq!(status(pid, "NoNewPrivs:"), "1");
    };
    is_nobody(narrows.pid());
    // One more worker needs one more socket beside those that root has bound.
    narrows.folder.write("narrows.yaml", yaml.replace("workers: 2", "workers: 3"));
    let pid = narrows.upgrade(narrows.pid());
    until("the old one is gone", || narrows.processes() == [pid]);
    is_nobody(pid);
    assert!(!narrows.output().contains("no further sockets"), "{}", narrows.output());
    for _ in 0..16 {
        assert_eq!(narrows.web().exchange(GET).text(), "ok");
    }
    assert_eq!(std::fs::read_to_string(narrows.folder.join("narrows.pid")).unwrap().trim(), pid.to_string());
    narrows.signal_to(pid, "TERM");
    until("the file goes with the process", || !Path::new(&narrows.folder.join("narrows.pid")).exists());
}

#[test]
fn who_listens_on_a_low_port_may_bind_another_one_after_an_upgrade() {
    if !is_root() {
        return assert!(TcpListener::bind("127.83.0.1:83").is_err(), "low ports are for root");
    }
    let server = Backend::respond(|_| ok("ok"));
    // Addresses of this test alone, because a low port cannot be left to the system.
    let host = format!("127.83.{}.{}", std::process::id() >> 8 & 0xff, std::process::id() & 0xff);
    let with = |ports: &str| {
        format!(
            "settings: {{ user: nobody }}\nlisteners:\n  web: {{ bind: [{ports}], upstream: app }}\n\
             upstreams:\n  app: {{ endpoints: [{}] }}\n",
            server.address()
        )
    };
    let first = format!("\"{host}:83\"");
    let narrows = Narrows::start_in(Folder::new(), &with(&first), &["--workers", "2"]);
    // CAP_NET_BIND_SERVICE is bit 10.
    assert_eq!(status(narrows.pid(), "CapEff:"), "0000000000000400");
    assert_eq!(status(narrows.pid(), "CapAmb:"), "0000000000000000");
    narrows.folder.write("narrows.yaml", with(&format!("{first}, \"{host}:84\"")));
    let pid = narrows.upgrade(narrows.pid());
    assert_eq!(status(pid, "CapEff:"), "0000000000000400");
    assert_eq!(status(pid, "CapAmb:"), "0000000000000000", "no program of a health check gets it");
    for port in [83, 84] {
        assert_eq!(Connection::connect(&format!("{host}:{port}")).exchange(GET).text(), "ok");
    }
    narrows.folder.write("narrows.yaml", with(&format!("{first}, \"{host}:85\"")));
    narrows.signal_to(pid, "HUP");
    until("a reload binds one too", || Connection::try_connect(&format!("{host}:85")).is_ok());
}

#[test]
fn files_that_cannot_be_read_later_are_warned_of() {
    if !is_root() {
        return;
    }
    let server = Backend::respond(|_| ok("ok"));
    let folder = Folder::new();
    let yaml = format!(
        "settings: {{ user: nobody }}\nlisteners:\n  web: {{ bind: \"127.0.0.1:0\", upstream: app }}\n\
         upstreams:\n  app: {{ endpoints: [{}] }}\n",
        server.address()
    );
    let path = folder.write("narrows.yaml", &yaml);
    output_of(Command::new("chmod").args(["600", &path]));
    let narrows = Narrows::start_in(folder, &yaml, &["--workers", "1"]);
    let said = narrows.output();
    assert!(said.contains("warning[N0703]: a reload or an upgrade will fail, as `nobody`"), "{said}");
    assert_eq!(narrows.web().exchange(GET).text(), "ok");
}

#[test]
fn all_that_is_wrong_with_accounts_and_files_is_told_at_once_and_nothing_is_bound() {
    let folder = Folder::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let yaml = format!(
        "settings: {{ user: no-such-user, pid_file: no/such/folder/narrows.pid }}\nlisteners:\n  \
         web: {{ bind: \"{}\", routes: [{{ respond: {{ status: 204 }} }}], tls: {{ certificates: {{ cert: missing.pem, key: missing.key }} }} }}\n",
        taken.local_addr().unwrap()
    );
    let output = command_line(&["run", &folder.write("narrows.yaml", yaml)]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    for part in
        ["error[N0701]", "`no-such-user`", "error[N0702]", "process number", "error[N0414]", "missing.pem"]
    {
        assert!(said.contains(part), "{part} is missing in\n{said}");
    }
    assert!(!said.contains("cannot listen"), "no socket was tried:\n{said}");
}

#[test]
fn all_addresses_that_cannot_be_had_are_told_at_once() {
    let folder = Folder::new();
    let (one, two) = (TcpListener::bind("127.0.0.1:0").unwrap(), TcpListener::bind("127.0.0.1:0").unwrap());
    let (one, two) =
        (one.local_addr().map(|address| (address, one)), two.local_addr().map(|address| (address, two)));
    let (one, two) = (one.unwrap(), two.unwrap());
    let yaml = format!(
        "listeners:\n  a: {{ bind: \"{}\", routes: [{{ respond: {{ status: 204 }} }}] }}\n  \
         b: {{ bind: [\"127.0.0.1:0\", \"{}\"], routes: [{{ respond: {{ status: 204 }} }}] }}\n",
        one.0, two.0
    );
    let output = command_line(&["run", &folder.write("narrows.yaml", yaml)]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    for address in [one.0, two.0] {
        assert!(said.contains(&format!("cannot listen on {address}")), "{said}");
    }
    assert!(!said.contains("narrows: ready"), "{said}");
}

/// Starts the proxy as the first process of a container: of a process namespace with a /proc of its own.
fn contained(folder: Folder, yaml: &str) -> Narrows {
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--pid", "--fork", "--mount-proc"]);
    command.arg(binary()).args(["run", "--workers", "1"]);
    Narrows::start_with(command, folder, yaml)
}

/// The child processes of a process, with their command lines.
fn children(pid: u32) -> Vec<(u32, String)> {
    let listed = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    let numbers = listed.split_whitespace().filter_map(|number| number.parse::<u32>().ok());
    let line = |pid: u32| std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    numbers.map(|pid| (pid, line(pid))).collect()
}

#[test]
fn the_first_process_of_a_container_reaps_orphans_and_outlives_an_upgrade() {
    let server = Backend::respond(|_| ok("ok"));
    let folder = Folder::new();
    // A check that leaves orphans behind, as scripts do.
    let script = folder.write("check.sh", "(true & exec true) & (setsid true &)\nexit 0\n");
    let yaml = format!(
        "listeners:\n  web: {{ bind: \"127.0.0.1:0\", upstream: app }}\nupstreams:\n  \
         app: {{ endpoints: [{}], health: {{ command: [/bin/sh, {script}], interval: 100ms }} }}\n",
        server.address()
    );
    let mut narrows = contained(folder, &yaml);
    assert_eq!(narrows.web().exchange(GET).text(), "ok");
    let first = children(narrows.pid()).first().expect("unshare has a child").0;
    let proxy = || children(first).into_iter().find(|(_, stat)| stat.contains("(narrows)"));
    let old = proxy().expect("the proxy is the child of the first process").0;
    narrows.signal_to(first, "USR2");
    until("a new process takes over", || narrows.output().contains("this one finishes what runs"));
    until("it is the child of the first process", || proxy().is_some_and(|(pid, _)| pid != old));
    let new = proxy().expect("it is there").0;
    assert_eq!(narrows.web().exchange(GET).text(), "ok");
    // Whatever orphans there are at a moment, they do not stay.
    for _ in 0..20 {
        let dead: Vec<u32> = children(first)
            .into_iter()
            .filter(|(_, stat)| stat.contains(") Z "))
            .map(|(pid, _)| pid)
            .collect();
        until("orphans are reaped", || children(first).iter().all(|(pid, _)| !dead.contains(pid)));
    }
    assert_eq!(
        narrows.web().exchange(GET).text(),
        "ok",
        "checks get the status that their programs ended with"
    );
    assert_eq!(proxy().map(|(pid, _)| pid), Some(new));
    narrows.signal_to(first, "TERM");
    assert!(narrows.wait_for_exit().success(), "{}", narrows.output());
}

#[test]
fn the_first_process_of_a_container_ends_as_the_proxy_does() {
    let folder = Folder::new();
    let path = folder.write("narrows.yaml", "listeners: { web: { bind: nowhere } }");
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--pid", "--fork", "--mount-proc"]);
    let output = narrows_conformance::program::run(command.arg(binary()).args(["run", &path]));
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));
}
