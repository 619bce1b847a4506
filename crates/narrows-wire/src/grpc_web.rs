//! What gRPC-Web does differently from gRPC (its protocol document, "Protocol differences vs gRPC over HTTP2").
//!
//! A browser cannot see trailers: they become the last frame of the body. `-text` bodies are base64 on top.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use thiserror::Error;

/// The flag of a frame that holds trailers.
const TRAILERS: u8 = 0x80;
/// Longest suffix of a content type, `+proto` for instance.
const SUFFIX_BYTES: usize = 64;

/// How a request speaks gRPC-Web.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrpcWeb {
    is_text: bool,
    suffix: String,
}

impl GrpcWeb {
    /// What a content type says; `None` when it is not gRPC-Web.
    pub fn of(content_type: &[u8]) -> Option<Self> {
        const BASE: &str = "application/grpc-web";
        let text = std::str::from_utf8(content_type).ok()?.to_ascii_lowercase();
        let rest = text.split(';').next()?.trim_ascii().strip_prefix(BASE)?;
        let (is_text, suffix) = match rest.strip_prefix("-text") {
            Some(suffix) => (true, suffix),
            None => (false, rest),
        };
        let known = suffix.is_empty() || suffix.starts_with('+');
        (known && suffix.len() <= SUFFIX_BYTES).then(|| GrpcWeb { is_text, suffix: suffix.to_owned() })
    }

    /// The content type of the same messages in gRPC.
    pub fn grpc_type(&self) -> String {
        format!("application/grpc{}", self.suffix)
    }

    /// The content type of an answer in gRPC-Web.
    pub fn web_type(&self) -> String {
        format!("application/grpc-web{}{}", if self.is_text { "-text" } else { "" }, self.suffix)
    }

    /// Takes the base64 off a request's body; `None` where there is none.
    pub fn decoder(&self) -> Option<Decoder> {
        self.is_text.then(Decoder::default)
    }

    /// A piece of an answer's body as the browser gets it.
    pub fn encode(&self, data: &[u8]) -> Vec<u8> {
        // Pieces that are padded each on their own may follow one another.
        if self.is_text { STANDARD.encode(data).into() } else { data.to_vec() }
    }

    /// The last frame of an answer's body, which holds its trailers.
    pub fn trailer_frame<'a>(&self, trailers: impl Iterator<Item = (&'a [u8], &'a [u8])>) -> Vec<u8> {
        let mut frame = vec![TRAILERS, 0, 0, 0, 0];
        for (name, value) in trailers {
            for part in [name, b": ", value, b"\r\n"] {
                frame.extend_from_slice(part);
            }
        }
        let length = u32::try_from(frame.len() - 5).unwrap_or(u32::MAX);
        frame[1..5].copy_from_slice(&length.to_be_bytes());
        self.encode(&frame)
    }
}

/// Takes base64 off a body that comes in pieces, and that may itself be pieces padded each on their own. How it is cut makes no difference.
#[derive(Debug, Clone, Default)]
pub struct Decoder {
    group: [u8; 4],
    filled: usize,
}

/// The body is not base64.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the body is not base64")]
pub struct NotBase64;

impl Decoder {
    /// Appends what `bytes` stand for, as far as their groups of four are whole.
    ///
    /// # Errors
    /// They are not base64; final.
    pub fn decode(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), NotBase64> {
        for &byte in bytes {
            self.group[self.filled] = byte;
            self.filled += 1;
            if self.filled == self.group.len() {
                self.filled = 0;
                STANDARD.decode_vec(self.group, out).map_err(|_| NotBase64)?;
            }
        }
        Ok(())
    }

    /// Whether the bytes so far end with a whole group, as a body must.
    pub fn is_whole(&self) -> bool {
        self.filled == 0
    }
}

#[cfg(test)]
mod tests;
