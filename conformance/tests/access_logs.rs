//! Access logs of the real binary: formats, destinations, conditions, and destinations that fail.

use narrows_conformance::narrows::binary;
use narrows_conformance::servers::certificates::Authority;
use narrows_conformance::servers::free_port;
use narrows_conformance::servers::haproxy::Haproxy;
use narrows_conformance::servers::nginx::Nginx;
use narrows_conformance::{Backend, Connection, Folder, Narrows, Setup, until};
use serde_json::Value;
use std::io::Read;
use std::net::{TcpListener, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

/// The lines of a file, once it has at least `count`.
#[track_caller]
fn lines(path: &str, count: usize) -> Vec<String> {
    let read =
        || std::fs::read_to_string(path).unwrap_or_default().lines().map(str::to_owned).collect::<Vec<_>>();
    until(&format!("{path} has {count} lines"), || read().len() >= count);
    read()
}

/// A proxy with one log of this format, in a file.
fn logging(backend: &Backend, format: &str) -> (Narrows, Folder, String) {
    let folder = Folder::new();
    let path = folder.join("access.log");
    let settings = format!("access_log:\n  - to: \"{path}\"\n    format: {format}");
    (Setup::web(backend, "").settings(&settings).start(), folder, path)
}

fn get(line: &str, key: &str) -> String {
    let value: Value = serde_json::from_str(line).expect("JSON");
    match &value[key] {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[test]
fn a_json_line_tells_where_a_request_went_and_how_long_the_parts_took() {
    let backend = Backend::saying("hello");
    let (narrows, _folder, path) = logging(&backend, "json");
    let mut connection = narrows.web();
    let port = connection.local_address().port();
    for _ in 0..2 {
        connection.exchange("GET /a?b=c HTTP/1.1\r\nHost: Example.com\r\nUser-Agent: it\"s\r\n\r\n");
    }
    let lines = lines(&path, 2);
    let first: Value = serde_json::from_str(&lines[0]).expect("JSON");
    for (key, expected) in [
        ("client", "127.0.0.1"),
        ("protocol", "http"),
        ("listener", "web"),
        ("target", "/a?b=c"),
        ("user_agent", "it\"s"),
        ("upstream", "app"),
        ("endpoint", backend.address()),
        ("termination", "--"),
    ] {
        assert_eq!(first[key], expected, "{key}");
    }
    assert_eq!(
        (&first["port"], &first["status"], &first["upstream_status"]),
        (&port.into(), &200.into(), &200.into())
    );
    let number = |line: &str, key| serde_json::from_str::<Value>(line).expect("JSON")[key].as_u64();
    let parts = number(&lines[0], "connect_us").expect("it connected")
        + number(&lines[0], "answer_us").expect("it was answered");
    assert!(parts <= number(&lines[0], "duration_us").expect("it took a while"), "{}", lines[0]);
    assert_eq!(number(&lines[1], "connect_us"), None, "the second one came from the pool");
    assert!(number(&lines[1], "answer_us").is_some());
}

#[test]
fn the_formats_of_haproxy_have_its_fields() {
    let backend = Backend::saying("hello");
    let (narrows, _folder, path) = logging(&backend, "haproxy-http");
    narrows.get("/x\"y", &[]);
    let mut cut = narrows.web();
    cut.send("GET / HTTP/9.9\r\n\r\n");
    cut.read_to_end();
    let lines = lines(&path, 2);
    let (before, request) = lines[0].split_once(" \"").expect("a request line in quotes");
    assert_eq!(request, "GET /x#22y HTTP/1.1\"");
    let fields: Vec<&str> = before.split(' ').collect();
    assert_eq!(fields.len(), 12, "{before}");
    assert!(fields[0].starts_with("127.0.0.1:"));
    let date = fields[1].trim_matches(['[', ']']);
    assert_eq!((date.len(), &date[20..21]), ("06/Nov/1994:08:49:37.123".len(), "."), "{date}");
    assert_eq!(&fields[2..4], ["web", &format!("app/{}", backend.address())]);
    let times: Vec<i64> = fields[4].split('/').map(|time| time.parse().expect("a number")).collect();
    assert!(times.len() == 5 && times.iter().all(|time| *time >= 0), "{times:?}");
    assert_eq!(fields[5], "200");
    assert!(fields[6].parse::<u64>().expect("bytes") > "hello".len() as u64, "the head counts");
    assert_eq!(&fields[7..], ["-", "-", "----", "0/0/0/0/0", "0/0"]);
    assert!(lines[1].contains(" web web/<NOSRV> ") && lines[1].ends_with("\"<BADREQ>\""), "{}", lines[1]);
    assert!(lines[1].contains(" PR-- "), "{}", lines[1]);
}

#[test]
fn a_flow_is_logged_as_haproxy_logs_it() {
    let backend = Backend::echo();
    let folder = Folder::new();
    let path = folder.join("tcp.log");
    let settings = format!("access_log:\n  to: \"{path}\"\n  format: haproxy-tcp");
    let narrows = Setup::tcp(&backend, "").settings(&settings).start();
    let mut flow = narrows.connect("tcp");
    flow.send("hello");
    assert_eq!(flow.read_exactly(5), b"hello");
    drop(flow);
    let line = &lines(&path, 1)[0];
    let fields: Vec<&str> = line.split(' ').collect();
    assert_eq!(fields.len(), 9, "{line}");
    assert_eq!(&fields[2..4], ["tcp", &format!("app/{}", backend.address())]);
    assert_eq!((fields[5], fields[6]), ("5", "--"), "{line}");
}

#[test]
fn a_session_of_datagrams_and_a_flow_have_json_lines_too() {
    let server = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    let address = server.local_addr().expect("an address").to_string();
    std::thread::spawn(move || {
        let mut buffer = [0; 64];
        while let Ok((count, from)) = server.recv_from(&mut buffer) {
            let _ = server.send_to(&buffer[..count], from);
        }
    });
    let folder = Folder::new();
    let path = folder.join("udp.log");
    let settings =
        format!("access_log: {{ to: \"{path}\", format: json, when: 'record.protocol == \"udp\"' }}");
    let narrows = Setup::udp(&address, "sessions: { answers: 1 }").settings(&settings).start();
    let client = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    client.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout");
    client.connect(narrows.address("udp")).expect("an address");
    client.send(b"ping").expect("it leaves");
    assert_eq!(client.recv(&mut [0; 64]).expect("an answer"), 4);
    let line = &lines(&path, 1)[0];
    assert_eq!(get(line, "protocol"), "udp");
    assert_eq!((get(line, "datagrams_received"), get(line, "datagrams_sent")), ("1".into(), "1".into()));
    assert_eq!(get(line, "port"), client.local_addr().expect("an address").port().to_string());
}

#[test]
fn tls_of_the_client_is_told() {
    let backend = Backend::saying("hello");
    let authority = Authority::new("authority");
    let identity = authority.server(&["example.com"]);
    let folder = Folder::new();
    let path = folder.join("tls.log");
    let settings = format!(
        "access_log:\n  to: \"{path}\"\n  format: {{ nginx: '$scheme $ssl_protocol $ssl_cipher $ssl_server_name $https' }}"
    );
    let narrows = Setup::https(&backend, &identity, "").settings(&settings).start();
    let address = narrows.address("web").to_owned();
    let status = std::process::Command::new("curl")
        .args(["-sk", "--tlsv1.3", "--resolve"])
        .arg(format!("example.com:{}:127.0.0.1", address.rsplit(':').next().expect("a port")))
        .arg(format!("https://example.com:{}/", address.rsplit(':').next().expect("a port")))
        .output()
        .expect("curl runs");
    assert_eq!(status.stdout, b"hello");
    let line = &lines(&path, 1)[0];
    assert!(line.starts_with("https TLSv1.3 TLS_") && line.ends_with(" example.com on"), "{line}");
}

#[test]
fn conditions_and_samples_choose_the_lines_of_each_log() {
    let backend = Backend::respond(|request| {
        let status = if request.target().contains("/bad") { "503 Service Unavailable" } else { "200 OK" };
        format!("HTTP/1.1 {status}\r\nX-Kind: special\r\nContent-Length: 0\r\n\r\n").into_bytes()
    });
    let folder = Folder::new();
    let path = |name: &str| folder.join(name);
    let settings = format!(
        "access_log:
  - {{ to: \"{}\", format: json, when: response.status >= 500 }}
  - {{ to: \"{}\", format: {{ template: '${{ request.path }} ${{ response.headers[\"x-kind\"] }} ${{ record.upstream }}' }}, when: 'request.headers[\"x-tell\"] == \"yes\"' }}
  - {{ to: \"{}\", format: common, sample: 10% }}
  - {{ to: \"{}\", format: logfmt }}",
        path("bad"),
        path("told"),
        path("sample"),
        path("all")
    );
    let narrows = Setup::web(&backend, "").settings(&settings).start();
    let mut connection = narrows.web();
    for number in 0..100 {
        let kind = if number % 20 == 0 { "bad" } else { "good" };
        let tell = if number == 50 { "X-Tell: yes\r\n" } else { "" };
        connection.exchange(format!("GET /{kind}/{number} HTTP/1.1\r\nHost: a\r\n{tell}\r\n"));
    }
    assert_eq!(lines(&path("all"), 100).len(), 100);
    let bad = lines(&path("bad"), 5);
    assert!(bad.len() == 5 && bad.iter().all(|line| get(line, "status") == "503"), "{bad:?}");
    assert_eq!(lines(&path("told"), 1), ["/good/50 special app"]);
    let sampled = lines(&path("sample"), 9).len();
    assert!((9..=11).contains(&sampled), "{sampled}");
}

#[test]
fn a_file_is_opened_anew_when_asked_and_put_aside_when_it_is_full() {
    let backend = Backend::saying("hello");
    let folder = Folder::new();
    let (moved, rotated) = (folder.join("moved.log"), folder.join("rotated.log"));
    let settings = format!(
        "access_log:\n  - \"{moved}\"\n  - {{ to: {{ file: \"{rotated}\", rotate: {{ size: 1000, keep: 2 }} }}, format: common }}"
    );
    let narrows = Setup::web(&backend, "").settings(&settings).start();
    narrows.get("/before", &[]);
    assert!(lines(&moved, 1)[0].contains("/before"));
    std::fs::rename(&moved, folder.join("old.log")).expect("it can be moved");
    narrows.signal("USR1");
    until("it says so", || narrows.output().contains("access logs are opened anew"));
    narrows.get("/after", &[]);
    assert!(lines(&moved, 1)[0].contains("/after"));
    assert_eq!(lines(&folder.join("old.log"), 1).len(), 1);
    // Some requests a batch: each is some 90 bytes.
    until("three files are there", || {
        narrows.get("/fill", &[]);
        std::fs::metadata(format!("{rotated}.2")).is_ok()
    });
    for name in [format!("{rotated}.1"), format!("{rotated}.2")] {
        let length = std::fs::metadata(&name).expect("it is there").len();
        assert!((1..=1000).contains(&length), "{name}: {length}");
    }
}

#[test]
fn a_full_disk_costs_lines_and_no_request_and_works_again_when_there_is_room() {
    let backend = Backend::saying("hello");
    let folder = Folder::new();
    let disk = folder.join("disk");
    std::fs::create_dir(&disk).expect("a folder");
    let mounted =
        std::process::Command::new("mount").args(["-t", "tmpfs", "-o", "size=64k", "tmpfs", &disk]).status();
    assert!(mounted.is_ok_and(|status| status.success()), "a small file system can be mounted (as root)");
    let disk = Mounted(disk);
    let path = format!("{}/access.log", disk.0);
    let narrows =
        Setup::web(&backend, "").settings(&format!("access_log: \"{path}\"\nlog_format: json")).start();
    let mut connection = narrows.web();
    let padding = "x".repeat(2000);
    until("the disk is full", || {
        let response = connection.exchange(format!("GET /{padding} HTTP/1.1\r\nHost: a\r\n\r\n"));
        assert_eq!(response.text(), "hello");
        narrows.output().contains("records are lost until it can be written again")
    });
    for _ in 0..50 {
        assert_eq!(connection.exchange("GET / HTTP/1.1\r\nHost: a\r\n\r\n").text(), "hello");
    }
    std::fs::File::options()
        .write(true)
        .open(&path)
        .and_then(|file| file.set_len(0))
        .expect("it can be emptied");
    until("a line is there again", || {
        connection.exchange("GET /again HTTP/1.1\r\nHost: a\r\n\r\n");
        std::fs::read_to_string(&path).unwrap_or_default().contains("/again")
    });
    until("the loss is told", || narrows.output().contains("records were lost"));
    let text = std::fs::read_to_string(&path).expect("the log");
    let torn = text.lines().filter(|line| serde_json::from_str::<Value>(line).is_err()).count();
    assert!(torn <= 1, "at most the line that the disk cut is no record: {text}");
    drop(narrows);
    drop(disk);
}

/// A file system that is unmounted with the test.
struct Mounted(String);

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").args(["-l", &self.0]).status();
    }
}

#[test]
fn a_closed_output_stops_nothing() {
    let backend = Backend::saying("hello");
    let folder = Folder::new();
    let beside = folder.join("beside.log");
    let yaml = Setup::web(&backend, "bind: \"unix:front\"")
        .settings(&format!("access_log: [stdout, \"{beside}\"]"))
        .yaml()
        .replace("unix:front", &format!("unix:{}", folder.join("front")));
    let configuration = folder.write("narrows.yaml", yaml);
    // Standard output is a pipe whose reader is gone, standard error too once it is ready.
    let mut child = std::process::Command::new(binary())
        .args(["run", "--workers", "1", &configuration])
        .env("NARROWS_ADMIN", "off")
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("it starts");
    drop((child.stdout.take(), child.stderr.take()));
    let front = format!("unix:{}", folder.join("front"));
    until("it listens", || Connection::try_connect(&front).is_ok());
    for _ in 0..20 {
        let mut connection = Connection::connect(&front);
        assert_eq!(connection.exchange("GET /x HTTP/1.1\r\nHost: a\r\n\r\n").text(), "hello");
    }
    assert_eq!(lines(&beside, 20).len(), 20);
    assert!(child.try_wait().expect("it can be asked").is_none(), "it lives");
    child.kill().expect("it ends");
    child.wait().expect("it has ended");
}

#[test]
fn a_syslog_server_gets_messages_that_it_can_read_over_udp() {
    let server = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    server.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout");
    let backend = Backend::saying("hello");
    let to = format!("udp://{}", server.local_addr().expect("an address"));
    let settings = format!(
        "access_log: {{ to: {{ syslog: \"{to}\", facility: daemon, severity: notice, app: edge }}, format: json }}"
    );
    let narrows = Setup::web(&backend, "").settings(&settings).start();
    narrows.get("/told", &[]);
    let mut buffer = [0; 4096];
    let count = server.recv(&mut buffer).expect("a message");
    let message = String::from_utf8_lossy(&buffer[..count]).into_owned();
    let fields: Vec<&str> = message.splitn(8, ' ').collect();
    // daemon is 3, notice is 5.
    assert_eq!((fields[0], fields[3]), ("<29>1", "edge"), "{message}");
    assert_eq!((fields[4], fields[5], fields[6]), (narrows.pid().to_string().as_str(), "access", "-"));
    assert!(fields[1].ends_with('Z') && fields[1].len() == "2026-11-25T08:00:00.123456Z".len(), "{message}");
    assert_eq!(get(fields[7], "target"), "/told");
}

/// Reads octet-counted messages until one holds `wanted`.
fn read_until(connection: &mut std::net::TcpStream, wanted: &str) -> usize {
    connection.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout");
    let (mut bytes, mut messages) = (Vec::new(), 0);
    loop {
        while let Some(space) = bytes.iter().position(|byte| *byte == b' ') {
            let count: usize =
                std::str::from_utf8(&bytes[..space]).expect("digits").parse().expect("a count");
            if bytes.len() < space + 1 + count {
                break;
            }
            let message = String::from_utf8(bytes[space + 1..space + 1 + count].to_vec()).expect("text");
            assert!(message.starts_with("<134>1 "), "{message}");
            bytes.drain(..space + 1 + count);
            messages += 1;
            if message.contains(wanted) {
                return messages;
            }
        }
        let mut buffer = [0; 4096];
        let count = connection.read(&mut buffer).expect("messages come");
        assert!(count > 0, "the connection stays");
        bytes.extend_from_slice(&buffer[..count]);
    }
}

#[test]
fn a_syslog_server_that_dies_and_returns_gets_messages_again_and_the_loss_is_told() {
    let server = TcpListener::bind("127.0.0.1:0").expect("a socket");
    let address = server.local_addr().expect("an address");
    let backend = Backend::saying("hello");
    let settings = format!("access_log: {{ to: {{ syslog: \"tcp://{address}\" }}, format: json }}");
    let metrics = format!("127.0.0.1:{}", free_port());
    let yaml = Setup::web(&backend, "").settings(&settings).yaml();
    let narrows = Narrows::start(&format!("metrics: {{ bind: \"{metrics}\" }}\n{yaml}"));
    narrows.get("/first", &[]);
    let (mut connection, _) = server.accept().expect("it connects");
    assert_eq!(read_until(&mut connection, "/first"), 1);
    drop((connection, server));
    until("the loss is noticed", || {
        assert_eq!(narrows.get("/lost", &[]).text(), "hello");
        narrows.output().contains("records are lost until it can be written again")
    });
    let server = TcpListener::bind(address).expect("the address is free again");
    server.set_nonblocking(true).expect("it can be asked");
    let mut returned = None;
    until("it connects again", || {
        narrows.get("/again", &[]);
        returned = server.accept().ok();
        returned.is_some()
    });
    let (mut connection, _) = returned.expect("a connection");
    connection.set_nonblocking(false).expect("it can be waited for");
    read_until(&mut connection, "/again");
    until("the loss is told", || narrows.output().contains("records were lost"));
    let told = Connection::connect(&metrics).exchange("GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n").text();
    let name = format!("narrows_access_log_records_lost_total{{destination=\"tcp://{address}\"}} ");
    let lost = told.lines().find_map(|line| line.strip_prefix(&name)?.parse::<f64>().ok());
    assert!(lost.is_some_and(|lost| lost >= 1.0), "{told}");
}

#[test]
fn a_unix_syslog_socket_that_is_made_anew_gets_messages_again() {
    let folder = Folder::new();
    let path = folder.join("log");
    let backend = Backend::saying("hello");
    let settings = format!("access_log: {{ to: {{ syslog: \"unix:{path}\" }}, format: json }}");
    // It starts while nobody is there.
    let narrows = Setup::web(&backend, "").settings(&settings).start();
    assert_eq!(narrows.get("/nobody", &[]).text(), "hello");
    until("the loss is noticed", || narrows.output().contains("records are lost"));
    for target in ["/one", "/two"] {
        let server = UnixDatagram::bind(&path).expect("a socket");
        server.set_nonblocking(true).expect("it can be asked");
        let mut buffer = [0; 4096];
        until("a message comes", || {
            narrows.get(target, &[]);
            let count = server.recv(&mut buffer).unwrap_or(0);
            String::from_utf8_lossy(&buffer[..count]).contains(target)
        });
        drop(server);
        std::fs::remove_file(&path).expect("it can be removed");
    }
}

#[test]
fn a_reload_keeps_opens_and_closes_logs_and_one_that_cannot_be_opened_changes_nothing() {
    let backend = Backend::saying("hello");
    let folder = Folder::new();
    let (first, second) = (folder.join("first.log"), folder.join("second.log"));
    let setup = |logs: &str| Setup::web(&backend, "").settings(&format!("access_log: {logs}")).yaml();
    let narrows = Narrows::start(&setup(&format!("\"{first}\"")));
    narrows.get("/one", &[]);
    narrows.reload(&setup(&format!("[\"{second}\", {{ to: \"{first}\", format: json }}]")));
    narrows.get("/two", &[]);
    assert!(lines(&second, 1)[0].contains("/two"));
    let both = lines(&first, 2);
    assert!(both[0].starts_with("127.0.0.1 - -") && get(&both[1], "target") == "/two", "{both:?}");
    narrows.reload(&setup("off"));
    narrows.get("/three", &[]);
    assert_eq!((lines(&first, 2).len(), lines(&second, 1).len()), (2, 1));
    let descriptors = || {
        let folder = format!("/proc/{}/fd", narrows.pid());
        let open = std::fs::read_dir(folder).expect("it lives").flatten();
        open.filter_map(|one| std::fs::read_link(one.path()).ok())
            .filter(|target| target.starts_with(folder_of(&first)))
            .count()
    };
    until("the files are closed", || descriptors() == 0);
    narrows.folder.write("narrows.yaml", setup("/nowhere/at/all.log"));
    narrows.signal("HUP");
    until("it is refused", || narrows.output().contains("cannot open the access log /nowhere/at/all.log"));
    assert_eq!(narrows.get("/four", &[]).text(), "hello");
}

fn folder_of(path: &str) -> &std::path::Path {
    std::path::Path::new(path).parent().expect("a folder")
}

/// Requests with everything that formats disagree about.
const REQUESTS: [&str; 5] = [
    "GET /plain HTTP/1.1\r\nHost: Example.com:81\r\nUser-Agent: a \"quoted\" \\ one\r\nReferer: http://x/?a=b\r\n\r\n",
    "GET /a%20b/../c?a=1&b=%22 HTTP/1.1\r\nHost: example.com\r\nX-Y: caf\u{e9}\tx\r\nCookie: k=v; c=d\r\n\r\n",
    "GET /? HTTP/1.0\r\nAuthorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n\r\n",
    "POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
    "HEAD /head HTTP/1.1\r\nHost: a\r\n\r\n",
];

#[test]
fn a_format_of_nginx_writes_the_lines_that_nginx_writes() {
    let variables = "$remote_addr $remote_user \"$request\" $status $body_bytes_sent \"$http_referer\" \"$http_user_agent\"                      $request_method $request_uri $uri [$args] $is_args| $scheme $server_protocol $host $http_x_y ${arg_a}                      $cookie_c $request_length $sent_http_x_kind $https $upstream_addr $upstream_status";
    for escape in ["default", "json", "none"] {
        let backend = Backend::respond(|request| {
            let body = if request.method() == "HEAD" { "" } else { "hello" };
            format!("HTTP/1.1 200 OK\r\nX-Kind: special\r\nContent-Length: 5\r\n\r\n{body}").into_bytes()
        });
        let nginx =
            Nginx::logging(variables, escape, &format!("location / {{ proxy_pass http://{backend}; }}"));
        let format = format!("{{ nginx: '{variables}', escape: {escape} }}");
        let (narrows, _folder, path) = logging(&backend, &format);
        for request in REQUESTS {
            let method = request.split(' ').next().expect("a method");
            for address in [narrows.address("web"), &nginx.to_string()] {
                let mut connection = Connection::connect(address);
                connection.send(request);
                assert_eq!(connection.final_response(method).status(), 200, "{request}");
            }
        }
        until("nginx has written all", || nginx.log().lines().count() >= REQUESTS.len());
        let ours = lines(&path, REQUESTS.len());
        let theirs: Vec<String> = nginx.log().lines().map(str::to_owned).collect();
        assert_eq!(ours, theirs, "escape={escape}");
    }
}

#[test]
fn a_format_of_haproxy_writes_the_lines_that_haproxy_writes() {
    // Without what is another process, port or moment.
    let format = "%ci %ST %tsc %rc %{+Q}r %HM %HP %HQ %HV %CC %hr %hs %sslv.";
    let backend = Backend::respond(|request| {
        let body = if request.method() == "HEAD" { "" } else { "hello" };
        format!("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n{body}").into_bytes()
    });
    let haproxy = Haproxy::listening(
        "http",
        "",
        &format!("log-format \"line {}\"\n    server one {backend}", format.replace('"', "\\\"")),
    );
    let (narrows, _folder, path) = logging(&backend, &format!("{{ haproxy: '{format}' }}"));
    let requests = ["\x01nothing\r\n\r\n"].into_iter().chain(REQUESTS);
    let mut count = 0;
    for request in requests {
        count += 1;
        for address in [narrows.address("web"), &haproxy.address] {
            let mut connection = Connection::connect(address);
            connection.send(request);
            let method = request.split(' ').next().expect("a method");
            connection.final_response(if method == "HEAD" { method } else { "GET" });
        }
    }
    let theirs = || {
        let output = haproxy.output();
        let found =
            output.lines().filter_map(|line| line.split_once("line ").map(|(_, rest)| rest.to_owned()));
        // The first is about the connection that found out whether it listens.
        found.skip(1).collect::<Vec<_>>()
    };
    until("haproxy has written all", || theirs().len() >= count);
    assert_eq!(lines(&path, count), theirs());
}
