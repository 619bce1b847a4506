//! Checks an answer as it arrives: status, length and every byte of the body.

use crate::workload::{Exchange, Framing};

/// Longer heads are wrong answers.
const MAX_HEAD: usize = 16 * 1024;

/// How far one answer has come; reused for the next answer on the connection.
#[derive(Default)]
pub(crate) struct Answer {
    /// The beginning of a head that came in pieces.
    head: Vec<u8>,
    head_done: bool,
    body: usize,
    closes: bool,
}

/// What the bytes so far make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    Incomplete,
    /// The answer is whole and right. `closes`: it announces that the connection ends.
    Complete {
        closes: bool,
    },
}

impl Answer {
    /// Takes the bytes that arrived next and compares them with what `exchange` expects.
    pub(crate) fn take(&mut self, bytes: &[u8], exchange: &Exchange) -> Result<Progress, String> {
        let mut rest = bytes;
        if exchange.framing == Framing::Http && !self.head_done {
            match self.take_head(bytes, exchange.body.len())? {
                Some(used) => rest = &bytes[used..],
                None => return Ok(Progress::Incomplete),
            }
        }
        self.take_body(rest, &exchange.body)
    }

    /// Begins the next answer.
    pub(crate) fn reset(&mut self) {
        self.head.clear();
        self.head_done = false;
        self.body = 0;
        self.closes = false;
    }

    /// Whether nothing of the answer has come yet.
    pub(crate) fn is_untouched(&self) -> bool {
        self.head.is_empty() && !self.head_done && self.body == 0
    }

    fn take_head(&mut self, bytes: &[u8], length: usize) -> Result<Option<usize>, String> {
        if self.head.is_empty()
            && let Some(end) = head_end(bytes)
        {
            self.read_head(&bytes[..end], length)?;
            return Ok(Some(end));
        }
        let before = self.head.len();
        self.head.extend_from_slice(bytes);
        let head = std::mem::take(&mut self.head);
        match head_end(&head) {
            Some(end) => {
                self.read_head(&head[..end], length)?;
                Ok(Some(end - before))
            }
            None if head.len() > MAX_HEAD => Err("the head of the answer does not end".to_owned()),
            None => {
                self.head = head;
                Ok(None)
            }
        }
    }

    fn read_head(&mut self, head: &[u8], length: usize) -> Result<(), String> {
        let first_line = || {
            let line = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
            String::from_utf8_lossy(line).into_owned()
        };
        if !head.starts_with(b"HTTP/1.1 200 ") {
            return Err(format!("status is not 200: {}", first_line()));
        }
        let mut found = None;
        for line in head.split(|byte| *byte == b'\n') {
            if let Some(value) = field(line, b"content-length:") {
                found = std::str::from_utf8(value).ok().and_then(|text| text.parse::<usize>().ok());
            } else if let Some(value) = field(line, b"connection:") {
                self.closes = value.eq_ignore_ascii_case(b"close");
            }
        }
        if found != Some(length) {
            return Err(format!("Content-Length is {found:?}, not {length}: {}", first_line()));
        }
        self.head_done = true;
        Ok(())
    }

    fn take_body(&mut self, bytes: &[u8], expected: &[u8]) -> Result<Progress, String> {
        let end = self.body + bytes.len();
        match expected.get(self.body..end) {
            Some(part) if part == bytes => {}
            Some(_) => return Err(format!("the body differs in bytes {}..{end}", self.body)),
            None => return Err(format!("{} bytes after the end of the answer", end - expected.len())),
        }
        self.body = end;
        if end < expected.len() {
            return Ok(Progress::Incomplete);
        }
        Ok(Progress::Complete { closes: self.closes })
    }
}

fn head_end(bytes: &[u8]) -> Option<usize> {
    memchr::memmem::find(bytes, b"\r\n\r\n").map(|start| start + 4)
}

/// The value of `line` if it is the field `name` (lower case, with its colon).
fn field<'line>(line: &'line [u8], name: &[u8]) -> Option<&'line [u8]> {
    let start = line.get(..name.len())?;
    start.eq_ignore_ascii_case(name).then(|| line[name.len()..].trim_ascii())
}

#[cfg(test)]
mod tests;
