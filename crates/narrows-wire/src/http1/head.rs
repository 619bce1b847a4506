//! The words of a message head: spans, methods, versions, limits, and how a body is framed.

use std::ops::Range;

/// A range of the message's bytes; positions are 32 bits, a head is never longer.
#[derive(Debug, Copy, Clone, Default, PartialEq, Eq, Hash)]
pub struct Span {
    /// The first byte.
    pub start: u32,
    /// Just after the last byte.
    pub end: u32,
}

impl Span {
    pub(super) fn new(start: usize, end: usize) -> Span {
        Span { start: start as u32, end: end as u32 }
    }

    /// The bytes that the span stands for; empty when it lies outside of `bytes`.
    #[inline]
    pub fn of(self, bytes: &[u8]) -> &[u8] {
        bytes.get(self.range()).unwrap_or_default()
    }

    /// The span as a range of indices.
    pub fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }

    /// Whether it spans no bytes.
    pub fn is_empty(self) -> bool {
        self.end <= self.start
    }

    /// How many bytes it spans.
    pub fn len(self) -> usize {
        self.end.saturating_sub(self.start) as usize
    }
}

/// A request method (RFC 9110 section 9).
#[derive(Debug, Copy, Clone, PartialEq, Eq, Hash, Default)]
#[expect(missing_docs, reason = "each variant is the method of that name")]
pub enum Method {
    #[default]
    Get,
    Head,
    Post,
    Put,
    Delete,
    Connect,
    Options,
    Trace,
    Patch,
    /// Any other token.
    Other,
}

impl Method {
    /// The method of this name; methods are case-sensitive (RFC 9110 section 9.1).
    pub fn recognise(name: &[u8]) -> Method {
        match name {
            b"GET" => Self::Get,
            b"HEAD" => Self::Head,
            b"POST" => Self::Post,
            b"PUT" => Self::Put,
            b"DELETE" => Self::Delete,
            b"CONNECT" => Self::Connect,
            b"OPTIONS" => Self::Options,
            b"TRACE" => Self::Trace,
            b"PATCH" => Self::Patch,
            _ => Self::Other,
        }
    }

    /// Whether repeating the request has the effect of sending it once (RFC 9110 section 9.2.2).
    pub fn is_idempotent(self) -> bool {
        self.is_safe() || matches!(self, Self::Put | Self::Delete)
    }

    /// Whether the request only reads (RFC 9110 section 9.2.1).
    pub fn is_safe(self) -> bool {
        matches!(self, Self::Get | Self::Head | Self::Options | Self::Trace)
    }

    /// The name; empty for `Other`, whose name is in the head's bytes only.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Delete => "DELETE",
            Self::Connect => "CONNECT",
            Self::Options => "OPTIONS",
            Self::Trace => "TRACE",
            Self::Patch => "PATCH",
            Self::Other => "",
        }
    }
}

/// The version of a message; the only two that we take.
#[derive(Debug, Copy, Clone, PartialEq, Eq, Hash, Default)]
pub enum Version {
    /// HTTP/1.0 (RFC 1945).
    Http10,
    /// HTTP/1.1 (RFC 9112).
    #[default]
    Http11,
}

impl Version {
    /// As it stands in a start line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http10 => "HTTP/1.0",
            Self::Http11 => "HTTP/1.1",
        }
    }
}

/// How far a head may grow.
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
pub struct HeadLimits {
    /// Bytes of the whole head, with the empty lines before it and the one that ends it.
    pub head_bytes: usize,
    /// Field lines.
    pub fields: usize,
    /// Bytes of the request target.
    pub target_bytes: usize,
}

impl Default for HeadLimits {
    /// 32 KiB, 100 fields, 8 KiB of target.
    fn default() -> Self {
        HeadLimits { head_bytes: 32 * 1024, fields: 100, target_bytes: 8 * 1024 }
    }
}

/// How far the parse of a head came.
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
pub enum Progress {
    /// The head is complete; its length says where the body starts.
    Complete,
    /// All is well so far; call again with the same bytes and more behind them.
    Partial,
}

/// How the end of a body is found (RFC 9112 section 6.3).
#[derive(Debug, Copy, Clone, PartialEq, Eq, Hash, Default)]
pub enum BodyFraming {
    /// There is no body.
    #[default]
    None,
    /// This many bytes, possibly 0.
    Length(u64),
    /// Chunks, then trailers.
    Chunked,
    /// Everything until the connection closes (responses only).
    UntilClose,
}
