use super::*;
use std::io::Read;
use std::net::{TcpListener, UdpSocket};
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

fn batch(records: &[&str]) -> Batch {
    let mut batch = Batch::default();
    for record in records {
        batch.bytes.extend_from_slice(record.as_bytes());
        batch.end_record();
    }
    batch
}

fn socket_path() -> PathBuf {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    std::env::temp_dir().join(format!("narrows-syslog-{}-{number}", std::process::id()))
}

fn deliver_until(server: &mut SyslogServer, what: &str, is_wanted: impl Fn(&Delivered) -> bool) -> Delivered {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let delivered = server.deliver(&batch(&[what]));
        if is_wanted(&delivered) {
            return delivered;
        }
        assert!(Instant::now() < deadline, "{delivered:?}");
        std::thread::yield_now();
    }
}

#[test]
fn each_record_is_a_datagram() {
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap().to_string();
    let mut log = SyslogServer::new(SyslogAddress::Udp(address.into()));
    assert_eq!(log.deliver(&batch(&["one", "two"])).records, 2);
    let mut buffer = [0; 64];
    for expected in ["one", "two"] {
        let count = server.recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..count], expected.as_bytes());
    }
}

#[test]
fn a_stream_counts_octets_and_is_made_anew_when_the_server_comes_back() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap();
    let mut log = SyslogServer::new(SyslogAddress::Tcp(address.to_string().into()));
    assert_eq!(log.deliver(&batch(&["one", "three"])).records, 2);
    let (mut connection, _) = server.accept().unwrap();
    let mut received = [0; 12];
    connection.read_exact(&mut received).unwrap();
    assert_eq!(&received, b"3 one5 three");
    drop((connection, server));
    deliver_until(&mut log, "lost", |delivered| delivered.error.is_some());
    let server = TcpListener::bind(address).unwrap();
    deliver_until(&mut log, "back", |delivered| delivered.records == 1);
    let (mut connection, _) = server.accept().unwrap();
    let mut received = [0; 6];
    connection.read_exact(&mut received).unwrap();
    assert_eq!(&received, b"4 back");
}

#[test]
fn a_unix_socket_is_spoken_to_as_it_is() {
    let path = socket_path();
    let server = UnixDatagram::bind(&path).unwrap();
    let mut log = SyslogServer::new(SyslogAddress::Unix(path.clone()));
    assert_eq!(log.deliver(&batch(&["one"])).records, 1);
    let mut buffer = [0; 64];
    assert_eq!(server.recv(&mut buffer).unwrap(), 3);
    // The server is gone, and another one comes, of another type.
    drop(server);
    deliver_until(&mut log, "lost", |delivered| delivered.error.is_some());
    std::fs::remove_file(&path).unwrap();
    let server = UnixListener::bind(&path).unwrap();
    deliver_until(&mut log, "back", |delivered| delivered.records == 1);
    let (mut connection, _) = server.accept().unwrap();
    let mut received = [0; 5];
    connection.read_exact(&mut received).unwrap();
    assert_eq!(&received, b"back\n");
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn a_record_that_fits_in_no_datagram_does_not_keep_the_next_from_leaving() {
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap().to_string();
    let mut log = SyslogServer::new(SyslogAddress::Udp(address.into()));
    let large = "x".repeat(70_000);
    let delivered = log.deliver(&batch(&[&large, "two"]));
    assert_eq!(delivered.records, 1);
    assert!(delivered.error.is_some());
    let mut buffer = [0; 64];
    assert_eq!(server.recv(&mut buffer).unwrap(), 3);
}
