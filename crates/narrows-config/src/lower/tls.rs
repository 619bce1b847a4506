//! Encryption on either side.

use super::listener::override_with;
use super::{AbsentFacts, Lowering};
use crate::code::Code;
use crate::diagnostic::Finding;
use crate::model::{self, CertificateHeader, ClientMode, Profile, Protocol};
use crate::nearest::nearest;
use crate::shape::TextOr;
use crate::source::Place;
use crate::tree::Text;
use narrows_plan::{
    Address, CertificateFiles, CertificateHeaders, ClientCertificates, ClientTls, File, Http2Limits,
    HttpListener, ServerTls, TlsPolicy, TlsProfile, TlsVersion, UpstreamProtocol, defaults,
};
use std::net::IpAddr;

impl Lowering<'_> {
    /// How a listener ends TLS; `None` where it is plain, or where what is written cannot be used.
    pub(super) fn listener_tls(
        &mut self,
        written: &model::Listener,
        protocol: Protocol,
    ) -> Option<Box<ServerTls>> {
        let place = written.key("tls");
        let speaks_http2 = protocol == Protocol::Http && self.http2(written).is_some();
        let usual_alpn: &[&str] = match protocol {
            Protocol::Http if speaks_http2 => &["h2", "http/1.1"],
            Protocol::Http => &["http/1.1"],
            Protocol::Tcp | Protocol::Udp => &[],
        };
        let mut tls = ServerTls {
            origin: self.reporter.sources.origin(place),
            certificates: Vec::new(),
            policy: TlsPolicy::default(),
            alpn: usual_alpn.iter().map(|protocol| (*protocol).into()).collect(),
            clients: None,
            handshake: Some(defaults::HANDSHAKE),
        };
        if let Some(timeouts) = &written.timeouts {
            override_with(&mut tls.handshake, timeouts.handshake);
            if timeouts.has("handshake") && !written.has("tls") && protocol != Protocol::Udp {
                let message = "`timeouts.handshake` has no effect without `tls`";
                let finding = Finding::warning(Code::NoEffect, timeouts.key("handshake"), message);
                self.reporter.report(finding.help("remove it, or move it to the listener that ends TLS"));
            }
        }
        match written.tls.as_ref()? {
            TextOr::Short(word) if word.text == "self-signed" => {}
            TextOr::Short(word) => {
                let message = format!("`{}` is not a way to end TLS", word.text);
                let help = match nearest(&word.text, &["self-signed"]) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => "write `self-signed`, or a table: `tls: { certificates: [{ cert: site.pem, key: site.key }] }`; without `tls` the listener is plain".into(),
                };
                self.reporter.report(Finding::error(Code::UnknownValue, word.place, message).help(help));
                return None;
            }
            TextOr::Long(table) => {
                if table.has("certificates") && table.certificates.is_none() {
                    return None;
                }
                if !table.has("certificates") {
                    let message = "without `certificates` one is made at start and signed by itself";
                    let help =
                        "for production name yours: `certificates: [{ cert: site.pem, key: site.key }]`";
                    self.reporter.report(Finding::warning(Code::MissingKey, place, message).help(help));
                }
                for certificate in table.certificates.iter().flat_map(|list| &list.0) {
                    let Some(files) = self.certificate(certificate) else { continue };
                    let same = |other: &CertificateFiles| {
                        (&other.chain.path, &other.key.path) == (&files.chain.path, &files.key.path)
                    };
                    if tls.certificates.iter().any(same) {
                        let message = "this certificate stands twice in the list";
                        let place = certificate.cert.as_ref().map_or(certificate.place, |text| text.place);
                        self.reporter.report(Finding::warning(Code::NoEffect, place, message));
                    }
                    tls.certificates.push(files);
                }
                tls.policy = self.policy(table.profile, table.minimum_version.as_ref());
                if let Some(alpn) = &table.alpn {
                    tls.alpn = self.alpn(&alpn.0, protocol, speaks_http2);
                }
                tls.clients = table.clients.as_ref().and_then(|clients| self.client_certificates(clients));
            }
        }
        Some(Box::new(tls))
    }

    fn alpn(&mut self, written: &[Text], protocol: Protocol, speaks_http2: bool) -> Vec<Box<str>> {
        let mut alpn = Vec::new();
        for text in written {
            let known = protocol == Protocol::Tcp || matches!(text.text.as_str(), "h2" | "http/1.1");
            if text.text.is_empty() || text.text.len() > 255 || !known {
                let message = format!("`{}` is not an application protocol that is spoken here", text.text);
                let help = match nearest(&text.text, &["h2", "http/1.1"]) {
                    _ if protocol != Protocol::Http => "a name of a protocol has 1 to 255 bytes".into(),
                    Some(near) => format!("did you mean `{near}`?"),
                    None => "http listeners speak `h2` and `http/1.1`; write one of them, or both".into(),
                };
                self.reporter.report(Finding::error(Code::UnknownValue, text.place, message).help(help));
            } else if text.text == "h2" && protocol == Protocol::Http && !speaks_http2 {
                let message = "`h2` is offered, but `http2` is off";
                let help = "remove `h2` here, or `http2: off` from the listener";
                self.reporter.report(Finding::error(Code::UnknownValue, text.place, message).help(help));
            } else {
                alpn.push(text.text.as_str().into());
            }
        }
        alpn
    }

    pub(super) fn client_certificates(
        &mut self,
        written: &model::ClientCertificates,
    ) -> Option<ClientCertificates> {
        let ca = written.ca.as_ref()?;
        Some(ClientCertificates {
            required: written.mode != Some(ClientMode::Optional),
            authorities: self.file(ca),
            revocations: written.crl.iter().flat_map(|lists| &lists.0).map(|text| self.file(text)).collect(),
        })
    }

    pub(super) fn certificate(&mut self, written: &model::Certificate) -> Option<CertificateFiles> {
        let (chain, key) = (written.cert.as_ref()?, written.key.as_ref()?);
        Some(CertificateFiles {
            chain: self.file(chain),
            key: self.file(key),
            ocsp: written.ocsp.as_ref().map(|text| self.file(text)),
        })
    }

    pub(super) fn file(&self, text: &Text) -> File {
        File { path: self.folder.join(&text.text), origin: self.reporter.sources.origin(text.place) }
    }

    pub(super) fn policy(&mut self, profile: Option<Profile>, version: Option<&Text>) -> TlsPolicy {
        let profile = match profile {
            Some(Profile::Modern) => TlsProfile::Modern,
            Some(Profile::Intermediate) | None => TlsProfile::Intermediate,
        };
        let minimum_version = version.and_then(|text| match text.text.as_str() {
            "1.2" => Some(TlsVersion::Tls12),
            "1.3" => Some(TlsVersion::Tls13),
            other => {
                let message = format!("`{other}` is not a version of TLS that can be spoken");
                let help = "write \"1.2\" or \"1.3\"; older ones are broken";
                self.reporter.report(Finding::error(Code::UnknownValue, text.place, message).help(help));
                None
            }
        });
        if let (TlsProfile::Modern, Some(TlsVersion::Tls12), Some(text)) = (profile, minimum_version, version)
        {
            let message = "the profile `modern` does not speak TLS 1.2";
            let help = "remove `minimum_version`, or write `profile: intermediate`";
            self.reporter.report(Finding::error(Code::UnknownValue, text.place, message).help(help));
        }
        TlsPolicy { profile, minimum_version }
    }

    /// What an http listener says about HTTP/2, redirection to https and the client's certificate.
    pub(super) fn http_security(&mut self, written: &model::Listener, listener: &mut HttpListener) {
        listener.http2 = self.http2(written);
        listener.https_redirect = written.https_redirect.is_some_and(|flag| flag.0);
        listener.hsts = written.hsts.and_then(|hsts| hsts.on()).map(|duration| duration.0);
        listener.certificate_headers = CertificateHeaders {
            client_cert: written
                .client_certificate_headers
                .iter()
                .any(|list| list.0.contains(&CertificateHeader::ClientCert)),
            xfcc: written
                .client_certificate_headers
                .iter()
                .any(|list| list.0.contains(&CertificateHeader::Xfcc)),
        };
        if listener.https_redirect && written.has("tls") {
            let message = "`https_redirect` is for plain listeners, this one speaks TLS";
            let help = "set it on the listener of port 80";
            let finding = Finding::error(Code::NoEffect, written.key("https_redirect"), message);
            self.reporter.report(finding.label(written.key("tls"), "TLS is here").help(help));
        } else if listener.https_redirect {
            for key in ["routes", "upstream"] {
                if written.has(key) {
                    let message = format!("`{key}` is never reached: every request is redirected to https");
                    let help = "remove it; to redirect some requests only, use a route with `redirect`";
                    let finding = Finding::warning(Code::NoEffect, written.key(key), message);
                    let redirect = written.key("https_redirect");
                    self.reporter.report(finding.label(redirect, "they are redirected here").help(help));
                }
            }
        }
        for key in ["hsts", "client_certificate_headers"] {
            if written.has(key) && !written.has("tls") {
                let message = format!("`{key}` has no effect without `tls`");
                let help = "move it to the listener that ends TLS";
                let finding = Finding::error(Code::NoEffect, written.key(key), message);
                self.reporter.report(finding.help(help));
            }
        }
        let headers = "client_certificate_headers";
        if written.has(headers) && written.has("tls") && !asks_clients(written) {
            let message = format!("`{headers}` has no effect without `tls.clients`");
            let help = "ask clients for certificates, `clients: { ca: clients.pem }` in `tls`, or remove it";
            self.reporter.report(Finding::error(Code::NoEffect, written.key(headers), message).help(help));
        }
    }

    fn http2(&mut self, written: &model::Listener) -> Option<Http2Limits> {
        let mut limits = Http2Limits::default();
        match &written.http2 {
            None => {}
            Some(TextOr::Short(word)) if word.text == "off" => return None,
            Some(TextOr::Short(word)) if word.text == "on" => {}
            Some(TextOr::Short(word)) => {
                let message = format!("`{}` is neither `on` nor `off`, nor a table", word.text);
                let help = "HTTP/2 is on without this key; `http2: off` speaks HTTP/1.1 only";
                self.reporter.report(Finding::error(Code::UnknownValue, word.place, message).help(help));
            }
            Some(TextOr::Long(table)) => {
                if let Some(streams) = table.streams {
                    limits.streams = u32::try_from(streams.number).unwrap_or(u32::MAX);
                }
                if let Some(window) = table.window {
                    limits.window = self.window(window);
                }
                limits.connection_window = match table.connection_window {
                    Some(window) => self.window(window),
                    None => Http2Limits::for_all(limits.streams, limits.window),
                };
                limits.ping = table.ping.and_then(|ping| ping.on()).map(|duration| duration.0);
            }
        }
        Some(limits)
    }

    /// A window of HTTP/2 (RFC 9113 section 6.9): below its first size a connection could not begin.
    fn window(&mut self, size: crate::shape::Size) -> u32 {
        let range = 65_535..=(1 << 31) - 1;
        if !range.contains(&size.bytes) {
            let message = "a window is from 65535 bytes to 2147483647";
            let help = "write `64KiB` for instance, or remove it";
            self.reporter.report(Finding::error(Code::NumberOutOfRange, size.place, message).help(help));
        }
        u32::try_from(size.bytes).unwrap_or(u32::MAX)
    }

    /// What an upstream says about encryption and about the version of HTTP.
    pub(super) fn upstream_security(
        &mut self,
        written: &model::Upstream,
        upstream: &mut narrows_plan::Upstream,
    ) {
        upstream.tls = self.upstream_tls(written, &upstream.endpoints);
        upstream.protocol = match written.protocol {
            None | Some(model::UpstreamProtocol::Http1) => UpstreamProtocol::Http1,
            Some(model::UpstreamProtocol::Http2) => UpstreamProtocol::Http2,
            Some(model::UpstreamProtocol::Auto) => UpstreamProtocol::Negotiated,
        };
        upstream.grpc_web = written.grpc_web.is_some_and(|flag| flag.0);
        if upstream.protocol == UpstreamProtocol::Negotiated && !written.has("tls") {
            let message = "`auto` asks the server with TLS, and there is no `tls` here";
            let help =
                "write `tls: true`, or say what the server speaks: `protocol: http1` or `protocol: http2`";
            self.reporter
                .report(Finding::error(Code::NotExactlyOne, written.key("protocol"), message).help(help));
        }
        if upstream.protocol != UpstreamProtocol::Http1 && upstream.proxy_protocol.is_some() {
            let message =
                "a connection of HTTP/2 carries the requests of many clients, and `proxy_protocol` names one";
            let help = "write `protocol: http1`, or tell the client's address in headers (`forwarded`)";
            let finding = Finding::error(Code::NotExactlyOne, written.key("proxy_protocol"), message);
            self.reporter.report(finding.label(written.key("protocol"), "HTTP/2 is here").help(help));
        }
        if upstream.grpc_web && upstream.protocol == UpstreamProtocol::Http1 {
            let message = "gRPC needs HTTP/2 to the upstream";
            let help = "write `protocol: http2`";
            self.reporter
                .report(Finding::error(Code::NotExactlyOne, written.key("grpc_web"), message).help(help));
        }
    }

    fn upstream_tls(
        &mut self,
        written: &model::Upstream,
        endpoints: &[narrows_plan::Endpoint],
    ) -> Option<Box<ClientTls>> {
        let place = written.key("tls");
        let tls = match written.tls.as_ref()? {
            TextOr::Short(word) if word.text == "true" => self.client_tls(None, place),
            TextOr::Short(word) if word.text == "false" => return None,
            TextOr::Short(word) => {
                let message = format!("`{}` is neither `true` nor a table", word.text);
                let help = "write `tls: true`, or `tls: { ca: authorities.pem }`";
                self.reporter.report(Finding::error(Code::UnknownValue, word.place, message).help(help));
                return None;
            }
            TextOr::Long(table) => self.client_tls(Some(table), place),
        };
        let names_one = matches!(&written.tls, Some(TextOr::Long(table)) if table.has("server_name"));
        let is_nameless = |endpoint: &narrows_plan::Endpoint| matches!(endpoint.address, Address::Unix(_));
        if tls.verify && !names_one && endpoints.iter().any(is_nameless) {
            let message = "an endpoint `unix:` has no name that a certificate could be for";
            let help = "say which name the certificate has: `tls: { server_name: app.internal }`";
            self.reporter.report(Finding::error(Code::BadServerName, place, message).help(help));
        }
        Some(Box::new(tls))
    }

    /// How TLS is spoken to a server.
    pub(super) fn client_tls(&mut self, written: Option<&model::UpstreamTls>, place: Place) -> ClientTls {
        let mut tls = ClientTls {
            origin: self.reporter.sources.origin(place),
            verify: true,
            authorities: None,
            server_name: None,
            certificate: None,
            policy: TlsPolicy::default(),
        };
        let Some(table) = written else { return tls };
        tls.verify = table.verify.is_none_or(|flag| flag.0);
        tls.authorities = table.ca.as_ref().map(|text| self.file(text));
        tls.server_name = table.server_name.as_ref().map(|text| self.server_name(text));
        tls.certificate = table.certificate.as_ref().and_then(|certificate| self.certificate(certificate));
        tls.policy = self.policy(table.profile, table.minimum_version.as_ref());
        if !tls.verify && tls.authorities.is_some() {
            let message = "`ca` has no effect with `verify: false`";
            self.reporter.report(Finding::warning(Code::NoEffect, table.key("ca"), message));
        }
        tls
    }

    /// The name that an upstream's certificate must have.
    fn server_name(&mut self, text: &Text) -> Box<str> {
        if !is_server_name(&text.text) {
            let message = match text.text.as_str() {
                "" => "the name is empty".to_owned(),
                other => format!("`{other}` is neither a DNS name nor an IP address"),
            };
            let help = "write the name that the certificate has, without scheme and port: `app.internal`";
            self.reporter.report(Finding::error(Code::BadServerName, text.place, message).help(help));
        }
        text.text.as_str().into()
    }
}

/// What the listener's `tls` keeps expressions from ever knowing.
pub(super) fn absent_facts(written: &model::Listener) -> Option<AbsentFacts> {
    if !written.has("tls") {
        return Some(AbsentFacts { prefix: "tls.", why: "this listener ends no TLS" });
    }
    let why = "this listener asks clients for no certificate (`tls.clients`)";
    (!asks_clients(written)).then_some(AbsentFacts { prefix: "tls.client.", why })
}

/// Whether clients are asked for certificates; also when that cannot be read.
fn asks_clients(written: &model::Listener) -> bool {
    match &written.tls {
        Some(TextOr::Long(table)) => table.has("clients"),
        Some(TextOr::Short(word)) => word.text != "self-signed",
        None => true,
    }
}

/// Whether TLS can ask for the name: an IP address, or a DNS name whose last label is no number (it would look like an
/// address).
fn is_server_name(name: &str) -> bool {
    let is_inner = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(is_inner)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let dns = name.strip_suffix('.').unwrap_or(name);
    let last = dns.rsplit('.').next().unwrap_or_default().to_ascii_lowercase();
    let is_number = match last.strip_prefix("0x") {
        Some(rest) => rest.bytes().all(|byte| byte.is_ascii_hexdigit()),
        None => last.bytes().all(|byte| byte.is_ascii_digit()),
    };
    name.parse::<IpAddr>().is_ok() || (name.len() <= 253 && dns.split('.').all(is_label) && !is_number)
}
