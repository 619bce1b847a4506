//! Heads in both forms.

use http::header::{CONTENT_LENGTH, CONTENT_TYPE, COOKIE, HOST, TRAILER};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, Version};
use narrows_wire::http1::{Field, FieldName, HeadLimits, Progress, RequestHead, ResponseHead, list_members};
use std::fmt::Write;
use std::hash::{BuildHasher, RandomState};

/// The limits of heads that our own side has written: the exchange has its own, stricter ones.
pub(crate) const OWN_LIMITS: HeadLimits =
    HeadLimits { head_bytes: 1 << 20, fields: 10_000, target_bytes: 1 << 20 };

/// A request that cannot be said in HTTP/1.1, or says two things at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Malformed;

/// The head of a client's request in HTTP/1.1. `protocol` is that of an extended CONNECT (RFC 8441), `is_whole` that no body follows.
pub(crate) fn request_to_http1(
    parts: &Parts,
    protocol: Option<&str>,
    is_whole: bool,
) -> Result<Vec<u8>, Malformed> {
    let Parts { method, uri, headers, .. } = parts;
    let is_token = |text: &str| {
        !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._/+".contains(&byte))
    };
    if protocol.is_some_and(|protocol| !is_token(protocol)) || headers.get_all(HOST).iter().count() > 1 {
        return Err(Malformed);
    }
    let mut out = Vec::with_capacity(1024);
    let authority = uri.authority().map(|authority| authority.as_str());
    let host = headers.get(HOST).map(HeaderValue::as_bytes);
    // RFC 9113 section 8.3.1: two that differ could be routed by one and read by the other.
    if let (Some(authority), Some(host)) = (authority, host)
        && !host.eq_ignore_ascii_case(authority.as_bytes())
    {
        return Err(Malformed);
    }
    let tunnel = *method == Method::CONNECT && protocol.is_none();
    out.extend_from_slice(if protocol.is_some() { b"GET" } else { method.as_str().as_bytes() });
    out.push(b' ');
    match uri.path_and_query() {
        _ if tunnel => out.extend_from_slice(authority.ok_or(Malformed)?.as_bytes()),
        Some(path) if !path.as_str().is_empty() => out.extend_from_slice(path.as_str().as_bytes()),
        _ => return Err(Malformed),
    }
    out.extend_from_slice(b" HTTP/1.1\r\n");
    if let Some(host) = authority.map(str::as_bytes).or(host) {
        put(b"host", host, &mut out);
    }
    let counted = is_counted(headers);
    let mut cookies: Vec<u8> = Vec::new();
    for (name, value) in headers {
        if name == HOST || (name == CONTENT_LENGTH && !counted && !is_whole) {
            continue;
        }
        if name == COOKIE {
            // Crumbs are one cookie again (RFC 9113 section 8.2.3).
            if !cookies.is_empty() {
                cookies.extend_from_slice(b"; ");
            }
            cookies.extend_from_slice(value.as_bytes());
            continue;
        }
        if protocol.is_some() && name.as_str() == "sec-websocket-key" {
            continue;
        }
        put(name.as_str().as_bytes(), value.as_bytes(), &mut out);
    }
    if !cookies.is_empty() {
        put(b"cookie", &cookies, &mut out);
    }
    if let Some(protocol) = protocol {
        put(b"connection", b"upgrade", &mut out);
        put(b"upgrade", protocol.as_bytes(), &mut out);
        if protocol.eq_ignore_ascii_case("websocket") {
            put(b"sec-websocket-key", nonce().as_bytes(), &mut out);
        }
    } else if !counted {
        let expects = matches!(*method, Method::POST | Method::PUT | Method::PATCH);
        match is_whole {
            false => put(b"transfer-encoding", b"chunked", &mut out),
            true if expects && !headers.contains_key(CONTENT_LENGTH) => {
                put(b"content-length", b"0", &mut out)
            }
            true => {}
        }
    }
    out.extend_from_slice(b"\r\n");
    Ok(out)
}

/// 16 bytes that differ each time, as a WebSocket handshake wants them (RFC 6455 section 4.1); they are no secret.
fn nonce() -> String {
    use base64::Engine;
    let number = || RandomState::new().hash_one(0_u8).to_be_bytes();
    base64::engine::general_purpose::STANDARD.encode([number(), number()].concat())
}

fn put(name: &[u8], value: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// The fields of a head in HTTP/1.1 that HTTP/2 knows; `drops` leaves out more.
fn fields(fields: &[Field], bytes: &[u8], drops: impl Fn(FieldName, &[u8]) -> bool) -> HeaderMap {
    let mut map = HeaderMap::with_capacity(fields.len() + 2);
    for field in fields {
        let name = field.name.of(bytes);
        if field.is_hop_by_hop() || drops(field.known, name) {
            continue;
        }
        if let (Ok(name), Ok(value)) =
            (HeaderName::from_bytes(name), HeaderValue::from_bytes(field.value.of(bytes)))
        {
            map.append(name, value);
        }
    }
    map
}

/// The head of an answer in HTTP/2.
pub(crate) fn response_to_http2(head: &ResponseHead, bytes: &[u8]) -> Response<()> {
    // An upgrade is an extended CONNECT here, and what proves it belongs to HTTP/1.1.
    let status =
        if head.upgrade { StatusCode::OK } else { StatusCode::from_u16(head.status).unwrap_or_default() };
    let is_grpc = head
        .field(FieldName::ContentType)
        .is_some_and(|field| field.value.of(bytes).starts_with(b"application/grpc"));
    let mut response = Response::new(());
    *response.status_mut() = status;
    *response.version_mut() = Version::HTTP_2;
    *response.headers_mut() = fields(&head.fields, bytes, |known, name| {
        (head.upgrade && name.eq_ignore_ascii_case(b"sec-websocket-accept"))
            || (is_grpc && known == FieldName::ContentLength)
    });
    response
}

/// A request for a server in HTTP/2; `None` when it cannot be said there.
pub(crate) fn request_to_http2(
    head: &RequestHead,
    bytes: &[u8],
    scheme: &str,
    is_grpc: bool,
) -> Option<Request<()>> {
    let host = std::str::from_utf8(head.host.of(bytes)).ok()?;
    let target = std::str::from_utf8(head.path_and_query.of(bytes)).ok()?;
    let build =
        |target: &str| Uri::builder().scheme(scheme).authority(host).path_and_query(target).build().ok();
    let uri = build(target).or_else(|| build(&encoded(target)))?;
    let mut request = Request::new(());
    *request.version_mut() = Version::HTTP_2;
    *request.uri_mut() = uri;
    *request.headers_mut() = fields(&head.fields, bytes, |known, name| {
        known == FieldName::Host || (head.upgrade && name.eq_ignore_ascii_case(b"sec-websocket-key"))
    });
    if is_grpc {
        // gRPC servers ask for it, to be sure that trailers arrive.
        request.headers_mut().insert(http::header::TE, HeaderValue::from_static("trailers"));
    }
    if head.upgrade {
        let wanted = head.field(FieldName::Upgrade).map(|field| field.value.of(bytes))?;
        let protocol = list_members(wanted).next()?;
        let protocol = std::str::from_utf8(protocol).ok()?.to_ascii_lowercase();
        *request.method_mut() = Method::CONNECT;
        request.extensions_mut().insert(h2::ext::Protocol::from(protocol.as_str()));
    } else {
        *request.method_mut() = Method::from_bytes(head.method_span.of(bytes)).ok()?;
    }
    Some(request)
}

/// A target without the characters that HTTP/1.1 clients send and no URI has.
fn encoded(target: &str) -> String {
    target.bytes().fold(String::with_capacity(target.len() + 8), |mut text, byte| {
        match byte {
            b'"' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}' | 0x80.. => {
                let _ = write!(text, "%{byte:02X}");
            }
            _ => text.push(char::from(byte)),
        }
        text
    })
}

/// The head of a server's answer in HTTP/1.1, and whether a body in chunks follows. `is_bodyless`: none can follow.
pub(crate) fn response_to_http1(
    status: StatusCode,
    headers: &HeaderMap,
    is_whole: bool,
    is_bodyless: bool,
) -> (Vec<u8>, bool) {
    let mut out = Vec::with_capacity(512);
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(status.as_str().as_bytes());
    out.push(b' ');
    out.extend_from_slice(status.canonical_reason().unwrap_or_default().as_bytes());
    out.extend_from_slice(b"\r\n");
    let counted = is_bodyless || is_whole || is_counted(headers);
    for (name, value) in headers.iter().filter(|(name, _)| counted || **name != CONTENT_LENGTH) {
        put(name.as_str().as_bytes(), value.as_bytes(), &mut out);
    }
    let mut chunked = false;
    if !status.is_informational() && !is_bodyless && (!counted || !headers.contains_key(CONTENT_LENGTH)) {
        if is_whole {
            put(b"content-length", b"0", &mut out);
        } else {
            put(b"transfer-encoding", b"chunked", &mut out);
            chunked = true;
        }
    }
    out.extend_from_slice(b"\r\n");
    (out, chunked)
}

/// The answer that switches protocols: what an HTTP/1.1 client hears when an extended CONNECT has succeeded.
pub(crate) fn switching_to_http1(protocol: &[u8], accept: &str, headers: &HeaderMap) -> Vec<u8> {
    let mut out = b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\n".to_vec();
    put(b"Upgrade", protocol, &mut out);
    for (name, value) in headers {
        put(name.as_str().as_bytes(), value.as_bytes(), &mut out);
    }
    put(b"Sec-WebSocket-Accept", accept.as_bytes(), &mut out);
    out.extend_from_slice(b"\r\n");
    out
}

/// Makes it a message of another type, whose length nobody knows.
pub(crate) fn set_type(content_type: &str, headers: &mut HeaderMap) {
    headers.remove(CONTENT_LENGTH);
    if let Ok(value) = HeaderValue::from_str(content_type) {
        headers.insert(CONTENT_TYPE, value);
    }
}

/// Whether a body is framed by its length in HTTP/1.1. Where trailers are announced it is not: they need chunks there.
pub(crate) fn is_counted(headers: &HeaderMap) -> bool {
    headers.contains_key(CONTENT_LENGTH) && !headers.contains_key(TRAILER)
}

/// The fields of a trailer section; `None` where there is none.
pub(crate) fn trailers(section: &[u8]) -> Option<HeaderMap> {
    if section.len() <= 2 {
        return None;
    }
    // A section of field lines is what stands behind any start line.
    let mut bytes = b"HTTP/1.1 200 \r\n".to_vec();
    bytes.extend_from_slice(section);
    let mut head = ResponseHead::default();
    let parsed =
        narrows_wire::http1::parse_response(&bytes, narrows_wire::http1::Method::Get, &OWN_LIMITS, &mut head);
    match parsed {
        Ok(Progress::Complete) => Some(fields(&head.fields, &bytes, |_, _| false)),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
