//! Answers that the proxy gives itself: errors, fixed responses, redirects.

use crate::Fault;
use crate::outgoing::write_field;
use crate::request::{Request, Response};
use narrows_observe::write_number;
use narrows_plan::{ErrorPages, FixedResponse, Redirect};
use narrows_wire::http1::{BodyKind, FieldName, Method, Version, prefers};
use std::io::Write;

/// An answer before it is written.
#[derive(Debug)]
pub(crate) struct Answer {
    status: u16,
    content_type: String,
    body: Vec<u8>,
    location: Option<Vec<u8>>,
    fault: Option<Fault>,
    /// `grpc-status` with its sentence, for a call of gRPC.
    grpc: Option<(u8, &'static str)>,
}

impl Answer {
    /// The answer to a fault: the configured page, or a short body in the form that the client prefers.
    /// `request` is absent when the head could not be read.
    pub(crate) fn to_fault(fault: Fault, request: Option<&Request<'_>>, pages: &ErrorPages) -> Self {
        let meaning = fault.meaning();
        if let Some(request) = request.filter(|request| request.is_grpc()) {
            let content_type = String::from_utf8_lossy(request.value(FieldName::ContentType)).into_owned();
            return Answer {
                status: 200,
                content_type,
                body: Vec::new(),
                location: None,
                fault: Some(fault),
                grpc: Some((grpc_status(fault, meaning.status), meaning.sentence)),
            };
        }
        let status = meaning.status;
        let page = pages.find(status).and_then(|page| {
            let body = match (request, page.body.as_literal()) {
                (_, Some(text)) => text.to_owned(),
                (Some(request), None) => {
                    let mut body = String::new();
                    let response = Response { status, bytes: &[], head: None };
                    page.body.render(&request.facts(Some(response)), &mut body);
                    body
                }
                (None, None) => return None,
            };
            Some((page.content_type.to_string(), body))
        });
        let (content_type, body) = match page {
            Some(page) => page,
            None => {
                let accept = request.map_or(&[][..], |request| request.value(FieldName::Accept));
                short_body(prefers(accept), status, meaning.sentence, meaning.code)
            }
        };
        Answer {
            status,
            content_type,
            body: body.into_bytes(),
            location: None,
            fault: Some(fault),
            grpc: None,
        }
    }

    /// A fixed response.
    pub(crate) fn fixed(fixed: &FixedResponse, request: &Request<'_>) -> Self {
        let mut body = String::new();
        let response = Response { status: fixed.status, bytes: &[], head: None };
        fixed.body.render(&request.facts(Some(response)), &mut body);
        Answer {
            status: fixed.status,
            content_type: fixed.content_type.to_string(),
            body: body.into_bytes(),
            location: None,
            fault: None,
            grpc: None,
        }
    }

    /// A JSON text that was made elsewhere.
    pub(crate) fn json(text: &str) -> Self {
        Answer {
            status: 200,
            content_type: "application/json".to_owned(),
            body: text.as_bytes().to_vec(),
            location: None,
            fault: None,
            grpc: None,
        }
    }

    /// The same address under https.
    pub(crate) fn to_https(request: &Request<'_>) -> Self {
        let target = String::from_utf8_lossy(request.head.path_and_query.of(request.bytes));
        let target = if target.starts_with('/') { &target[..] } else { "/" };
        Answer::elsewhere(&format!("https://{}{target}", request.host), 308, request)
    }

    /// A redirection.
    pub(crate) fn redirect(redirect: &Redirect, request: &Request<'_>) -> Self {
        let mut location = String::new();
        redirect.to.render(&request.facts(None), &mut location);
        Answer::elsewhere(&location, redirect.status, request)
    }

    fn elsewhere(location: &str, status: u16, request: &Request<'_>) -> Self {
        let accept = request.value(FieldName::Accept);
        let (content_type, body) =
            short_body(prefers(accept), status, "The resource is elsewhere.", "redirect");
        Answer {
            status,
            content_type,
            body: body.into_bytes(),
            location: Some(encode_location(location)),
            fault: None,
            grpc: None,
        }
    }

    /// The status.
    pub(crate) fn status(&self) -> u16 {
        self.status
    }

    /// The fault that it answers.
    pub(crate) fn fault(&self) -> Option<Fault> {
        self.fault
    }

    /// Bytes of the body as it is sent to a request of `method`.
    pub(crate) fn body_length(&self, method: Method) -> usize {
        if method == Method::Head || self.has_no_body() { 0 } else { self.body.len() }
    }

    fn has_no_body(&self) -> bool {
        matches!(self.status, 204 | 304)
    }

    /// Appends the answer. `extra` are complete field lines.
    pub(crate) fn write(
        &self,
        method: Method,
        version: Version,
        keep_alive: bool,
        date: &str,
        extra: &[u8],
        out: &mut Vec<u8>,
    ) {
        let _ = write!(out, "HTTP/1.1 {} {}\r\n", self.status, reason(self.status));
        write_field("Date", date.as_bytes(), out);
        if !self.has_no_body() {
            write_field("Content-Type", self.content_type.as_bytes(), out);
            out.extend_from_slice(b"Content-Length: ");
            write_number(self.body.len() as u64, out);
            out.extend_from_slice(b"\r\n");
        }
        if let Some(location) = &self.location {
            write_field("Location", location, out);
        }
        if let Some(fault) = self.fault {
            let meaning = fault.meaning();
            let _ = write!(
                out,
                "Proxy-Status: narrows; error={}; details=\"{}\"\r\n",
                meaning.proxy_status, meaning.code
            );
            if let Some(seconds) = fault.retry_after() {
                let _ = write!(out, "Retry-After: {seconds}\r\n");
            }
        }
        if let Some((status, sentence)) = self.grpc {
            let _ = write!(out, "grpc-status: {status}\r\ngrpc-message: {sentence}\r\n");
        }
        match (version, keep_alive) {
            (Version::Http10, true) => out.extend_from_slice(b"Connection: keep-alive\r\n"),
            (_, false) => out.extend_from_slice(b"Connection: close\r\n"),
            (Version::Http11, true) => {}
        }
        if self.status == 405 {
            out.extend_from_slice(b"Allow: GET, HEAD, POST, PUT, DELETE, PATCH, OPTIONS\r\n");
        }
        out.extend_from_slice(extra);
        out.extend_from_slice(b"\r\n");
        if self.body_length(method) > 0 {
            out.extend_from_slice(&self.body);
        }
    }
}

/// The status of gRPC for a fault, by its own table of HTTP statuses ("HTTP to gRPC Status Code Mapping").
fn grpc_status(fault: Fault, status: u16) -> u8 {
    const DEADLINE_EXCEEDED: u8 = 4;
    match (fault, status) {
        (Fault::RequestTimedOut, _) => DEADLINE_EXCEEDED,
        (_, 401) => 16,
        (_, 403) => 7,
        (_, 404) => 12,
        (_, 413 | 431) => 8,
        (_, 429 | 502..=504) => 14,
        (_, 499) => 1,
        (_, 400..=499) => 13,
        _ => 2,
    }
}

fn short_body(kind: BodyKind, status: u16, sentence: &str, code: &str) -> (String, String) {
    let reason = reason(status);
    match kind {
        BodyKind::Text => ("text/plain; charset=utf-8".into(), format!("{status} {reason}: {sentence}\n")),
        BodyKind::Json => (
            "application/json".into(),
            format!(r#"{{"status":{status},"error":"{reason}","code":"{code}","message":"{sentence}"}}"#)
                + "\n",
        ),
        BodyKind::Html => (
            "text/html; charset=utf-8".into(),
            format!(
                "<!doctype html><title>{status} {reason}</title><h1>{status} {reason}</h1><p>{sentence}</p>\n"
            ),
        ),
    }
}

/// A URI reference holds printable ASCII only (RFC 3986); the rest is percent-encoded.
fn encode_location(location: &str) -> Vec<u8> {
    let mut encoded = Vec::with_capacity(location.len());
    for byte in location.bytes() {
        match byte {
            0x21..=0x7e if !matches!(byte, b'"' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}') => {
                encoded.push(byte);
            }
            _ => drop(write!(encoded, "%{byte:02X}")),
        }
    }
    encoded
}

/// The registered reason phrase (RFC 9110 section 15).
fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        204 => "No Content",
        206 => "Partial Content",
        300 => "Multiple Choices",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        402 => "Payment Required",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        408 => "Request Timeout",
        409 => "Conflict",
        410 => "Gone",
        411 => "Length Required",
        412 => "Precondition Failed",
        413 => "Content Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        418 => "I'm a Teapot",
        421 => "Misdirected Request",
        422 => "Unprocessable Content",
        426 => "Upgrade Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        451 => "Unavailable For Legal Reasons",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        _ => "",
    }
}
