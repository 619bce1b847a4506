//! The head of a request on its way upstream.

use super::certificate::write_certificate;
use super::{copy_fields, is_edited_away, write_edits, write_field, write_template_field, write_value};
use crate::request::Request;
use crate::sticky::cookie::CookieOnTheWay;
use narrows_observe::write_address;
use narrows_plan::{ForwardPath, Forwarded, HttpListener, PathRewrite, Route};
use narrows_wire::http1::{Field, FieldName, Method, TargetForm, list_members};
use narrows_wire::target::encode_path;
use std::io::Write;
use std::net::IpAddr;

/// Appends the head of `request` as `route` sends it to an endpoint whose address reads `endpoint`, without the sticky `cookie`.
pub(crate) fn write_request_head(
    request: &Request<'_>,
    listener: &HttpListener,
    route: &Route,
    matched_prefix: Option<&str>,
    cookie: Option<&CookieOnTheWay>,
    endpoint: &str,
    out: &mut Vec<u8>,
) {
    let Request { bytes, head, .. } = *request;
    let facts = request.facts(None);
    let correlation = request.correlation.as_deref();
    out.extend_from_slice(head.method_span.of(bytes));
    out.push(b' ');
    write_target(request, listener, route, matched_prefix, out);
    out.extend_from_slice(b" HTTP/1.1\r\n");

    let own_host = route.host_rewrite.is_some()
        || head.target_form == TargetForm::Absolute
        || head.host.is_empty()
        || head.field(FieldName::Host).is_none();
    match &route.host_rewrite {
        Some(host) => write_template_field("Host", host, &facts, out),
        None if !own_host => {}
        None if head.host.is_empty() => {
            write_field(
                "Host",
                endpoint.strip_prefix("unix:").map_or(endpoint, |_| "localhost").as_bytes(),
                out,
            );
        }
        None => write_field("Host", head.host.of(bytes), out),
    }

    let upgrade = is_upgrade(request);
    let Forwarded { x_forwarded, forwarded } = listener.forwarded;
    let certificate = listener.certificate_headers;
    let edits = &route.request_edits;
    let mut has_sticky_cookie = false;
    copy_fields(bytes, &head.fields, head.fields_start, out, |field| {
        let kept = match field.known {
            FieldName::Other => !field.listed,
            FieldName::Host => !own_host,
            FieldName::TransferEncoding => true,
            FieldName::Upgrade => upgrade,
            FieldName::Cookie if cookie.is_some_and(|cookie| cookie.changes(field.value.of(bytes))) => {
                has_sticky_cookie = true;
                false
            }
            FieldName::XForwardedFor | FieldName::XForwardedProto | FieldName::XForwardedHost => {
                !x_forwarded && !field.listed
            }
            FieldName::Forwarded => !forwarded && !field.listed,
            FieldName::ClientCert | FieldName::ClientCertChain => {
                !certificate.client_cert && request.peer_is_trusted && !field.listed
            }
            FieldName::XForwardedClientCert => !certificate.xfcc && request.peer_is_trusted && !field.listed,
            _ => !field.is_hop_by_hop(),
        };
        kept && (edits.is_empty() || !is_edited_away(field, bytes, edits))
            && !correlation.is_some_and(|correlation| correlation.replaces(field.name.of(bytes)))
    });
    if let Some(cookie) = cookie.filter(|_| has_sticky_cookie) {
        let changed = |field: &&Field| {
            field.known == FieldName::Cookie
                && cookie.changes(field.value.of(bytes))
                && !field.is_hop_by_hop()
                && !is_edited_away(field, bytes, edits)
        };
        for field in head.fields.iter().filter(changed) {
            cookie.write_changed(field.value.of(bytes), out);
        }
    }
    if upgrade {
        out.extend_from_slice(b"Connection: upgrade\r\n");
    }
    if x_forwarded {
        write_x_forwarded(request, out);
    }
    if forwarded {
        write_forwarded(request, out);
    }
    if let Some(client) = request.connection.tls.and_then(|tls| tls.client.as_ref()) {
        write_certificate(client, certificate, out);
    }
    if let Some(pseudonym) = &listener.via {
        let _ = write!(out, "Via: {} {pseudonym}\r\n", request.version().trim_start_matches("HTTP/"));
    }
    if let Some(correlation) = correlation {
        correlation.write_request(edits, out);
    }
    write_edits(edits, &facts, out);
    out.extend_from_slice(b"\r\n");
}

/// Whether the client's wish to switch protocols goes on. `h2c` does not: a tunnel of HTTP/2 would pass requests that
/// no rule has seen.
pub(crate) fn is_upgrade(request: &Request<'_>) -> bool {
    request.head.upgrade
        && !list_members(request.value(FieldName::Upgrade)).any(|token| token.eq_ignore_ascii_case(b"h2c"))
}

fn write_target(
    request: &Request<'_>,
    listener: &HttpListener,
    route: &Route,
    matched_prefix: Option<&str>,
    out: &mut Vec<u8>,
) {
    let start = out.len();
    match &route.path_rewrite {
        Some(PathRewrite::Whole(template)) => {
            let mut path = String::new();
            template.render(&request.facts(None), &mut path);
            encode_target(&path, out);
        }
        Some(PathRewrite::Prefix(prefix)) if request.path != "*" => {
            let rest = &request.path[matched_prefix.map_or(0, str::len)..];
            encode_path(prefix.trim_end_matches('/'), out);
            if !rest.starts_with('/') && (!rest.is_empty() || out.len() == start) {
                out.push(b'/');
            }
            encode_path(rest, out);
        }
        _ if request.path == "*" => out.push(b'*'),
        // An absolute form without a path asks about the whole server (RFC 9112 section 3.2.4).
        _ if request.head.method == Method::Options && request.head.path_and_query.is_empty() => {
            out.push(b'*')
        }
        _ => match listener.forward_path {
            ForwardPath::AsReceived => out.extend_from_slice(request.raw_path),
            ForwardPath::Normalized => encode_path(request.path, out),
        },
    }
    if out[start..].first().is_none_or(|byte| *byte != b'/' && *byte != b'*') {
        out.insert(start, b'/');
    }
    if let Some(query) = request.query {
        out.push(if out[start..].contains(&b'?') { b'&' } else { b'?' });
        out.extend_from_slice(query);
    }
}

/// A rewritten target may bring a query of its own.
fn encode_target(target: &str, out: &mut Vec<u8>) {
    let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
    encode_path(path, out);
    if let Some(query) = query {
        out.push(b'?');
        query.bytes().for_each(|byte| match byte {
            0x21..=0x7e if byte != b'#' => out.push(byte),
            _ => drop(write!(out, "%{byte:02X}")),
        });
    }
}

/// `X-Forwarded-For` continues what a trusted proxy said and replaces what anybody else did.
fn write_x_forwarded(request: &Request<'_>, out: &mut Vec<u8>) {
    let Request { bytes, head, .. } = *request;
    let believed = |known| {
        let fields = head.fields.iter().filter(move |field: &&Field| field.known == known);
        fields.filter(|_| request.peer_is_trusted).map(|field| field.value.of(bytes))
    };
    out.extend_from_slice(b"X-Forwarded-For: ");
    for value in believed(FieldName::XForwardedFor) {
        write_value(value, out);
        out.extend_from_slice(b", ");
    }
    write_address(request.connection.peer, out);
    out.extend_from_slice(b"\r\nX-Forwarded-Proto: ");
    let scheme = request.connection.scheme.as_bytes();
    out.extend_from_slice(believed(FieldName::XForwardedProto).next().unwrap_or(scheme));
    out.extend_from_slice(b"\r\n");
    let host = believed(FieldName::XForwardedHost).next().unwrap_or(head.host.of(bytes));
    if !host.is_empty() {
        write_field("X-Forwarded-Host", host, out);
    }
}

/// `Forwarded` (RFC 7239 section 4), one element more for this hop.
fn write_forwarded(request: &Request<'_>, out: &mut Vec<u8>) {
    let Request { bytes, head, .. } = *request;
    out.extend_from_slice(b"Forwarded: ");
    if request.peer_is_trusted {
        for field in head.fields.iter().filter(|field| field.known == FieldName::Forwarded) {
            write_value(field.value.of(bytes), out);
            out.extend_from_slice(b", ");
        }
    }
    let _ = match request.connection.peer {
        IpAddr::V4(address) => write!(out, "for={address}"),
        IpAddr::V6(address) => write!(out, "for=\"[{address}]\""),
    };
    if !head.host.is_empty() {
        out.extend_from_slice(b";host=\"");
        out.extend_from_slice(head.host.of(bytes));
        out.push(b'"');
    }
    let _ = write!(out, ";proto={}\r\n", request.connection.scheme);
}
