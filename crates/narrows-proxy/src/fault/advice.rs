//! What usually leads to each fault, and what an operator does about it. As the table of meanings, without a catch-all arm.

use super::Fault;
use narrows_http2::Failure;
use narrows_tls::{CertificateFault, TlsFault};
use narrows_upstream::{ConnectFailure, Shed, ShedCause};
use narrows_wire::http1::{BodyError, HeadError};

/// Help with a fault, for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Advice {
    /// What usually leads to it.
    pub usually: &'static str,
    /// What to do about it.
    pub remedy: &'static str,
}

const fn advice(usually: &'static str, remedy: &'static str) -> Advice {
    Advice { usually, remedy }
}

const CLIENT_GONE: Advice = advice(
    "A user left the page, or a client's own time limit was over before the answer was.",
    "Some are normal. If there are many, compare the time that answers take with the limits of the clients.",
);

impl Fault {
    /// What usually leads to it, and what to do.
    pub fn advice(self) -> Advice {
        match self {
            Fault::RequestHead(error) => request_head(error),
            Fault::RequestTarget(_) => advice(
                "A broken percent-encoding, or a probe that tries to leave the root with `..`.",
                "Nothing for probes. If a client of yours is refused, correct how it encodes paths.",
            ),
            Fault::RequestHeadTimedOut => advice(
                "A very slow client, or one that keeps connections busy on purpose.",
                "Nothing for attacks. For slow clients that you serve, raise `timeouts.head` of the listener.",
            ),
            Fault::RequestBody(error) => request_body(error),
            Fault::RequestBodyTooLarge => advice(
                "An upload larger than `limits.body`.",
                "Raise `limits.body` of the route if such uploads are meant to pass.",
            ),
            Fault::RequestBodyTimedOut => advice(
                "The client's network broke, or the client stopped in the middle of an upload.",
                "Raise `timeouts.body_idle` of the listener if clients pause for good reasons.",
            ),
            Fault::RequestBodyTooSlow => advice(
                "A very slow network, or a client that keeps the server busy on purpose.",
                "Lower `minimum_body_rate` of the listener if such clients are to be served.",
            ),
            Fault::ClientGone | Fault::Http2(Failure::Gone) => CLIENT_GONE,
            Fault::ClientTooSlow => advice(
                "The client's network broke without a word, or the client does not read what it asked for.",
                "Raise `timeouts.write_idle` of the listener if clients pause for good reasons.",
            ),
            Fault::TunnelRefused => advice(
                "A client takes this server for a forward proxy, or somebody looks for open ones.",
                "Correct the client's proxy settings. Narrows is a reverse proxy and never opens such tunnels.",
            ),
            Fault::NoRoute => advice(
                "A host or path that no route of the listener takes, and the listener has no `upstream` for the rest.",
                "Ask `narrows explain` what each route saw. Add a route, or an `upstream` to the listener.",
            ),
            Fault::RequestTimedOut => advice(
                "All of the request together, its retries and its answer included, took longer than `timeouts.request`.",
                "See in the access log where the time went. Raise `timeouts.request` for routes with long answers.",
            ),
            Fault::NoEndpoint => advice(
                "All endpoints are down by their health checks, ejected, drained, or the name behind them has no address.",
                "Look at the state of the endpoints and at the reason that the health checks give.",
            ),
            Fault::Shed(Shed { cause, .. }) => shed(cause),
            Fault::EndpointDown => advice(
                "The endpoint was taken away and the upstream has `when_down: close`, or no other one takes a UDP session.",
                "Look for why the endpoint went down. With `when_down: keep` what runs there goes on as long as the endpoint lets it.",
            ),
            Fault::StickyEndpointDown => advice(
                "The endpoint that has the client's session is down, and the upstream has `stickiness.fail_over: false`.",
                "Bring the endpoint back, or set `fail_over: true` if sessions survive on another one.",
            ),
            Fault::Connect(failure) => connect(failure),
            Fault::ResponseMissing => advice(
                "The server crashed or restarted, or it closes idle connections sooner than Narrows does.",
                "Look into the server's log. Set `connections.idle_timeout` of the upstream below the server's own.",
            ),
            Fault::ResponseHead(HeadError::HeadTooLarge | HeadError::TooManyFields) => advice(
                "The server sets very many or very long headers, often cookies.",
                "Make the server send less, or raise `limits.head` and `limits.headers` of the listener.",
            ),
            Fault::ResponseHead(_) => advice(
                "The endpoint's port speaks another protocol (TLS, for instance), or the server writes malformed headers.",
                "Check the port, and `tls` and `protocol` of the upstream. Else correct the server.",
            ),
            Fault::ResponseHeadTimedOut => advice(
                "The server is overloaded, or waits for something itself, such as a database.",
                "Look at the server's load. Raise `timeouts.response_head` for routes that need long.",
            ),
            Fault::TryTimedOut => advice(
                "The last of the attempts got no answer within `retries.try_timeout`.",
                "Look at the server's load. Raise `retries.try_timeout` if answers take that long when all is well.",
            ),
            Fault::ResponseBody(_) => advice(
                "The server, or a proxy before it, writes wrong chunks.",
                "Correct the server. What follows on that connection cannot be trusted, so it is closed.",
            ),
            Fault::ResponseIncomplete => advice(
                "The server crashed or was stopped in the middle of an answer.",
                "Look into the server's log, and let it finish its answers before it stops.",
            ),
            Fault::ResponseTimedOut => advice(
                "The server stopped in the middle of an answer, or streams with long pauses.",
                "Raise `timeouts.response_idle` for routes that stream; else look for what the server waits for.",
            ),
            Fault::IdleTimedOut => advice(
                "Both ends of a flow or tunnel kept silent, or the network between lost one of them. In UDP nobody answered.",
                "Raise `timeouts.idle` (tunnels: `timeouts.tunnel_idle`), or let the application send keep-alives.",
            ),
            Fault::PeekTimedOut => advice(
                "A client that connects and does not finish its TLS client hello, or a probe.",
                "Nothing for probes. For slow clients raise `timeouts.peek` of the listener.",
            ),
            Fault::ClientHello => advice(
                "A broken or very old TLS client, or a probe.",
                "Find out who the client is. A route that asks for `sni` or `alpn` needs a valid client hello.",
            ),
            Fault::FlowReset => advice(
                "The endpoint or the client was stopped, or a firewall between dropped the connection.",
                "Look into the logs of both ends. If it comes after silence, look at what firewalls do with idle flows.",
            ),
            Fault::Handshake(error) => handshake(error),
            Fault::TlsOnPlainPort => advice(
                "A URL says `https` where the port speaks plain HTTP.",
                "Correct the URL, or give the listener `tls`.",
            ),
            Fault::Http2(Failure::Flood(_)) => advice(
                "An attack with frames that cost the server more than the client, or a client with a defect.",
                "Nothing for attacks: the connection was closed. Else report it to those who make the client.",
            ),
            Fault::Http2(Failure::TimedOut) => advice(
                "A client agreed on HTTP/2 and sent nothing, often a connection opened ahead of need.",
                "Nothing, if the client connects again. Raise `timeouts.head` of the listener for slow clients.",
            ),
            Fault::Http2(Failure::Protocol) => advice(
                "A client with a defect, or a probe.",
                "Find out who the client is. Without `h2` in `tls.alpn` of the listener it speaks HTTP/1.1.",
            ),
            Fault::ProxyProtocolMissing => advice(
                "A client or a health check comes directly, or the proxy in front does not send the header.",
                "Make the proxy in front send it. `proxy_protocol.mode: allowed` takes connections without one as well.",
            ),
            Fault::ProxyProtocolInvalid(_) => advice(
                "The sender writes the header in a version or form that does not exist.",
                "Look at the configuration of the proxy in front.",
            ),
            Fault::ProxyProtocolUntrusted => advice(
                "Somebody goes around the proxy in front, or that proxy has a new address.",
                "Add the proxy's address to `proxy_protocol.sources` if it is one of yours.",
            ),
            Fault::SessionLimit => advice(
                "More clients at one time than the listener has sessions for, or a flood from invented addresses.",
                "Raise `sessions.limit`, or end sessions sooner with `timeouts.idle` or `sessions.answers`.",
            ),
            Fault::QuicInitial => advice(
                "A datagram of a connection that is no longer known, a version of QUIC that is unknown, or a probe.",
                "Nothing for single ones. Set `quic: false` if what comes is not QUIC.",
            ),
            Fault::DatagramTooLarge => advice(
                "The next network takes smaller packets, or a PROXY protocol header made the datagram too long.",
                "Make the application send smaller datagrams, or raise the MTU on the way.",
            ),
        }
    }
}

/// A head that breaks HTTP or a limit.
fn request_head(error: HeadError) -> Advice {
    match error {
        HeadError::HeadTooLarge | HeadError::TooManyFields => advice(
            "Large or many cookies, or a long token in a header.",
            "Remove cookies that nobody needs, or raise `limits.head` and `limits.headers` of the listener.",
        ),
        HeadError::TargetTooLong => advice(
            "A form that sends its fields in the URL.",
            "Send them in the body, or raise `limits.uri` of the listener.",
        ),
        HeadError::LengthAndTransferEncoding
        | HeadError::RepeatedContentLength
        | HeadError::InvalidContentLength
        | HeadError::InvalidTransferEncoding
        | HeadError::ChunkedNotLast
        | HeadError::TransferEncodingInHttp10
        | HeadError::ConnectWithBody => advice(
            "An attempt to smuggle a request past the proxy, or a client that frames its body wrongly.",
            "Nothing for attacks: the connection was closed. Correct the client if it is yours.",
        ),
        _ => advice(
            "A probe, a client with a defect, or one that does not speak HTTP.",
            "Nothing for probes. Correct the client if it is yours; no setting makes this pass.",
        ),
    }
}

/// A body that breaks its framing.
fn request_body(error: BodyError) -> Advice {
    match error {
        BodyError::Incomplete => advice(
            "The client went away in the middle of an upload.",
            "Some are normal. If there are many, look at the network and at the time limits of the clients.",
        ),
        BodyError::TrailersTooLarge | BodyError::ForbiddenTrailer => {
            advice("A client puts into trailers what belongs into the head.", "Correct the client.")
        }
        _ => advice(
            "A client that writes wrong chunks, or an attempt to smuggle a request past the proxy.",
            "Nothing for attacks: the connection was closed. Correct the client if it is yours.",
        ),
    }
}

/// A request that an upstream is spared.
fn shed(cause: ShedCause) -> Advice {
    match cause {
        ShedCause::QueueFull => advice(
            "More requests at one time than `limits` of the endpoints and the `queue` have room for.",
            "Add endpoints, or raise the limits if the servers can take more.",
        ),
        ShedCause::QueueTimedOut => advice(
            "The servers are slower than requests arrive.",
            "Add endpoints, or raise the limits if the servers can take more. A longer wait helps with short peaks only.",
        ),
        ShedCause::BreakerOpen => advice(
            "So many requests failed that the breaker of the upstream opened.",
            "Look at the faults of the upstream just before. It closes by itself when its probes succeed.",
        ),
        ShedCause::Overloaded => advice(
            "`limits.upstream_requests` is reached, or adaptive concurrency found that the servers take no more.",
            "Add endpoints, or raise the limit if the servers can take more.",
        ),
    }
}

/// No connection to an endpoint.
fn connect(failure: ConnectFailure) -> Advice {
    match failure {
        ConnectFailure::Refused => advice(
            "No process listens at the endpoint's address: it is stopped, restarts, or listens at another port.",
            "Start the server, or correct the endpoint. A health check keeps requests away meanwhile.",
        ),
        ConnectFailure::TimedOut => advice(
            "The machine is down, a firewall drops the packets, or the server is too busy to accept.",
            "Try to connect from this machine. Raise `timeouts.connect` for servers that are far away.",
        ),
        ConnectFailure::Unreachable => advice(
            "There is no way to the address in the network, or the connection broke while it was made.",
            "Check routes, firewalls and the address of the endpoint from this machine.",
        ),
        ConnectFailure::Exhausted => advice(
            "This process has no file descriptor, memory or local port left for one more connection.",
            "Raise the limit of file descriptors. When ports are used up, reuse connections or add endpoints.",
        ),
        ConnectFailure::Full => advice(
            "The endpoint has `limits.connections` open connections.",
            "Add endpoints, or raise the limit if the server can take more.",
        ),
        ConnectFailure::Http2 => advice(
            "The upstream's `protocol` asks for HTTP/2, and the server speaks HTTP/1.1 only.",
            "Correct `protocol` of the upstream, or switch HTTP/2 on in the server.",
        ),
        ConnectFailure::Tls(TlsFault::Certificate(error)) => upstream_certificate(error),
        ConnectFailure::Tls(_) => advice(
            "The endpoint's port speaks no TLS, knows no version or cipher in common, or wants a client certificate.",
            "Check the port, and `tls.certificate` and the versions in `tls` of the upstream.",
        ),
    }
}

/// A client's handshake that failed.
fn handshake(error: TlsFault) -> Advice {
    match error {
        TlsFault::TimedOut => advice(
            "A very slow client, or a connection opened ahead of need.",
            "Nothing for single ones. Raise `timeouts.handshake` of the listener for slow clients.",
        ),
        TlsFault::Gone => advice(
            "A port check that only connects, or a client that gave up.",
            "Some are normal. If there are many, see whether a load balancer in front checks the port this way.",
        ),
        TlsFault::NotTls { http: true } => advice(
            "A URL says `http` where the port speaks HTTPS.",
            "Correct the URL, or add a plain listener that redirects.",
        ),
        TlsFault::NotTls { http: false } => advice(
            "A probe, or a client of another protocol. Perhaps a PROXY protocol header that nobody expects.",
            "Nothing for probes. If a proxy in front sends a PROXY protocol header, configure `proxy_protocol`.",
        ),
        TlsFault::Incompatible => advice(
            "A very old client, or a scanner that tries out versions.",
            "Nothing for scanners. For clients that you must serve, look at the versions in `tls` of the listener.",
        ),
        TlsFault::Certificate(error) => client_certificate(error),
        TlsFault::Alert => advice(
            "The client does not trust the certificate of this server, or it is for another name.",
            "Check that `cert` holds the intermediate certificates, is not expired, and has the name that clients use.",
        ),
        TlsFault::Invalid => advice(
            "A client with a defect, a probe, or bytes that were changed on the way.",
            "Nothing for single ones. Find out who the client is if it comes again.",
        ),
    }
}

/// The certificate of a client that is not accepted.
fn client_certificate(error: CertificateFault) -> Advice {
    match error {
        CertificateFault::Missing => advice(
            "A client without a certificate, where `tls.clients.mode` is `required`.",
            "Give the client one. With `optional`, rules decide what those without one may do.",
        ),
        CertificateFault::Expired => advice(
            "The certificate was not renewed, or the clock of one of the machines is wrong.",
            "Renew the client's certificate; check the clocks.",
        ),
        CertificateFault::UnknownIssuer => advice(
            "The certificate is from another authority, or an intermediate certificate is missing.",
            "Add the authority to `tls.clients.ca`, or let the client send the whole chain.",
        ),
        CertificateFault::Revoked => advice(
            "The certificate is in a list of `tls.clients.crl`.",
            "Give the client a new certificate if it is to have access.",
        ),
        CertificateFault::WrongName | CertificateFault::Invalid => advice(
            "The certificate was made for another purpose, or is malformed.",
            "Make the certificate anew, for the authentication of clients.",
        ),
    }
}

/// The certificate of a server that is not accepted.
fn upstream_certificate(error: CertificateFault) -> Advice {
    match error {
        CertificateFault::Missing => advice("The server has no certificate to show.", "Give the server one."),
        CertificateFault::Expired => advice(
            "The certificate was not renewed, or the clock of one of the machines is wrong.",
            "Renew the server's certificate; check the clocks.",
        ),
        CertificateFault::UnknownIssuer => advice(
            "A private authority or a self-signed certificate, or the server does not send its intermediate ones.",
            "Name the authority in `tls.ca` of the upstream, or let the server send the whole chain.",
        ),
        CertificateFault::WrongName => advice(
            "Endpoints are given by address, and the certificate has a name.",
            "Set `tls.server_name` of the upstream to the name in the certificate.",
        ),
        CertificateFault::Revoked => {
            advice("The authority took the certificate back.", "Give the server a new one.")
        }
        CertificateFault::Invalid => advice(
            "The certificate was made for another purpose, or is malformed.",
            "Make the certificate anew, for the authentication of servers.",
        ),
    }
}
