//! Server name and protocols out of a TLS client hello, without terminating TLS (RFC 8446 section 4.1.2).
//!
//! Strict where a looser parser could see another name than the server will: lengths must add up, and a repeated
//! extension or a malformed name is an error.

use thiserror::Error;

/// What the first bytes of a connection are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Peek {
    /// A client hello so far; call again with more bytes.
    Partial,
    /// Something else than TLS.
    NotTls,
    /// A whole client hello, and where it wants to go.
    Hello {
        /// The name in lower case (RFC 6066 section 3).
        server_name: Option<String>,
        /// The protocols that the client offers, the preferred one first (RFC 7301). Bytes that are not UTF-8 become
        /// U+FFFD, which no configured name contains.
        alpn: Vec<String>,
    },
    /// TLS, but no client hello that a server could accept.
    Invalid(InvalidHello),
}

/// What is wrong with a client hello.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum InvalidHello {
    /// A record that is empty or longer than 2^14 bytes, or no handshake record (RFC 8446 section 5.1).
    #[error("a malformed TLS record")]
    Record,
    /// The first message is not a client hello (RFC 8446 section 4.1.2).
    #[error("the first message is not a client hello")]
    UnexpectedMessage,
    /// Longer than 16 KiB, or in more than 32 records.
    #[error("the client hello is too long")]
    TooLong,
    /// The lengths in it do not add up.
    #[error("the client hello is malformed")]
    Malformed,
    /// The server name is repeated, empty or no DNS name (RFC 6066 section 3).
    #[error("the server name is malformed")]
    ServerName,
    /// The list of protocols is repeated or malformed (RFC 7301 section 3.1).
    #[error("the list of protocols is malformed")]
    Alpn,
}

/// The longest client hello that is read; post-quantum key shares make 2 KiB common.
const MESSAGE_BYTES: usize = 16 * 1024;
const RECORD_BYTES: usize = 1 << 14;
const RECORDS: usize = 32;

/// Reads the client hello at the start of `bytes`, the first bytes of a connection.
///
/// Costs a walk over at most 32 record headers until the hello is complete. `bytes` never needs to be longer than
/// 16 KiB plus 32 record headers to get another answer than `Partial`.
pub fn peek(bytes: &[u8]) -> Peek {
    match read_message(bytes) {
        Ok(Some(peek)) => peek,
        Ok(None) => Peek::Partial,
        Err(error) => Peek::Invalid(error),
    }
}

/// Reads the client hello at the start of `bytes` where it comes without TLS records: QUIC carries it so (RFC 9001 section 4).
pub fn peek_message(bytes: &[u8]) -> Peek {
    let [kind, length @ ..] = bytes else { return Peek::Partial };
    if *kind != 1 {
        return Peek::Invalid(InvalidHello::UnexpectedMessage);
    }
    let [high, middle, low, message @ ..] = length else { return Peek::Partial };
    let length = u32::from_be_bytes([0, *high, *middle, *low]) as usize;
    if length > MESSAGE_BYTES {
        return Peek::Invalid(InvalidHello::TooLong);
    }
    match message.get(..length) {
        Some(message) => read_hello(message).unwrap_or_else(Peek::Invalid),
        None => Peek::Partial,
    }
}

/// Walks over records until they hold the whole first message.
fn read_message(bytes: &[u8]) -> Result<Option<Peek>, InvalidHello> {
    let mut fragments = Vec::new();
    let joined: Vec<u8>;
    let mut rest = bytes;
    let mut prefix = [0u8; 4];
    let mut length = 0;
    for record in 0..RECORDS {
        match rest {
            [0x16, 3, 0..=4, ..] | [0x16, 3] | [0x16] | [] => {}
            _ if record == 0 => return Ok(Some(Peek::NotTls)),
            _ => return Err(InvalidHello::Record),
        }
        let [_, _, _, high, low, after @ ..] = rest else { return Ok(None) };
        let size = usize::from(u16::from_be_bytes([*high, *low]));
        if size == 0 || size > RECORD_BYTES {
            return Err(InvalidHello::Record);
        }
        let fragment = &after[..size.min(after.len())];
        for (slot, byte) in prefix.iter_mut().skip(length).zip(fragment) {
            *slot = *byte;
        }
        length += fragment.len();
        fragments.push(fragment);
        if length > 0 && prefix[0] != 1 {
            return Err(InvalidHello::UnexpectedMessage);
        }
        if length >= 4 {
            let message = u32::from_be_bytes([0, prefix[1], prefix[2], prefix[3]]) as usize;
            if message > MESSAGE_BYTES {
                return Err(InvalidHello::TooLong);
            }
            if length >= 4 + message {
                let whole = match fragments.as_slice() {
                    [only] => only,
                    many => {
                        joined = many.concat();
                        &joined[..]
                    }
                };
                return read_hello(&whole[4..4 + message]).map(Some);
            }
        }
        if fragment.len() < size {
            return Ok(None);
        }
        rest = &after[size..];
    }
    Err(InvalidHello::TooLong)
}

fn read_hello(message: &[u8]) -> Result<Peek, InvalidHello> {
    let (mut server_name, mut alpn) = (None, None);
    let malformed = InvalidHello::Malformed;
    let mut reader = Reader { rest: message };
    reader.take(2 + 32).ok_or(malformed)?;
    let session = reader.vector8().ok_or(malformed)?;
    let suites = reader.vector16().ok_or(malformed)?;
    let compressions = reader.vector8().ok_or(malformed)?;
    if session.len() > 32 || suites.is_empty() || !suites.len().is_multiple_of(2) || compressions.is_empty() {
        return Err(malformed);
    }
    if reader.rest.is_empty() {
        return Ok(Peek::Hello { server_name: None, alpn: Vec::new() });
    }
    let mut extensions = Reader { rest: reader.vector16().ok_or(malformed)? };
    if !reader.rest.is_empty() {
        return Err(malformed);
    }
    while !extensions.rest.is_empty() {
        let kind = extensions.number16().ok_or(malformed)?;
        let content = extensions.vector16().ok_or(malformed)?;
        match kind {
            0 => {
                let name = read_server_name(content).ok_or(InvalidHello::ServerName)?;
                if server_name.replace(name).is_some() {
                    return Err(InvalidHello::ServerName);
                }
            }
            16 => {
                let protocols = read_alpn(content).ok_or(InvalidHello::Alpn)?;
                if alpn.replace(protocols).is_some() {
                    return Err(InvalidHello::Alpn);
                }
            }
            _ => {}
        }
    }
    Ok(Peek::Hello { server_name, alpn: alpn.unwrap_or_default() })
}

/// The one host name of a list that must hold exactly this (RFC 6066 section 3 defines no other kind of name).
fn read_server_name(content: &[u8]) -> Option<String> {
    let mut reader = Reader { rest: content };
    let mut list = Reader { rest: reader.vector16()? };
    let kind = list.take(1)?;
    let name = list.vector16()?;
    if kind != [0] || !list.rest.is_empty() || !reader.rest.is_empty() {
        return None;
    }
    let plain = name.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_'));
    let labels = name.split(|&byte| byte == b'.').all(|label| !label.is_empty() && label.len() <= 63);
    if !plain || !labels || name.len() > 253 {
        return None;
    }
    Some(std::str::from_utf8(name).ok()?.to_ascii_lowercase())
}

fn read_alpn(content: &[u8]) -> Option<Vec<String>> {
    let mut reader = Reader { rest: content };
    let mut list = Reader { rest: reader.vector16()? };
    if list.rest.is_empty() || !reader.rest.is_empty() {
        return None;
    }
    let mut protocols = Vec::new();
    while !list.rest.is_empty() {
        let protocol = list.vector8()?;
        if protocol.is_empty() {
            return None;
        }
        protocols.push(String::from_utf8_lossy(protocol).into_owned());
    }
    Some(protocols)
}

/// Takes TLS presentation language apart (RFC 8446 section 3).
struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(taken)
    }

    fn number16(&mut self) -> Option<u16> {
        let bytes = self.take(2)?;
        Some(u16::from_be_bytes([bytes[0], bytes[1]]))
    }

    fn vector8(&mut self) -> Option<&'a [u8]> {
        let length = self.take(1)?[0];
        self.take(usize::from(length))
    }

    fn vector16(&mut self) -> Option<&'a [u8]> {
        let length = self.number16()?;
        self.take(usize::from(length))
    }
}

#[cfg(test)]
mod tests;
