//! How passed sockets are described to the process that takes them: one line for each address.

use narrows_plan::Bind;
use std::ffi::OsString;
use std::os::fd::RawFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

/// What a listening socket carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// Connections.
    Stream,
    /// Datagrams, with a socket for each worker.
    Datagrams,
    /// Datagrams of which one worker takes all.
    LoneDatagrams,
}

/// The sockets of one address, as they are told of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passing<S> {
    /// The listener that had them; empty where that is not known.
    pub listener: Box<str>,
    /// What they carry.
    pub transport: Transport,
    /// The address as the configuration has it, with port 0 for any free one.
    pub written: Bind,
    /// Whether a service manager made them: they are never unlinked, and no further ones are put beside them.
    pub managed: bool,
    /// The sockets, each of them once.
    pub sockets: Vec<S>,
}

const STREAM: &str = "stream";
const DATAGRAMS: &str = "datagrams";
const LONE_DATAGRAMS: &str = "lone-datagrams";
const MANAGED: &str = "managed";
const OWN: &str = "own";

/// Describes sockets in lines of fields: transport, owner, listener, address, descriptors.
pub(super) fn write(passed: &[Passing<RawFd>]) -> String {
    let mut text = String::new();
    for Passing { listener, transport, written, managed, sockets } in passed {
        let transport = match transport {
            Transport::Stream => STREAM,
            Transport::Datagrams => DATAGRAMS,
            Transport::LoneDatagrams => LONE_DATAGRAMS,
        };
        let owner = if *managed { MANAGED } else { OWN };
        let address = match written {
            Bind::Socket(address) => address.to_string(),
            Bind::Unix(path) => format!("unix:{}", escape(path.as_os_str().as_bytes())),
        };
        let descriptors: Vec<String> = sockets.iter().map(ToString::to_string).collect();
        let listener = escape(listener.as_bytes());
        text.push_str(&format!("{transport} {owner} {listener} {address} {}\n", descriptors.join(",")));
    }
    text
}

/// Reads what [`write`] wrote; `None` for anything else.
pub(super) fn read(text: &str) -> Option<Vec<Passing<RawFd>>> {
    text.lines().map(read_line).collect()
}

fn read_line(line: &str) -> Option<Passing<RawFd>> {
    let mut fields = line.split(' ');
    let transport = match fields.next()? {
        STREAM => Transport::Stream,
        DATAGRAMS => Transport::Datagrams,
        LONE_DATAGRAMS => Transport::LoneDatagrams,
        _ => return None,
    };
    let managed = match fields.next()? {
        MANAGED => true,
        OWN => false,
        _ => return None,
    };
    let listener = String::from_utf8(unescape(fields.next()?)?).ok()?.into();
    let address = fields.next()?;
    let written = match address.strip_prefix("unix:") {
        Some(path) => Bind::Unix(PathBuf::from(OsString::from_vec(unescape(path)?))),
        None => Bind::Socket(address.parse().ok()?),
    };
    let sockets = fields.next()?.split(',').map(|number| number.parse().ok());
    let sockets = sockets.collect::<Option<Vec<RawFd>>>()?;
    fields.next().is_none().then_some(Passing { listener, transport, written, managed, sockets })
}

/// Writes `%` and two digits for every byte that could be taken for a separator.
fn escape(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for &byte in bytes {
        if byte.is_ascii_graphic() && byte != b'%' {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02x}"));
        }
    }
    text
}

fn unescape(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digits = std::str::from_utf8(rest.get(..2)?).ok()?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        rest = &rest[2..];
    }
    Some(bytes)
}
