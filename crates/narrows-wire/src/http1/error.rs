//! Why a message head was refused.

use thiserror::Error;

/// Why a head was refused; for a request, the sender is to blame and the connection cannot be read on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum HeadError {
    /// The request line is not `method SP target SP version CRLF` (RFC 9112 section 3).
    #[error("the request line is malformed")]
    InvalidRequestLine,
    /// The method is not a token (RFC 9110 section 9.1).
    #[error("the method is not a token")]
    InvalidMethod,
    /// The method is longer than any that exists (RFC 9112 section 3).
    #[error("the method is too long")]
    MethodTooLong,
    /// The target is empty, or holds a control, a space, a non-ASCII byte or `#`, or has none of the four forms
    /// (RFC 9112 section 3.2).
    #[error("the request target is malformed")]
    InvalidTarget,
    /// The target has a form that its method does not allow (RFC 9112 section 3.2).
    #[error("the form of the request target does not fit the method")]
    TargetDoesNotFitMethod,
    /// The target is longer than the limit (RFC 9110 section 15.5.15).
    #[error("the request target is too long")]
    TargetTooLong,
    /// The authority in the target holds user information (RFC 9110 section 4.2.4).
    #[error("the request target holds user information")]
    UserInformation,
    /// Where the version should stand is something else (RFC 9112 section 2.3).
    #[error("the version is malformed")]
    InvalidVersion,
    /// A well-formed version that is neither HTTP/1.0 nor HTTP/1.1 (RFC 9110 section 15.6.6).
    #[error("the version is not supported")]
    UnsupportedVersion,
    /// The status line is not `version SP 3DIGIT SP [reason] CRLF` (RFC 9112 section 4).
    #[error("the status line is malformed")]
    InvalidStatusLine,
    /// A line ends in LF without CR (RFC 9112 section 2.2 would let us accept it; some parsers do, some do not).
    #[error("a line ends in a bare LF")]
    BareLineFeed,
    /// A CR without LF (RFC 9112 section 2.2).
    #[error("a bare CR")]
    BareCarriageReturn,
    /// A field line that starts with whitespace (RFC 9112 sections 2.2 and 5.2).
    #[error("a field line is folded")]
    ObsoleteFolding,
    /// Whitespace between a field name and its colon (RFC 9112 section 5.1).
    #[error("whitespace before the colon of a field")]
    WhitespaceBeforeColon,
    /// A field line that starts with a colon (RFC 9110 section 5.1).
    #[error("a field without a name")]
    EmptyFieldName,
    /// A byte in a field name that is no token byte, or a field line without a colon (RFC 9110 section 5.1).
    #[error("an invalid byte in a field name")]
    InvalidFieldName,
    /// A control byte in a field value (RFC 9110 section 5.5).
    #[error("an invalid byte in a field value")]
    InvalidFieldValue,
    /// The head is longer than the limit (RFC 6585 section 5).
    #[error("the head is too large")]
    HeadTooLarge,
    /// There are more fields than the limit (RFC 6585 section 5).
    #[error("too many fields")]
    TooManyFields,
    /// HTTP/1.1 without Host (RFC 9112 section 3.2).
    #[error("the Host field is missing")]
    MissingHost,
    /// More than one Host field, also when they agree (RFC 9112 section 3.2).
    #[error("more than one Host field")]
    RepeatedHost,
    /// The authority in Host or in the target is no host with an optional port (RFC 9112 section 3.2). Stricter
    /// than the grammar: a name holds letters, digits and `-._~` only, never a percent-encoding or a sub-delimiter.
    #[error("the host is invalid")]
    InvalidHost,
    /// The length is not a plain decimal number that fits 64 bits (RFC 9112 section 6.3). Lists, also of equal
    /// numbers, are refused.
    #[error("the content length is invalid")]
    InvalidContentLength,
    /// More than one Content-Length field, also when they agree (RFC 9112 section 6.3).
    #[error("more than one Content-Length field")]
    RepeatedContentLength,
    /// Both Transfer-Encoding and Content-Length (RFC 9112 section 6.1).
    #[error("both a transfer encoding and a content length")]
    LengthAndTransferEncoding,
    /// Transfer-Encoding holds something that is no list of codings, or an empty one (RFC 9112 section 6.1).
    #[error("the transfer encoding is malformed")]
    InvalidTransferEncoding,
    /// `chunked` is repeated, has parameters or is not last (RFC 9112 section 6.1).
    #[error("the chunked coding is not the last one")]
    ChunkedNotLast,
    /// A transfer coding that we do not know (RFC 9112 section 6.1).
    #[error("the transfer coding is not supported")]
    UnsupportedTransferCoding,
    /// Transfer-Encoding in an HTTP/1.0 message (RFC 9112 section 6.1).
    #[error("a transfer encoding in HTTP/1.0")]
    TransferEncodingInHttp10,
    /// Connection is no list of tokens, lists more than 32 options, or names Host or Content-Length, which are for
    /// all recipients (RFC 9110 section 7.6.1).
    #[error("the Connection field is invalid")]
    InvalidConnection,
    /// CONNECT with a body (RFC 9110 section 9.3.6): one parser's body is the other parser's tunnel.
    #[error("CONNECT with a body")]
    ConnectWithBody,
}

impl HeadError {
    /// The status of the answer to a request that has this fault.
    pub fn status(self) -> u16 {
        match self {
            Self::TargetTooLong => 414,
            Self::HeadTooLarge | Self::TooManyFields => 431,
            Self::MethodTooLong | Self::UnsupportedTransferCoding => 501,
            Self::UnsupportedVersion => 505,
            Self::InvalidRequestLine
            | Self::InvalidMethod
            | Self::InvalidTarget
            | Self::TargetDoesNotFitMethod
            | Self::UserInformation
            | Self::InvalidVersion
            | Self::InvalidStatusLine
            | Self::BareLineFeed
            | Self::BareCarriageReturn
            | Self::ObsoleteFolding
            | Self::WhitespaceBeforeColon
            | Self::EmptyFieldName
            | Self::InvalidFieldName
            | Self::InvalidFieldValue
            | Self::MissingHost
            | Self::RepeatedHost
            | Self::InvalidHost
            | Self::InvalidContentLength
            | Self::RepeatedContentLength
            | Self::LengthAndTransferEncoding
            | Self::InvalidTransferEncoding
            | Self::ChunkedNotLast
            | Self::TransferEncodingInHttp10
            | Self::InvalidConnection
            | Self::ConnectWithBody => 400,
        }
    }

    /// A stable name for logs and metrics.
    pub fn token(self) -> &'static str {
        match self {
            Self::InvalidRequestLine => "invalid-request-line",
            Self::InvalidMethod => "invalid-method",
            Self::MethodTooLong => "method-too-long",
            Self::InvalidTarget => "invalid-target",
            Self::TargetDoesNotFitMethod => "target-does-not-fit-method",
            Self::TargetTooLong => "target-too-long",
            Self::UserInformation => "user-information",
            Self::InvalidVersion => "invalid-version",
            Self::UnsupportedVersion => "unsupported-version",
            Self::InvalidStatusLine => "invalid-status-line",
            Self::BareLineFeed => "bare-line-feed",
            Self::BareCarriageReturn => "bare-carriage-return",
            Self::ObsoleteFolding => "obsolete-folding",
            Self::WhitespaceBeforeColon => "whitespace-before-colon",
            Self::EmptyFieldName => "empty-field-name",
            Self::InvalidFieldName => "invalid-field-name",
            Self::InvalidFieldValue => "invalid-field-value",
            Self::HeadTooLarge => "head-too-large",
            Self::TooManyFields => "too-many-fields",
            Self::MissingHost => "missing-host",
            Self::RepeatedHost => "repeated-host",
            Self::InvalidHost => "invalid-host",
            Self::InvalidContentLength => "invalid-content-length",
            Self::RepeatedContentLength => "repeated-content-length",
            Self::LengthAndTransferEncoding => "length-and-transfer-encoding",
            Self::InvalidTransferEncoding => "invalid-transfer-encoding",
            Self::ChunkedNotLast => "chunked-not-last",
            Self::UnsupportedTransferCoding => "unsupported-transfer-coding",
            Self::TransferEncodingInHttp10 => "transfer-encoding-in-http-1-0",
            Self::InvalidConnection => "invalid-connection",
            Self::ConnectWithBody => "connect-with-body",
        }
    }
}
