//! Udp listeners.

use super::Lowering;
use super::listener::override_with;
use super::tcp::FlowRoutes;
use crate::code::Code;
use crate::diagnostic::Finding;
use crate::model::{self, Configuration, Protocol, ProxyProtocolVersion};
use crate::shape::TextOr;
use crate::source::Place;
use crate::tree::Text;
use narrows_plan::{Address, Plan, UdpListener};
use std::collections::HashMap;
use std::path::PathBuf;

impl Lowering<'_> {
    pub(super) fn udp(&mut self, name: &Text, written: &model::Listener) -> UdpListener {
        let mut listener =
            UdpListener { quic: written.quic.is_some_and(|flag| flag.0), ..UdpListener::default() };
        if let Some(timeouts) = &written.timeouts {
            override_with(&mut listener.timeouts.idle, timeouts.idle);
            override_with(&mut listener.timeouts.peek, timeouts.peek);
        }
        if let Some(sessions) = &written.sessions {
            if let Some(limit) = sessions.limit {
                listener.sessions.limit = usize::try_from(limit.number).unwrap_or(usize::MAX);
            }
            listener.sessions.answers =
                sessions.answers.and_then(|answers| u32::try_from(answers.number).ok());
            if listener.quic && sessions.has("answers") {
                let message = "`answers` makes no sense with `quic`: a connection has any number of them";
                let finding = Finding::error(Code::OtherProtocol, sessions.key("answers"), message);
                self.reporter.report(finding.help("remove it"));
            }
        }
        if !listener.quic {
            self.refuse_hello(written);
        }
        let FlowRoutes { table, routes, peeks } = self.flow_routes(name, written, Protocol::Udp);
        (listener.table, listener.routes) = (table, routes);
        listener.peeks = peeks && listener.quic;
        listener.fallback = written.upstream.as_ref().and_then(|upstream| self.upstream_named(upstream));
        listener
    }

    /// Reports what asks for a client hello where nobody sends one.
    fn refuse_hello(&mut self, written: &model::Listener) {
        let of_routes = written.routes.iter().flat_map(|routes| &routes.0).flat_map(|route| &route.keys);
        let of_routes = of_routes.filter(|(key, _)| matches!(*key, "sni" | "alpn"));
        let of_timeouts = written.timeouts.iter().flat_map(|timeouts| &timeouts.keys);
        let of_timeouts = of_timeouts.filter(|(key, _)| *key == "peek");
        for (key, place) in of_routes.chain(of_timeouts) {
            let message = format!("`{key}` needs a client hello, which only QUIC has among datagrams");
            let help = "set `quic: true` for this listener when its datagrams are QUIC (HTTP/3 for instance)";
            self.reporter.report(Finding::error(Code::OtherProtocol, *place, message).help(help));
        }
    }

    /// Reports a Unix socket where datagrams are to be received.
    pub(super) fn refuse_unix_socket(&mut self, place: Place) {
        let message = "a udp listener cannot be bound to a Unix socket";
        let help = "write an address and a port, `:53` or `127.0.0.1:53`";
        self.reporter.report(Finding::error(Code::NotForDatagrams, place, message).help(help));
    }

    /// Reports udp listeners whose upstreams have endpoints that datagrams cannot be sent to.
    pub(super) fn refuse_unix_endpoints(&mut self, plan: &Plan) {
        let mut used = vec![None; plan.upstreams.len()];
        for listener in &plan.listeners {
            let narrows_plan::Protocol::Udp(udp) = &listener.protocol else { continue };
            for id in udp.routes.iter().map(|route| route.upstream).chain(udp.fallback) {
                used[id.0 as usize].get_or_insert(&*listener.name);
            }
        }
        for (upstream, listener) in plan.upstreams.iter().zip(used) {
            let Some(listener) = listener else { continue };
            let Some((_, place)) = self.names.get(&*upstream.name).copied() else { continue };
            for endpoint in &upstream.endpoints {
                if let Address::Unix(path) = &endpoint.address {
                    let message = format!(
                        "the upstream `{}` has the endpoint `unix:{}`, but the udp listener `{listener}` sends it datagrams",
                        upstream.name,
                        path.display()
                    );
                    let help = "name endpoints by address and port in the upstreams of udp listeners";
                    self.reporter.report(Finding::error(Code::NotForDatagrams, place, message).help(help));
                }
            }
        }
    }

    /// Reports upstreams of udp listeners that ask for what only connections have.
    pub(super) fn refuse_stream_upstreams(&mut self, files: &[(Configuration, PathBuf)]) {
        let mut used: HashMap<&str, Place> = HashMap::new();
        let listeners = files.iter().flat_map(|(file, _)| &file.listeners).flat_map(|all| &all.entries);
        for (_, listener) in listeners.filter(|(_, listener)| listener.protocol == Some(Protocol::Udp)) {
            let routes = listener.routes.iter().flat_map(|routes| &routes.0);
            for name in routes.filter_map(|route| route.upstream.as_ref()).chain(&listener.upstream) {
                used.entry(&name.text).or_insert(name.place);
            }
        }
        let upstreams = files.iter().flat_map(|(file, _)| &file.upstreams).flat_map(|all| &all.entries);
        for (name, upstream) in upstreams {
            let Some(place) = used.get(name.text.as_str()) else { continue };
            let mut refuse = |key, message, help| {
                let finding = Finding::error(Code::NotForDatagrams, upstream.key(key), message);
                let finding = finding.label(*place, "a udp listener sends datagrams there");
                self.reporter.report(finding.help(help));
            };
            if let Some(ProxyProtocolVersion::V1) = upstream.proxy_protocol {
                refuse(
                    "proxy_protocol",
                    "version 1 of the PROXY protocol has no header for datagrams",
                    "write `proxy_protocol: v2`",
                );
            }
            let is_encrypted = match &upstream.tls {
                Some(TextOr::Short(word)) => word.text == "true",
                Some(TextOr::Long(_)) => true,
                None => false,
            };
            if is_encrypted {
                refuse(
                    "tls",
                    "`tls` encrypts connections; datagrams pass as they are (there is no DTLS)",
                    "remove it, or give the udp listener an upstream of its own",
                );
            }
        }
    }
}
