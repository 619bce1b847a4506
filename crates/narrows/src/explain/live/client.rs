//! The stream of the admin API, line by line.

use narrows_admin::{Place, Target, Usual};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::Path;

/// Longest line of a head, and longest chunk of the stream, bytes.
const LONGEST: usize = 4 << 20;
/// Longest token, bytes.
const TOKEN: u64 = 64 << 10;

/// The lines of an answer.
pub(super) struct Lines {
    from: BufReader<Box<dyn Read>>,
    waiting: Vec<u8>,
    is_over: bool,
}

impl Lines {
    /// Asks the process at `admin`, or at the usual place, for `path`.
    ///
    /// # Errors
    /// A sentence: nobody is there, or what the process said.
    pub(super) fn ask(admin: Option<&str>, token: Option<&Path>, path: &str) -> Result<Self, String> {
        let target = match admin {
            Some(admin) => Target::parse(admin)?,
            None => usual()?,
        };
        if target.tls {
            return Err(format!("{target}: explanations are read from unix:/path or http://host:port"));
        }
        let authorization = match token {
            Some(file) => format!("Authorization: Bearer {}\r\n", read_token(file)?),
            None => String::new(),
        };
        let failed = |error| format!("cannot reach the process at {target}: {error}");
        let head =
            format!("GET {path} HTTP/1.1\r\nHost: narrows\r\nConnection: close\r\n{authorization}\r\n");
        let stream: Box<dyn Read> = match &target.place {
            Place::Unix(path) => {
                let mut stream = UnixStream::connect(path).map_err(failed)?;
                stream.write_all(head.as_bytes()).map_err(failed)?;
                Box::new(stream)
            }
            Place::Host(host, port) => {
                let mut stream = TcpStream::connect((host.as_str(), *port)).map_err(failed)?;
                stream.write_all(head.as_bytes()).map_err(failed)?;
                Box::new(stream)
            }
        };
        Lines::of(BufReader::new(stream))
    }

    /// Reads the head; an answer that is no stream is an error with what it says.
    fn of(mut from: BufReader<Box<dyn Read>>) -> Result<Self, String> {
        let status = line(&mut from)?;
        let mut is_chunked = false;
        loop {
            let field = line(&mut from)?.to_ascii_lowercase();
            if field.is_empty() {
                break;
            }
            is_chunked |= field.starts_with("transfer-encoding:") && field.ends_with("chunked");
        }
        if status.split(' ').nth(1) != Some("200") || !is_chunked {
            let mut body = Vec::new();
            let _ = from.take(LONGEST as u64).read_to_end(&mut body);
            let problem: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
            let detail = problem["detail"].as_str().map_or(status.clone(), str::to_owned);
            return Err(format!("the process refused: {detail}"));
        }
        Ok(Lines { from, waiting: Vec::new(), is_over: false })
    }

    /// Reads the next chunk (RFC 9112 section 7.1).
    fn chunk(&mut self) -> Result<(), String> {
        let size = line(&mut self.from)?;
        let size = usize::from_str_radix(size.split(';').next().unwrap_or_default().trim(), 16);
        let size = size.ok().filter(|size| *size <= LONGEST).ok_or("the process sent no chunk")?;
        self.is_over = size == 0;
        let start = self.waiting.len();
        self.waiting.resize(start + size, 0);
        let lost = |_| "the process has gone".to_owned();
        self.from.read_exact(&mut self.waiting[start..]).map_err(lost)?;
        match line(&mut self.from)?.is_empty() || self.is_over {
            true => Ok(()),
            false => Err("the process sent a chunk of another length than it said".into()),
        }
    }
}

impl Iterator for Lines {
    type Item = Result<String, String>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(end) = self.waiting.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.waiting.drain(..=end).collect();
                return Some(Ok(String::from_utf8_lossy(&line[..end]).into_owned()));
            }
            if self.is_over {
                return None;
            }
            if let Err(message) = self.chunk() {
                self.is_over = true;
                self.waiting.clear();
                return Some(Err(message));
            }
        }
    }
}

fn usual() -> Result<Target, String> {
    match Usual::here() {
        Usual::At(bind) => Ok(Target::of(&bind)),
        Usual::Off => Err("NARROWS_ADMIN is off: name the process with --admin".into()),
        Usual::Nowhere => Err("there is no usual place for the admin API here: name it with --admin".into()),
        Usual::Unreadable(text) => Err(format!("NARROWS_ADMIN is `{text}`, which is no address")),
    }
}

fn read_token(file: &Path) -> Result<String, String> {
    let failed = |error| format!("{}: {error}", file.display());
    let mut text = String::new();
    std::fs::File::open(file).map_err(failed)?.take(TOKEN).read_to_string(&mut text).map_err(failed)?;
    match text.trim() {
        token if token.contains(char::is_control) => Err(format!("{} holds no token", file.display())),
        token => Ok(token.to_owned()),
    }
}

/// A line without its end.
fn line(from: &mut impl BufRead) -> Result<String, String> {
    let mut line = Vec::new();
    let failed = |error| format!("the process has gone: {error}");
    from.take(LONGEST as u64).read_until(b'\n', &mut line).map_err(failed)?;
    match line.strip_suffix(b"\n") {
        Some(line) => Ok(String::from_utf8_lossy(line).trim_end_matches('\r').to_owned()),
        None => Err("the process has gone".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    fn read(bytes: &str) -> Result<Vec<Result<String, String>>, String> {
        let from: Box<dyn Read> = Box::new(Cursor::new(bytes.as_bytes().to_vec()));
        Lines::of(BufReader::new(from)).map(Iterator::collect)
    }

    const HEAD: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";

    #[test]
    fn lines_are_found_wherever_chunks_end() {
        let lines = read(&format!("{HEAD}3\r\nab\n\r\n2\r\ncd\r\n4\r\ne\nf\n\r\n0\r\n\r\n"));
        let lines: Vec<_> = lines.expect("a stream").into_iter().map(|line| line.expect("a line")).collect();
        assert_eq!(lines, ["ab", "cde", "f"]);
    }

    #[test]
    fn a_stream_that_breaks_says_so() {
        let lines = read(&format!("{HEAD}3\r\nab\n\r\n5\r\nxy")).expect("a stream");
        assert_eq!(lines.len(), 2);
        assert!(lines[1].as_ref().is_err_and(|message| message.contains("gone")));
        let longer = read(&format!("{HEAD}2\r\nab\n\r\n")).expect("a stream");
        assert!(longer[0].is_err(), "a chunk ends where it says");
        assert!(read(&format!("{HEAD}fffffffffffff\r\n")).expect("a stream")[0].is_err());
    }

    #[test]
    fn a_problem_is_told_as_the_process_told_it() {
        let answer = "HTTP/1.1 400 Bad Request\r\nContent-Length: 22\r\n\r\n{\"detail\": \"column 3\"}";
        assert_eq!(read(answer).expect_err("a problem"), "the process refused: column 3");
        assert!(read("").is_err());
    }
}
