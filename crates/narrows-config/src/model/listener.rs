//! Listeners as they are written.

use super::keys::StatusKey;
use super::route::Route;
use super::tls::{CertificateHeaders, Http2, ListenerTls};
use super::{size, time};
use crate::shape::{
    Duration, Flag, Map, Number, OPTIONAL, OneOrMany, OrOff, Plain, REQUIRED, Size, TextOr, choice,
    otherwise, table,
};
use crate::tree::Text;
use narrows_plan::defaults;

table! {
    /// A group of sockets that treat their connections alike.
    Listener {
        /// Addresses: `:8080` is port 8080 on every IPv4 and IPv6 address, `127.0.0.1:8080`, `[::1]:8080`,
        /// `unix:/run/narrows.sock`; port 0 takes a free one.
        bind: OneOrMany<Text> = REQUIRED,
        /// What is spoken: `http`, `tcp` or `udp`.
        protocol: Protocol = "http",
        /// Encryption: a table, or the word `self-signed`.
        tls: TextOr<ListenerTls> = otherwise("plain"),
        /// http: what a client may take up with HTTP/2, or `off`. HTTP/2 is spoken after ALPN and after its preface.
        http2: TextOr<Http2> = "on",
        /// http, plain: every request is answered with its address under https (308), before any route.
        https_redirect: Flag = "false",
        /// http, with `tls`: how long browsers shall use https only (`Strict-Transport-Security`), or `off`.
        hsts: OrOff<Duration> = "off",
        /// http, with `tls`: headers that tell the upstream about the client's certificate: `client-cert` (RFC 9440), `xfcc`.
        client_certificate_headers: CertificateHeaders = OPTIONAL,
        /// The PROXY protocol header in front of everything else (udp: of each datagram), in which a proxy tells who its client
        /// is. See proxy-protocol.md.
        proxy_protocol: ProxyProtocol = otherwise("none is expected"),
        /// Rules that choose what happens. The most specific one that matches wins, see routing.md.
        routes: Plain<Route> = OPTIONAL,
        /// Where traffic goes that no route takes. Without it, requests are answered with 404, TCP connections are
        /// closed and datagrams dropped.
        upstream: Text = OPTIONAL,
        /// http: whose `Forwarded` and `X-Forwarded-*` headers are believed.
        trusted_proxies: TrustedProxies = otherwise("nobody"),
        /// http: which headers tell the upstream about the client; `[]` sends none.
        forwarded: Plain<ForwardedKind> = "[\"x-forwarded\"]",
        /// http: a pseudonym that is added to `Via` (RFC 9110 section 7.6.3), or `off`.
        via: Text = "off",
        /// http: the upstream's `Server` header: `pass`, `hide`, or a text that replaces it.
        server: Text = "pass",
        /// http: how a path is normalised before it is compared.
        path_matching: PathMatching = OPTIONAL,
        /// http: which form of the path goes upstream when no rewrite says otherwise.
        forward_path: ForwardPath = "as-received",
        /// http: sizes that clients cannot exceed.
        limits: Limits = OPTIONAL,
        /// Deadlines.
        timeouts: ListenerTimeouts = OPTIONAL,
        /// http: the least bytes per second of a request body, averaged after its first 10 seconds.
        minimum_body_rate: OrOff<Size> = defaults::MINIMUM_BODY_RATE.to_string(),
        /// http: requests on one connection; 0 is unlimited.
        requests_per_connection: Number<0, 4_294_967_295> = "0",
        /// http: pages for errors that the proxy makes, by status.
        error_pages: Map<StatusKey, ErrorPage> = OPTIONAL,
        /// udp: how many sessions there may be, and when one is over. A session is what comes from one address and port.
        sessions: Sessions = OPTIONAL,
        /// udp: the datagrams are QUIC, which is passed through: routes may ask for `sni` and `alpn`, and a connection stays
        /// with its endpoint when the client's address changes, see udp.md.
        quic: Flag = "false",
    }
}

choice! {
    /// What is spoken.
    Protocol {
        /// HTTP/1.1.
        Http = "http",
        /// Bytes.
        Tcp = "tcp",
        /// Datagrams.
        Udp = "udp",
    }
}

table! {
    /// The PROXY protocol header that connections and datagrams begin with.
    ProxyProtocol {
        /// `required` closes connections without a valid header and those from elsewhere than `sources`; `allowed` takes
        /// connections without one as plain ones, and never believes anybody but `sources`. Datagrams are dropped instead.
        mode: ProxyProtocolMode = "required",
        /// Addresses of the proxies that may send it, in CIDR notation. What they say is believed. A process that
        /// connects to a Unix socket counts as `127.0.0.1`.
        sources: OneOrMany<Text> = REQUIRED,
    }
}

choice! {
    /// Whether a connection without a PROXY protocol header is taken.
    ProxyProtocolMode {
        /// It is closed.
        Required = "required",
        /// It is a plain one.
        Allowed = "allowed",
    }
}

choice! {
    /// Which headers tell the upstream about the client.
    ForwardedKind {
        /// `X-Forwarded-For`, `-Proto`, `-Host`.
        XForwarded = "x-forwarded",
        /// `Forwarded` (RFC 7239).
        Forwarded = "forwarded",
    }
}

choice! {
    /// Which form of the path goes upstream.
    ForwardPath {
        /// The bytes that the client sent.
        AsReceived = "as-received",
        /// The normalised path.
        Normalized = "normalized",
    }
}

table! {
    /// Whose word on the client's address is believed.
    TrustedProxies {
        /// Addresses of the proxies, in CIDR notation.
        sources: OneOrMany<Text> = REQUIRED,
        /// Most hops that are walked, from the nearest.
        hops: Number<1, 1000> = otherwise("as far as the sources allow"),
    }
}

table! {
    /// How a path is normalised before it is compared. Dot segments are always removed.
    PathMatching {
        /// Percent-encoded bytes are decoded, `%2F` excepted.
        decode: Flag = "true",
        /// `//` counts as `/`.
        merge_slashes: Flag = "true",
    }
}

table! {
    /// Sizes that clients cannot exceed.
    Limits {
        /// Bytes of a request or response head, from 1 KiB to 256 KiB.
        head: Size = size(defaults::HEAD_BYTES as u64),
        /// Fields of a head.
        headers: Number<1, 10_000> = defaults::HEADER_FIELDS.to_string(),
        /// Bytes of a request target, at most 256 KiB.
        uri: Size = size(defaults::URI_BYTES as u64),
        /// Bytes of a request body.
        body: OrOff<Size> = size(defaults::BODY_BYTES),
    }
}

table! {
    /// Sessions of a udp listener.
    Sessions {
        /// Sessions at one time on each address of the listener, shared out evenly among the workers. When they are used up,
        /// datagrams of further clients are dropped.
        limit: Number<1, 16_777_216> = defaults::UDP_SESSIONS.to_string(),
        /// Answers to each datagram of the client after which the session is over: 1 for DNS.
        answers: Number<1, 65_535> = otherwise("any number"),
    }
}

table! {
    /// Deadlines of a listener. `connect` holds for http and tcp, `idle` and `peek` for tcp and udp, all others for http.
    ListenerTimeouts {
        /// To connect to an endpoint.
        connect: OrOff<Duration> = time(defaults::CONNECT),
        /// http: from the first byte of a request head to its last; also to receive a PROXY protocol header.
        head: OrOff<Duration> = time(defaults::HEAD_TIMEOUT),
        /// http: between two reads of a request body.
        body_idle: OrOff<Duration> = time(defaults::BODY_IDLE),
        /// http: between two requests on a connection.
        keep_alive: OrOff<Duration> = time(defaults::KEEP_ALIVE),
        /// http: from the end of a request to the head of its response.
        response_head: OrOff<Duration> = time(defaults::RESPONSE_HEAD),
        /// http: between two reads of a response body.
        response_idle: OrOff<Duration> = time(defaults::RESPONSE_IDLE),
        /// http: from the request head to the last byte of the answer.
        request: OrOff<Duration> = "off",
        /// http: a tunnel (an upgraded connection) on which nothing moves.
        tunnel_idle: OrOff<Duration> = time(defaults::TUNNEL_IDLE),
        /// http: between two writes that the client accepts.
        write_idle: OrOff<Duration> = time(defaults::WRITE_IDLE),
        /// tcp and udp: a connection or session on which nothing moves.
        idle: OrOff<Duration> = otherwise("`1h` for tcp, `60s` for udp"),
        /// With `tls`: from the first byte of a handshake to its end.
        handshake: OrOff<Duration> = super::tls::handshake(),
        /// tcp, and udp with `quic`: to receive the TLS client hello when a route asks for it; also to receive a PROXY
        /// protocol header.
        peek: OrOff<Duration> = time(defaults::PEEK),
    }
}

table! {
    /// A page for an error that the proxy makes: exactly one of `file` and `body`.
    ErrorPage {
        /// A file, relative to the folder of the configuration file; at most 1 MiB.
        file: Text = OPTIONAL,
        /// A template.
        body: Text = OPTIONAL,
        /// The type of the page.
        content_type: Text = "text/html; charset=utf-8",
    }
}
