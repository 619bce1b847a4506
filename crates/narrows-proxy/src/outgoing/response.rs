//! The head of a response on its way downstream.

use super::{copy_fields, is_edited_away, write_edits, write_field};
use crate::flow::Recode;
use crate::request::{Request, Response};
use crate::sticky::cookie::CookieOnTheWay;
use crate::tracing::Correlation;
use narrows_observe::write_number;
use narrows_plan::{HeaderEdit, HttpListener, ServerPolicy};
use narrows_wire::http1::{Field, FieldName, ResponseHead, Version};
use std::io::Write;
use std::time::Duration;

/// What the connection says about the head.
pub(crate) struct ResponseHeadOptions<'a> {
    /// How the body's framing changes.
    pub(crate) recode: Recode,
    /// Whether the connection stays open.
    pub(crate) keep_alive: bool,
    /// Today as HTTP writes it.
    pub(crate) date: &'a str,
    /// Edits of the route.
    pub(crate) edits: &'a [HeaderEdit],
    /// The sticky cookie, which the client may get with it.
    pub(crate) cookie: Option<&'a CookieOnTheWay>,
}

/// Appends the head of a response as it goes to the client.
pub(crate) fn write_response_head(
    request: &Request<'_>,
    bytes: &[u8],
    head: &ResponseHead,
    listener: &HttpListener,
    options: &ResponseHeadOptions<'_>,
    out: &mut Vec<u8>,
) {
    let informational = head.status < 200;
    out.extend_from_slice(b"HTTP/1.1 ");
    write_number(head.status.into(), out);
    out.push(b' ');
    out.extend_from_slice(head.reason.of(bytes));
    out.extend_from_slice(b"\r\n");

    let edits = if informational { &[] } else { options.edits };
    let told_id = request.correlation.as_deref().and_then(Correlation::response_header);
    let told_id = told_id.filter(|_| !informational || head.upgrade);
    let mut has_date = informational;
    let mut hsts = listener.hsts.filter(|_| request.connection.tls.is_some() && !informational);
    // A protocol that is switched to begins with the last chance to say where it was.
    let cookie = options.cookie.filter(|_| !informational || head.upgrade);
    let is_set_by = |field: &Field| cookie.is_some_and(|cookie| cookie.is_set_by(field.value.of(bytes)));
    let (mut has_sticky_cookie, mut has_cache_control) = (false, false);
    copy_fields(bytes, &head.fields, head.fields_start, out, |field| {
        let kept = match field.known {
            FieldName::Other => !field.listed,
            FieldName::Upgrade => head.upgrade,
            FieldName::TransferEncoding => options.recode == Recode::Nothing && !field.listed,
            FieldName::Date => {
                has_date = true;
                !field.listed
            }
            FieldName::SetCookie if is_set_by(field) => {
                has_sticky_cookie = true;
                false
            }
            FieldName::CacheControl => {
                has_cache_control = true;
                !field.listed
            }
            FieldName::Server => listener.server == ServerPolicy::Pass && !field.listed,
            FieldName::StrictTransportSecurity => {
                hsts = None;
                !field.listed
            }
            FieldName::Trailer => options.recode == Recode::Nothing && !field.listed,
            _ => !field.is_hop_by_hop(),
        };
        let is_id = |(name, _): (&str, &str)| field.name.of(bytes).eq_ignore_ascii_case(name.as_bytes());
        kept && (edits.is_empty() || !is_edited_away(field, bytes, edits)) && !told_id.is_some_and(is_id)
    });
    if let Some(cookie) = cookie {
        if has_sticky_cookie {
            let set = |field: &&Field| {
                field.known == FieldName::SetCookie
                    && is_set_by(field)
                    && !field.is_hop_by_hop()
                    && !is_edited_away(field, bytes, edits)
            };
            for field in head.fields.iter().filter(set) {
                cookie.write_set(field.value.of(bytes), out);
            }
        }
        let sets_caching = |edit: &HeaderEdit| edit.name().eq_ignore_ascii_case("cache-control");
        cookie.write_inserted(!has_cache_control && !edits.iter().any(sets_caching), out);
    }
    if head.upgrade {
        out.extend_from_slice(b"Connection: upgrade\r\n");
    } else if !informational {
        write_connection(request.head.version, options.keep_alive, out);
    }
    if options.recode == Recode::ToChunked {
        out.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
    }
    if !has_date {
        write_field("Date", options.date.as_bytes(), out);
    }
    if let Some(hsts) = hsts {
        write_hsts(hsts, out);
    }
    if let (ServerPolicy::Replace(server), false) = (&listener.server, informational) {
        write_field("Server", server.as_bytes(), out);
    }
    if let (Some(pseudonym), false) = (&listener.via, informational) {
        let _ = write!(out, "Via: {} {pseudonym}\r\n", head.version.as_str().trim_start_matches("HTTP/"));
    }
    if let Some((name, id)) = told_id
        && !edits.iter().any(|edit| edit.name().eq_ignore_ascii_case(name))
    {
        write_field(name, id.as_bytes(), out);
    }
    if !edits.is_empty() {
        let response = Response { status: head.status, bytes, head: Some(head) };
        write_edits(edits, &request.facts(Some(response)), out);
    }
    out.extend_from_slice(b"\r\n");
}

/// `Strict-Transport-Security` (RFC 6797 section 6.1).
pub(crate) fn write_hsts(duration: Duration, out: &mut Vec<u8>) {
    out.extend_from_slice(b"Strict-Transport-Security: max-age=");
    write_number(duration.as_secs(), out);
    out.extend_from_slice(b"\r\n");
}

/// HTTP/1.1 stays open unless told otherwise, HTTP/1.0 the other way round (RFC 9112 section 9.3).
pub(crate) fn write_connection(version: Version, keep_alive: bool, out: &mut Vec<u8>) {
    match (version, keep_alive) {
        (Version::Http11, true) | (Version::Http10, false) => {}
        (Version::Http11, false) => out.extend_from_slice(b"Connection: close\r\n"),
        (Version::Http10, true) => out.extend_from_slice(b"Connection: keep-alive\r\n"),
    }
}
