//! HTTP/1.1 messages as the tests see them: a small strict reading of RFC 9112, independent of the proxy's.

/// A request or a response that was read from a connection.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Message {
    /// The head exactly as it arrived, with the empty line.
    pub head: String,
    /// The request line or status line.
    pub start_line: String,
    /// The fields in order, names as received, values without surrounding spaces.
    pub headers: Vec<(String, String)>,
    /// The content, without chunk framing.
    pub body: Vec<u8>,
    /// The trailer fields of a chunked message.
    pub trailers: Vec<(String, String)>,
    /// The sizes of the chunks, for a chunked message.
    pub chunks: Vec<usize>,
}

/// How the end of a message's content is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// No content at all.
    None,
    /// As many bytes as Content-Length says.
    Length(usize),
    /// Chunked transfer coding.
    Chunked,
    /// Until the connection ends (responses only).
    UntilClose,
}

impl Message {
    /// Reads a head (up to and with its empty line); the error says what is wrong with it.
    pub fn parse_head(head: &[u8]) -> Result<Message, String> {
        let head = std::str::from_utf8(head).map_err(|_| "the head is not text".to_owned())?;
        let lines = head.strip_suffix("\r\n\r\n").ok_or("no empty line")?;
        let mut lines = lines.split("\r\n");
        let start_line = lines.next().unwrap_or_default().to_owned();
        if start_line.split(' ').count() < 2 {
            return Err(format!("not a start line: {start_line:?}"));
        }
        let headers = lines.map(field).collect::<Result<Vec<_>, _>>()?;
        Ok(Message { head: head.to_owned(), start_line, headers, ..Message::default() })
    }

    /// The status code of a response.
    #[track_caller]
    pub fn status(&self) -> u16 {
        let mut parts = self.start_line.split(' ');
        assert!(parts.next().is_some_and(|version| version.starts_with("HTTP/1.")), "{}", self.start_line);
        parts.next().and_then(|code| code.parse().ok()).expect("a status line has a status code")
    }

    /// The method of a request.
    pub fn method(&self) -> &str {
        self.start_line.split(' ').next().unwrap_or_default()
    }

    /// The target of a request.
    pub fn target(&self) -> &str {
        self.start_line.split(' ').nth(1).unwrap_or_default()
    }

    /// The value of the first field `name`, in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The values of all fields `name`, in order.
    pub fn header_values(&self, name: &str) -> Vec<&str> {
        let same = |(key, _): &&(String, String)| key.eq_ignore_ascii_case(name);
        self.headers.iter().filter(same).map(|(_, value)| value.as_str()).collect()
    }

    /// The names of the fields, as received, in order.
    pub fn names(&self) -> Vec<&str> {
        self.headers.iter().map(|(name, _)| name.as_str()).collect()
    }

    /// The content as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Whether a field `name` lists `token`, in any case.
    pub fn lists(&self, name: &str, token: &str) -> bool {
        self.header_values(name)
            .iter()
            .flat_map(|value| value.split(','))
            .any(|item| item.trim().eq_ignore_ascii_case(token))
    }

    /// Asserts that this is an error made by the proxy: the status, and RFC 9209's Proxy-Status with `token`.
    #[track_caller]
    pub fn assert_proxy_error(&self, status: u16, token: &str) {
        let cause = self.header("proxy-status").unwrap_or_default();
        assert_eq!(self.status(), status, "status; Proxy-Status is {cause:?}");
        assert!(cause.starts_with("narrows"), "Proxy-Status names the proxy: {cause:?}");
        let found = cause.split(';').any(|part| part.trim() == format!("error={token}"));
        assert!(found, "Proxy-Status has error={token}: {cause:?}");
    }

    /// How the content of this response to `method` ends (RFC 9112 section 6.3).
    pub fn response_framing(&self, method: &str) -> Result<Framing, String> {
        let status = self.status();
        if method == "HEAD" || status / 100 == 1 || status == 204 || status == 304 {
            return Ok(Framing::None);
        }
        Ok(self.framing()?.unwrap_or(Framing::UntilClose))
    }

    /// How the content of this request ends.
    pub fn request_framing(&self) -> Result<Framing, String> {
        Ok(self.framing()?.unwrap_or(Framing::None))
    }

    fn framing(&self) -> Result<Option<Framing>, String> {
        let codings = self.header_values("transfer-encoding");
        let lengths = self.header_values("content-length");
        match (codings.as_slice(), lengths.as_slice()) {
            ([], []) => Ok(None),
            ([], [length]) if length.bytes().all(|byte| byte.is_ascii_digit()) => {
                Ok(Some(Framing::Length(length.parse().map_err(|error| format!("{length}: {error}"))?)))
            }
            ([coding], []) if coding.eq_ignore_ascii_case("chunked") => Ok(Some(Framing::Chunked)),
            _ => Err(format!("ambiguous framing: {codings:?} {lengths:?}")),
        }
    }
}

/// Splits one field line; strict about everything that parsers differ in.
pub(crate) fn field(line: &str) -> Result<(String, String), String> {
    let (name, value) = line.split_once(':').ok_or_else(|| format!("no colon: {line:?}"))?;
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if name.is_empty() || !name.bytes().all(token) {
        return Err(format!("not a field name: {name:?}"));
    }
    if value.bytes().any(|byte| byte != b'\t' && byte < b' ' || byte == 0x7f) {
        return Err(format!("not a field value: {value:?}"));
    }
    Ok((name.to_owned(), value.trim_matches([' ', '\t']).to_owned()))
}

#[cfg(test)]
mod tests;
