//! Every fault once, for the page and the command that explain them.

use super::{Advice, Fault, Meaning};
use narrows_http2::Failure;
use narrows_tls::{CertificateFault, TlsFault};
use narrows_upstream::{ConnectFailure, Shed, ShedCause};
use narrows_wire::http1::{BodyError, HeadError};
use narrows_wire::http2::Flood;
use narrows_wire::proxy_protocol::InvalidHeader;
use narrows_wire::target::TargetError;

/// A cause that logs, metrics and answers name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    /// Its row in the table of faults.
    pub meaning: Meaning,
    /// What exactly broke, where the sentence covers several causes.
    pub detail: Option<String>,
    /// What usually leads to it, and what to do.
    pub advice: Advice,
}

impl Cause {
    /// Every cause, in the order of their codes. A code comes twice when a head and a body can break in the same way.
    pub fn all() -> Vec<Cause> {
        let mut causes: Vec<Cause> = faults().into_iter().map(Cause::of).collect();
        causes.sort_by(|one, other| {
            (one.meaning.code, one.meaning.sentence).cmp(&(other.meaning.code, other.meaning.sentence))
        });
        causes.dedup();
        causes
    }

    fn of(fault: Fault) -> Cause {
        let detail = match fault {
            Fault::RequestHead(error) => Some(error.to_string()),
            Fault::RequestBody(error) => Some(error.to_string()),
            _ => None,
        };
        Cause { meaning: fault.meaning(), detail, advice: fault.advice() }
    }
}

/// A fault for each row of the table. Where rows do not look at what is inside, one of it stands for all.
pub(super) fn faults() -> Vec<Fault> {
    let mut faults = vec![
        Fault::RequestTarget(TargetError::Malformed),
        Fault::RequestHeadTimedOut,
        Fault::RequestBodyTooLarge,
        Fault::RequestBodyTimedOut,
        Fault::RequestBodyTooSlow,
        Fault::ClientGone,
        Fault::ClientTooSlow,
        Fault::TunnelRefused,
        Fault::NoRoute,
        Fault::RequestTimedOut,
        Fault::NoEndpoint,
        Fault::EndpointDown,
        Fault::StickyEndpointDown,
        Fault::ResponseMissing,
        Fault::ResponseHead(HeadError::HeadTooLarge),
        Fault::ResponseHead(HeadError::InvalidStatusLine),
        Fault::ResponseHeadTimedOut,
        Fault::TryTimedOut,
        Fault::ResponseBody(BodyError::InvalidChunkSize),
        Fault::ResponseIncomplete,
        Fault::ResponseTimedOut,
        Fault::IdleTimedOut,
        Fault::PeekTimedOut,
        Fault::ClientHello,
        Fault::FlowReset,
        Fault::TlsOnPlainPort,
        Fault::Http2(Failure::Gone),
        Fault::Http2(Failure::Protocol),
        Fault::Http2(Failure::Flood(Flood { kind: "" })),
        Fault::Http2(Failure::TimedOut),
        Fault::ProxyProtocolMissing,
        Fault::ProxyProtocolInvalid(InvalidHeader::Line),
        Fault::ProxyProtocolUntrusted,
        Fault::SessionLimit,
        Fault::QuicInitial,
        Fault::DatagramTooLarge,
    ];
    let tls = || {
        let certificates = CERTIFICATES.into_iter().map(TlsFault::Certificate);
        TLS.into_iter().chain(certificates)
    };
    faults.extend(HEADS.into_iter().map(Fault::RequestHead));
    faults.extend(BODIES.into_iter().map(Fault::RequestBody));
    faults.extend(SHED.into_iter().map(|cause| Fault::Shed(Shed { cause, retry_after: 1 })));
    faults.extend(tls().map(Fault::Handshake));
    faults.extend(CONNECT.into_iter().map(Fault::Connect));
    faults.extend(tls().map(|error| Fault::Connect(ConnectFailure::Tls(error))));
    faults
}

const CONNECT: [ConnectFailure; 6] = [
    ConnectFailure::Refused,
    ConnectFailure::TimedOut,
    ConnectFailure::Unreachable,
    ConnectFailure::Exhausted,
    ConnectFailure::Http2,
    ConnectFailure::Full,
];

const SHED: [ShedCause; 4] =
    [ShedCause::QueueFull, ShedCause::QueueTimedOut, ShedCause::BreakerOpen, ShedCause::Overloaded];

const TLS: [TlsFault; 7] = [
    TlsFault::TimedOut,
    TlsFault::Gone,
    TlsFault::NotTls { http: true },
    TlsFault::NotTls { http: false },
    TlsFault::Incompatible,
    TlsFault::Alert,
    TlsFault::Invalid,
];

const CERTIFICATES: [CertificateFault; 6] = [
    CertificateFault::Missing,
    CertificateFault::Expired,
    CertificateFault::UnknownIssuer,
    CertificateFault::WrongName,
    CertificateFault::Revoked,
    CertificateFault::Invalid,
];

/// All that a request's head can break; the status line is the answer's alone.
const HEADS: [HeadError; 30] = [
    HeadError::InvalidRequestLine,
    HeadError::InvalidMethod,
    HeadError::MethodTooLong,
    HeadError::InvalidTarget,
    HeadError::TargetDoesNotFitMethod,
    HeadError::TargetTooLong,
    HeadError::UserInformation,
    HeadError::InvalidVersion,
    HeadError::UnsupportedVersion,
    HeadError::BareLineFeed,
    HeadError::BareCarriageReturn,
    HeadError::ObsoleteFolding,
    HeadError::WhitespaceBeforeColon,
    HeadError::EmptyFieldName,
    HeadError::InvalidFieldName,
    HeadError::InvalidFieldValue,
    HeadError::HeadTooLarge,
    HeadError::TooManyFields,
    HeadError::MissingHost,
    HeadError::RepeatedHost,
    HeadError::InvalidHost,
    HeadError::InvalidContentLength,
    HeadError::RepeatedContentLength,
    HeadError::LengthAndTransferEncoding,
    HeadError::InvalidTransferEncoding,
    HeadError::ChunkedNotLast,
    HeadError::UnsupportedTransferCoding,
    HeadError::TransferEncodingInHttp10,
    HeadError::InvalidConnection,
    HeadError::ConnectWithBody,
];

const BODIES: [BodyError; 11] = [
    BodyError::InvalidChunkSize,
    BodyError::ChunkSizeOverflow,
    BodyError::InvalidChunkExtension,
    BodyError::ChunkExtensionsTooLong,
    BodyError::MissingChunkEnd,
    BodyError::BareLineFeed,
    BodyError::BareCarriageReturn,
    BodyError::InvalidTrailer,
    BodyError::ForbiddenTrailer,
    BodyError::TrailersTooLarge,
    BodyError::Incomplete,
];
