//! The demo's servers: small, on threads, each says what reached it.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

/// Largest head and body that these servers read, bytes; only the proxy on this machine talks to them.
const HEAD_BYTES: u64 = 64 << 10;
const BODY_BYTES: u64 = 1 << 20;

/// Starts an HTTP server that answers with what it received.
pub(super) fn start_http(port: u16, name: &'static str) -> io::Result<()> {
    serve(port, move |stream| {
        let mut reader = BufReader::new(stream.try_clone()?);
        while answer(&mut reader, &stream, name)? {}
        Ok(())
    })
}

/// Starts a server that sends each line back.
pub(super) fn start_lines(port: u16) -> io::Result<()> {
    serve(port, |mut stream| {
        stream.write_all(b"You are behind the proxy at layer 4. Type lines; `quit` ends.\n")?;
        let mut reader = BufReader::new(stream.try_clone()?);
        let mut line = Vec::new();
        while reader.by_ref().take(HEAD_BYTES).read_until(b'\n', &mut line)? > 0 {
            if line.trim_ascii() == b"quit" {
                return stream.write_all(b"bye\n");
            }
            stream.write_all(b"you said: ")?;
            stream.write_all(&line)?;
            line.clear();
        }
        Ok(())
    })
}

fn serve(port: u16, handle: impl Fn(TcpStream) -> io::Result<()> + Clone + Send + 'static) -> io::Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", port)).map_err(|error| {
        io::Error::new(error.kind(), format!("cannot listen on 127.0.0.1:{port}: {error}"))
    })?;
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let handle = handle.clone();
            // A connection that fails is the client's loss only.
            thread::spawn(move || drop(handle(stream)));
        }
    });
    Ok(())
}

/// Reads one request and answers it; whether another may follow.
fn answer(reader: &mut BufReader<TcpStream>, mut stream: &TcpStream, name: &str) -> io::Result<bool> {
    let mut lines = Vec::new();
    let mut head = reader.by_ref().take(HEAD_BYTES);
    loop {
        let mut line = String::new();
        if head.read_line(&mut line)? == 0 {
            return Ok(false);
        }
        let line = line.trim_end().to_owned();
        if line.is_empty() {
            break;
        }
        lines.push(line);
    }
    let value = |wanted: &str| {
        lines
            .iter()
            .filter_map(|line| line.split_once(": "))
            .find(|(found, _)| found.eq_ignore_ascii_case(wanted))
    };
    let length = value("content-length").and_then(|(_, digits)| digits.parse().ok()).unwrap_or(0_u64);
    io::copy(&mut reader.by_ref().take(length.min(BODY_BYTES)), &mut io::sink())?;
    let chunked = value("transfer-encoding").is_some();
    let body = format!("{:#}\n", serde_json::json!({ "backend": name, "received": lines }));
    if name.starts_with("video") {
        stream.write_all(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n",
        )?;
        for frame in 1..=5 {
            let line = format!("frame {frame} from {name}\n");
            write!(stream, "{:x}\r\n{line}\r\n", line.len())?;
            thread::sleep(Duration::from_millis(200));
        }
        stream.write_all(b"0\r\n\r\n")?;
    } else {
        let length = body.len();
        write!(
            stream,
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
        )?;
    }
    Ok(!chunked && length <= BODY_BYTES)
}
