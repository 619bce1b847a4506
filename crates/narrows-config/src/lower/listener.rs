//! Listeners of each protocol, and what http listeners say for all their routes.

use super::Lowering;
use crate::code::Code;
use crate::diagnostic::Finding;
use crate::expression::Scope;
use crate::model::{self, ForwardedKind, ListenerTimeouts, Protocol, ProxyProtocolMode};
use crate::shape::OrOff;
use crate::source::Place;
use crate::tree::Text;
use narrows_plan::{
    Bind, ForwardPath, Forwarded, HttpLimits, HttpListener, HttpTimeouts, Listener, PathMatching,
    ProxyProtocol, ServerPolicy, TrustedProxies,
};
use std::collections::HashMap;

/// Keys of a listener that only http knows.
const HTTP_KEYS: [&str; 14] = [
    "http2",
    "https_redirect",
    "hsts",
    "client_certificate_headers",
    "trusted_proxies",
    "forwarded",
    "via",
    "server",
    "path_matching",
    "forward_path",
    "limits",
    "minimum_body_rate",
    "requests_per_connection",
    "error_pages",
];

/// Keys of a listener that only udp knows.
const UDP_KEYS: [&str; 2] = ["sessions", "quic"];

/// Keys of a listener that connections have and datagrams have not.
const CONNECTION_KEYS: [&str; 1] = ["tls"];

/// The protocols that know a deadline.
fn protocols_of_timeout(key: &str) -> &'static [Protocol] {
    match key {
        "connect" | "handshake" => &[Protocol::Http, Protocol::Tcp],
        "idle" | "peek" => &[Protocol::Tcp, Protocol::Udp],
        _ => &[Protocol::Http],
    }
}

impl Lowering<'_> {
    pub(super) fn listener(
        &mut self,
        name: &Text,
        written: &model::Listener,
        bound: &mut HashMap<(Bind, bool), Place>,
    ) -> Option<Listener> {
        let protocol = written.protocol.unwrap_or(Protocol::Http);
        if written.has("protocol") && written.protocol.is_none() {
            return None;
        }
        let binds = self.binds(written, protocol == Protocol::Udp, bound);
        let tls = self.listener_tls(written, protocol);
        self.absent_facts = super::tls::absent_facts(written);
        self.refuse_other_protocol(written, protocol);
        let proxy_protocol = self.proxy_protocol(written);
        let protocol = match protocol {
            Protocol::Http => narrows_plan::Protocol::Http(Box::new(self.http(name, written))),
            Protocol::Tcp => narrows_plan::Protocol::Tcp(Box::new(self.tcp(name, written))),
            Protocol::Udp => narrows_plan::Protocol::Udp(Box::new(self.udp(name, written))),
        };
        let origin = self.reporter.sources.origin(name.place);
        Some(Listener { name: name.text.as_str().into(), origin, binds, proxy_protocol, tls, protocol })
    }

    fn binds(
        &mut self,
        written: &model::Listener,
        udp: bool,
        bound: &mut HashMap<(Bind, bool), Place>,
    ) -> Vec<(Bind, narrows_plan::Origin)> {
        let mut binds = Vec::new();
        for text in written.bind.iter().flat_map(|binds| &binds.0) {
            let Some(bind) = self.bind_address(text) else { continue };
            if udp && matches!(bind, Bind::Unix(_)) {
                self.refuse_unix_socket(text.place);
                continue;
            }
            let takes_free_port = matches!(&bind, Bind::Socket(address) if address.port() == 0);
            if !takes_free_port && let Some(first) = bound.insert((bind.clone(), udp), text.place) {
                let message = format!("`{}` is already listened on", text.text);
                let finding = Finding::error(Code::BoundTwice, text.place, message);
                self.reporter.report(finding.label(first, "first here"));
            }
            binds.push((bind, self.reporter.sources.origin(text.place)));
        }
        binds
    }

    fn proxy_protocol(&mut self, written: &model::Listener) -> Option<ProxyProtocol> {
        let written = written.proxy_protocol.as_ref()?;
        let sources = written.sources.as_ref().and_then(|sources| self.networks(&sources.0))?;
        let mode = match written.mode.unwrap_or(ProxyProtocolMode::Required) {
            ProxyProtocolMode::Required => narrows_plan::ProxyProtocolMode::Required,
            ProxyProtocolMode::Allowed => narrows_plan::ProxyProtocolMode::Allowed,
        };
        Some(ProxyProtocol { mode, sources })
    }

    fn refuse_other_protocol(&mut self, written: &model::Listener, here: Protocol) {
        for (key, place) in &written.keys {
            let of: &[Protocol] = if HTTP_KEYS.contains(key) {
                &[Protocol::Http]
            } else if UDP_KEYS.contains(key) {
                &[Protocol::Udp]
            } else if CONNECTION_KEYS.contains(key) {
                &[Protocol::Http, Protocol::Tcp]
            } else {
                continue;
            };
            if !of.contains(&here) {
                self.refuse_key(key, *place, of, here);
            }
        }
        for (key, place) in written.timeouts.iter().flat_map(|timeouts| &timeouts.keys) {
            let of = protocols_of_timeout(key);
            if !of.contains(&here) {
                self.refuse_key(key, *place, of, here);
            }
        }
    }

    /// Reports a key that belongs to listeners of the protocols `of`, of which the first is the likeliest.
    pub(super) fn refuse_key(&mut self, key: &str, place: Place, of: &[Protocol], here: Protocol) {
        let word = |protocol: &Protocol| match protocol {
            Protocol::Http => "http",
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
        };
        let words: Vec<&str> = of.iter().map(word).collect();
        let message =
            format!("`{key}` is for {} listeners, the protocol here is {}", words.join(" and "), word(&here));
        let help = match words.as_slice() {
            [one] => format!("remove it, or set `protocol: {one}` for this listener"),
            _ => "remove it, or set another `protocol` for this listener".to_owned(),
        };
        self.reporter.report(Finding::error(Code::OtherProtocol, place, message).help(help));
    }

    fn http(&mut self, name: &Text, written: &model::Listener) -> HttpListener {
        let scope = Scope { tcp: false, response: false, record: false, condition: false, captures: None };
        let mut listener = HttpListener {
            limits: self.limits(written),
            timeouts: http_timeouts(written.timeouts.as_ref()),
            error_pages: self.error_pages(written.error_pages.as_ref(), scope, &Default::default()),
            path_matching: path_matching(written),
            ..HttpListener::default()
        };
        if let Some(trusted) = &written.trusted_proxies {
            let sources = trusted.sources.as_ref().and_then(|sources| self.networks(&sources.0));
            let hops = trusted.hops.and_then(|hops| u32::try_from(hops.number).ok());
            listener.trusted_proxies = TrustedProxies { sources: sources.unwrap_or_default(), hops };
        }
        if let Some(forwarded) = &written.forwarded {
            listener.forwarded = Forwarded {
                x_forwarded: forwarded.0.contains(&ForwardedKind::XForwarded),
                forwarded: forwarded.0.contains(&ForwardedKind::Forwarded),
            };
        }
        if let Some(via) = written.via.as_ref().filter(|via| via.text != "off") {
            listener.via = self.pseudonym(via);
        }
        if let Some(server) = &written.server {
            listener.server = match server.text.as_str() {
                "pass" => ServerPolicy::Pass,
                "hide" => ServerPolicy::Hide,
                _ => self.header_text(server).map_or(ServerPolicy::Pass, ServerPolicy::Replace),
            };
        }
        if let Some(model::ForwardPath::Normalized) = written.forward_path {
            listener.forward_path = ForwardPath::Normalized;
        }
        self.http_security(written, &mut listener);
        self.http_routes(name, written, &mut listener);
        listener
    }

    /// A pseudonym in `Via` is a token (RFC 9110 section 7.6.3); a host with a port may stand there too.
    fn pseudonym(&mut self, via: &Text) -> Option<Box<str>> {
        if !model::is_token(&via.text.replace(':', "")) {
            let message = format!("`{}` cannot be a pseudonym", via.text);
            let help = "write a token like `narrows` or `edge-1`, or `off`";
            self.reporter.report(Finding::error(Code::BadHeaderValue, via.place, message).help(help));
            return None;
        }
        Some(via.text.as_str().into())
    }

    fn limits(&mut self, written: &model::Listener) -> HttpLimits {
        let mut limits = HttpLimits::default();
        if let Some(given) = &written.limits {
            if let Some(head) = given.head {
                limits.head_bytes = self.size_between(head, 1024, 256 << 10);
            }
            if let Some(headers) = given.headers {
                limits.header_fields = usize::try_from(headers.number).unwrap_or(usize::MAX);
            }
            if let Some(uri) = given.uri {
                limits.uri_bytes = self.size_between(uri, 16, 256 << 10);
            }
            if let Some(body) = given.body {
                limits.body_bytes = body.on().map(|size| size.bytes);
            }
        }
        if let Some(rate) = written.minimum_body_rate {
            limits.minimum_body_rate = rate.on().map(|size| size.bytes).filter(|rate| *rate > 0);
        }
        if let Some(requests) = written.requests_per_connection {
            limits.requests_per_connection = u32::try_from(requests.number).ok().filter(|number| *number > 0);
        }
        limits
    }

    pub(super) fn size_between(&mut self, size: crate::shape::Size, least: u64, most: u64) -> usize {
        if !(least..=most).contains(&size.bytes) {
            let message = format!("this must be from {} to {}", model::size(least), model::size(most));
            self.reporter.report(Finding::error(Code::NumberOutOfRange, size.place, message));
        }
        usize::try_from(size.bytes).unwrap_or(usize::MAX)
    }
}

fn path_matching(written: &model::Listener) -> PathMatching {
    let mut matching = PathMatching::default();
    if let Some(given) = &written.path_matching {
        matching.decode = given.decode.map_or(matching.decode, |flag| flag.0);
        matching.merge_slashes = given.merge_slashes.map_or(matching.merge_slashes, |flag| flag.0);
    }
    matching
}

fn http_timeouts(written: Option<&ListenerTimeouts>) -> HttpTimeouts {
    let mut timeouts = HttpTimeouts::default();
    let Some(given) = written else { return timeouts };
    override_with(&mut timeouts.head, given.head);
    override_with(&mut timeouts.body_idle, given.body_idle);
    override_with(&mut timeouts.keep_alive, given.keep_alive);
    override_with(&mut timeouts.connect, given.connect);
    override_with(&mut timeouts.response_head, given.response_head);
    override_with(&mut timeouts.response_idle, given.response_idle);
    override_with(&mut timeouts.request, given.request);
    override_with(&mut timeouts.tunnel_idle, given.tunnel_idle);
    override_with(&mut timeouts.write_idle, given.write_idle);
    timeouts
}

/// Sets a deadline where one is written.
pub(super) fn override_with(
    deadline: &mut Option<std::time::Duration>,
    written: Option<OrOff<crate::shape::Duration>>,
) {
    if let Some(written) = written {
        *deadline = written.on().map(|duration| duration.0);
    }
}
