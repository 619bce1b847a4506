//! gRPC-Web for browsers, translated to gRPC (the gRPC-Web protocol document, "Protocol differences vs gRPC over HTTP2").
//!
//! A browser cannot see trailers: they become the last frame of the body. `-text` bodies are base64 on top.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, TE};
use http::{HeaderMap, HeaderValue};
use std::io;

/// The flag of a frame that holds trailers.
const TRAILERS: u8 = 0x80;

/// How a request speaks gRPC-Web.
#[derive(Debug, Clone)]
pub(crate) struct GrpcWeb {
    is_text: bool,
    /// `+proto` for instance.
    suffix: String,
}

impl GrpcWeb {
    /// What a content type says; `None` when it is not gRPC-Web.
    pub(crate) fn of(content_type: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(content_type).ok()?.to_ascii_lowercase();
        let rest = text.split(';').next()?.trim().strip_prefix("application/grpc-web")?;
        let (is_text, suffix) = match rest.strip_prefix("-text") {
            Some(suffix) => (true, suffix),
            None => (false, rest),
        };
        (suffix.is_empty() || suffix.starts_with('+')).then(|| GrpcWeb { is_text, suffix: suffix.to_owned() })
    }

    /// Makes it a request of gRPC.
    pub(crate) fn change_request(&self, headers: &mut HeaderMap) {
        headers.remove(CONTENT_LENGTH);
        headers.insert(TE, HeaderValue::from_static("trailers"));
        self.set_type("application/grpc", headers);
    }

    /// Makes it an answer of gRPC-Web. Trailers that came alone stay in the head, where browsers see them.
    pub(crate) fn change_response(&self, headers: &mut HeaderMap) {
        headers.remove(CONTENT_LENGTH);
        let web = if self.is_text { "application/grpc-web-text" } else { "application/grpc-web" };
        self.set_type(web, headers);
    }

    fn set_type(&self, base: &str, headers: &mut HeaderMap) {
        if let Ok(value) = HeaderValue::from_str(&format!("{base}{}", self.suffix)) {
            headers.insert(CONTENT_TYPE, value);
        }
    }

    /// Takes the base64 off a request's body.
    pub(crate) fn decoder(&self) -> Option<Decoder> {
        self.is_text.then(Decoder::default)
    }

    /// A piece of an answer's body as the browser gets it.
    pub(crate) fn encode(&self, data: Bytes) -> Bytes {
        // Pieces that are padded each on their own may follow one another.
        if self.is_text { STANDARD.encode(&data).into() } else { data }
    }

    /// The frame that holds the trailers.
    pub(crate) fn trailers(&self, trailers: Option<&HeaderMap>) -> Bytes {
        let mut text = Vec::new();
        for (name, value) in trailers.into_iter().flatten() {
            text.extend_from_slice(name.as_str().as_bytes());
            text.extend_from_slice(b": ");
            text.extend_from_slice(value.as_bytes());
            text.extend_from_slice(b"\r\n");
        }
        let mut frame = vec![TRAILERS];
        frame.extend_from_slice(&u32::try_from(text.len()).unwrap_or(0).to_be_bytes());
        frame.extend_from_slice(&text);
        self.encode(frame.into())
    }
}

/// Takes base64 off a body that comes in pieces, and that may itself be pieces padded each on their own.
#[derive(Debug, Clone, Default)]
pub(crate) struct Decoder {
    group: [u8; 4],
    filled: usize,
}

impl Decoder {
    /// What `bytes` stand for, as far as their groups of four are whole.
    pub(crate) fn decode(&mut self, bytes: &[u8]) -> io::Result<Bytes> {
        let mut decoded = Vec::with_capacity(bytes.len() / 4 * 3 + 3);
        for &byte in bytes {
            self.group[self.filled] = byte;
            self.filled += 1;
            if self.filled == self.group.len() {
                self.filled = 0;
                STANDARD
                    .decode_vec(self.group, &mut decoded)
                    .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
            }
        }
        Ok(decoded.into())
    }
}

#[cfg(test)]
mod tests;
