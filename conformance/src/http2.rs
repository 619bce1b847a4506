//! One side of an HTTP/2 connection, written by hand: every frame is the test's choice, and nothing that
//! arrives is forgiven silently. Small on purpose; it shares no code with the proxy.

mod answer;
mod frame;

use std::collections::{BTreeMap, HashMap};
use std::io;

use loona_hpack::Decoder;

pub use answer::Answer;
pub use frame::{Fields, Frame, NEWEST, PREFACE, block, code, flag, kind, remembered, setting};

use crate::connection::Connection;

/// What a peer may send before it is told otherwise (RFC 9113 section 6.9.2).
const WINDOW: i64 = 65_535;

/// A connection that speaks HTTP/2.
pub struct Http2 {
    connection: Connection,
    decoder: Decoder<'static>,
    client: bool,
    /// Whether windows are opened again as DATA arrives. A slow reader says false.
    pub replenish: bool,
    /// What the other side set.
    pub settings: HashMap<u16, u32>,
    /// The last stream and the code of the other side's GOAWAY; of the last one when it sent several.
    pub go_away: Option<(u32, u32)>,
    /// What was in the answers to PINGs.
    pub pongs: Vec<Vec<u8>>,
    /// How often the other side acknowledged SETTINGS.
    pub acknowledged: usize,
    streams: BTreeMap<u32, Received>,
    window: i64,
    windows: HashMap<u32, i64>,
    block: Option<(u32, bool, Vec<u8>)>,
    next: u32,
    seen: u32,
}

/// What arrived on a stream so far.
#[derive(Debug, Clone, Default)]
pub struct Received {
    /// The heads in order: interim ones, the final one, trailers.
    pub heads: Vec<Fields>,
    /// The content.
    pub body: Vec<u8>,
    /// Whether the other side ended it.
    pub ended: bool,
    /// The code with which the other side reset it.
    pub reset: Option<u32>,
}

impl Http2 {
    /// Connects with prior knowledge, as a client.
    #[track_caller]
    pub fn connect(address: &str) -> Http2 {
        Http2::over(Connection::connect(address))
    }

    /// Speaks as a client over a connection, which may be TLS.
    #[track_caller]
    pub fn over(connection: Connection) -> Http2 {
        Http2::over_with(connection, &[])
    }

    /// The same with settings of choice.
    #[track_caller]
    pub fn over_with(mut connection: Connection, settings: &[(u16, u32)]) -> Http2 {
        connection.send([PREFACE, &Frame::settings(settings).bytes()].concat());
        Http2::new(connection, true)
    }

    /// Speaks as a server over a connection that arrived; `None` when the client does not speak HTTP/2.
    pub fn accept(mut connection: Connection, settings: &[(u16, u32)]) -> Option<Http2> {
        if connection.try_read_exactly(PREFACE.len())? != PREFACE {
            return None;
        }
        connection.try_send(Frame::settings(settings).bytes()).ok()?;
        Some(Http2::new(connection, false))
    }

    fn new(connection: Connection, client: bool) -> Http2 {
        Http2 {
            connection,
            decoder: Decoder::new(),
            client,
            replenish: true,
            settings: HashMap::new(),
            go_away: None,
            pongs: Vec::new(),
            acknowledged: 0,
            streams: BTreeMap::new(),
            window: WINDOW,
            windows: HashMap::new(),
            block: None,
            next: 1,
            seen: 0,
        }
    }

    /// The connection below.
    pub fn connection(&mut self) -> &mut Connection {
        &mut self.connection
    }

    /// Sends a frame.
    #[track_caller]
    pub fn send(&mut self, frame: &Frame) {
        self.try_send(frame).expect("the frame can be sent");
    }

    /// Sends a frame; an error when the other side is gone.
    pub fn try_send(&mut self, frame: &Frame) -> io::Result<()> {
        self.connection.try_send(frame.bytes())
    }

    /// Opens a stream with `GET`-like fields of `https://example.com` and these further ones; returns its number.
    #[track_caller]
    pub fn open(&mut self, method: &str, path: &str, further: &[(&str, &str)], end: bool) -> u32 {
        let mut fields =
            vec![(":method", method), (":scheme", "http"), (":authority", "example.com"), (":path", path)];
        fields.extend(further);
        self.open_exactly(&fields, end)
    }

    /// Opens a stream with exactly these fields.
    #[track_caller]
    pub fn open_exactly(&mut self, fields: &[(&str, &str)], end: bool) -> u32 {
        let stream = self.next;
        self.next += 2;
        self.send(&Frame::headers(stream, fields, end));
        stream
    }

    /// The number that the next stream gets when it is opened by hand.
    pub fn reserve(&mut self) -> u32 {
        self.next += 2;
        self.next - 2
    }

    /// Sends `GET path` and reads the whole answer.
    #[track_caller]
    pub fn get(&mut self, path: &str) -> Answer {
        let stream = self.open("GET", path, &[], true);
        self.answer(stream)
    }

    /// Sends content as the windows allow, and ends the stream when `end`.
    #[track_caller]
    pub fn upload(&mut self, stream: u32, content: &[u8], end: bool) {
        let sent = self.upload_some(stream, content, end);
        assert_eq!(sent, content.len(), "the other side ended stream {stream} before");
    }

    /// Sends content until all is gone or the other side has ended the stream; returns how much went.
    #[track_caller]
    pub fn upload_some(&mut self, stream: u32, content: &[u8], end: bool) -> usize {
        let mut sent = 0;
        loop {
            let open = self.send_window(stream);
            let size = (content.len() - sent).min(16_384).min(usize::try_from(open).unwrap_or(0));
            let last = sent + size == content.len();
            if size > 0 || last {
                self.send(&Frame::data(stream, &content[sent..sent + size], end && last));
                self.window -= size as i64;
                *self.stream_window(stream) -= size as i64;
                sent += size;
            }
            if last {
                return sent;
            }
            while self.send_window(stream) <= 0 {
                let gone = self.received(stream).reset.is_some();
                if gone || !self.step() {
                    return sent;
                }
            }
        }
    }

    /// How much may be sent on a stream now.
    pub fn send_window(&mut self, stream: u32) -> i64 {
        self.window.min(*self.stream_window(stream))
    }

    fn stream_window(&mut self, stream: u32) -> &mut i64 {
        let initial =
            self.settings.get(&setting::INITIAL_WINDOW_SIZE).map_or(WINDOW, |size| i64::from(*size));
        self.windows.entry(stream).or_insert(initial)
    }

    /// What arrived on a stream so far.
    pub fn received(&self, stream: u32) -> &Received {
        static NOTHING: Received =
            Received { heads: Vec::new(), body: Vec::new(), ended: false, reset: None };
        self.streams.get(&stream).unwrap_or(&NOTHING)
    }

    /// Reads frames until `condition` holds; false when the connection ended before.
    #[track_caller]
    pub fn until(&mut self, mut condition: impl FnMut(&Http2) -> bool) -> bool {
        while !condition(self) {
            if !self.step() {
                return condition(self);
            }
        }
        true
    }

    /// Reads the final head of a stream; panics when it is reset instead.
    #[track_caller]
    pub fn head(&mut self, stream: u32) -> Answer {
        let answer = self.head_or_reset(stream);
        assert!(answer.is_final(), "no final head on stream {stream}: {answer:?} {:?}", self.go_away);
        answer
    }

    /// Reads until a stream has a final head or is reset.
    #[track_caller]
    pub fn head_or_reset(&mut self, stream: u32) -> Answer {
        self.until(|peer| {
            let stream = peer.streams.get(&stream);
            stream.is_some_and(|stream| {
                stream.reset.is_some() || stream.heads.iter().any(|head| !status(head).starts_with('1'))
            })
        });
        Answer::of(self.received(stream))
    }

    /// Reads everything of a stream, up to its end or its reset.
    #[track_caller]
    pub fn answer(&mut self, stream: u32) -> Answer {
        let over = |peer: &Http2| {
            peer.streams.get(&stream).is_some_and(|stream| stream.ended || stream.reset.is_some())
        };
        let ended = self.until(over);
        assert!(ended, "the connection ended before stream {stream}: GOAWAY {:?}", self.go_away);
        Answer::of(self.received(stream))
    }

    /// Reads until the other side ends the connection; returns its GOAWAY.
    #[track_caller]
    pub fn end(&mut self) -> Option<(u32, u32)> {
        while self.step() {}
        self.go_away
    }

    /// As a server: waits for the next stream with a head; `None` at the end of the connection.
    pub fn next_request(&mut self) -> Option<u32> {
        let seen = self.seen;
        let newer = |peer: &Http2| peer.streams.range(seen + 1..).next().map(|(number, _)| *number);
        self.until(|peer| newer(peer).is_some());
        self.seen = newer(self)?;
        Some(self.seen)
    }

    /// As a server: reads all of a request and returns it.
    #[track_caller]
    pub fn whole_request(&mut self, stream: u32) -> Received {
        self.until(|peer| peer.received(stream).ended || peer.received(stream).reset.is_some());
        self.received(stream).clone()
    }

    /// As a server: answers a stream.
    pub fn respond(&mut self, stream: u32, fields: &[(&str, &str)], content: &str) {
        let _ = self.try_send(&Frame::headers(stream, fields, content.is_empty()));
        if !content.is_empty() {
            let _ = self.try_send(&Frame::data(stream, content, true));
        }
    }

    /// Reads one frame and does what it asks for; false at the end of the connection.
    #[track_caller]
    pub fn step(&mut self) -> bool {
        let Some(frame) = self.read_frame() else { return false };
        self.apply(frame);
        true
    }

    /// Reads one frame and does nothing with it.
    #[track_caller]
    pub fn read_frame(&mut self) -> Option<Frame> {
        let head = self.connection.try_read_exactly(9)?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        assert!(length <= 16_384, "no frame is larger than what this side allows: {length} bytes");
        let payload = self.connection.try_read_exactly(length as usize)?;
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]) & 0x7fff_ffff;
        Some(Frame { kind: head[3], flags: head[4], stream, payload })
    }

    #[track_caller]
    fn apply(&mut self, frame: Frame) {
        if let Some((stream, ..)) = &self.block {
            assert!(frame.kind == kind::CONTINUATION && frame.stream == *stream, "a head is not interrupted");
        }
        match frame.kind {
            kind::DATA => self.data(&frame),
            kind::HEADERS | kind::CONTINUATION => self.head_block(frame),
            kind::RST_STREAM => self.stream(frame.stream).reset = Some(frame.number(0)),
            kind::SETTINGS if frame.has(flag::ACK) => self.acknowledged += 1,
            kind::SETTINGS => self.set(&frame),
            kind::PING if frame.has(flag::ACK) => self.pongs.push(frame.payload),
            kind::PING => drop(self.try_send(&Frame::new(kind::PING, flag::ACK, 0, frame.payload))),
            kind::GOAWAY => self.go_away = Some((frame.number(0), frame.number(4))),
            kind::WINDOW_UPDATE if frame.stream == 0 => self.window += i64::from(frame.number(0)),
            kind::WINDOW_UPDATE => {
                *self.stream_window(frame.stream) += i64::from(frame.number(0));
            }
            kind::PUSH_PROMISE => panic!("nobody asked for a push"),
            _ => {}
        }
    }

    fn set(&mut self, frame: &Frame) {
        let before = self.settings.get(&setting::INITIAL_WINDOW_SIZE).map_or(WINDOW, |size| i64::from(*size));
        for pair in frame.payload.chunks_exact(6) {
            let name = u16::from_be_bytes([pair[0], pair[1]]);
            self.settings.insert(name, u32::from_be_bytes([pair[2], pair[3], pair[4], pair[5]]));
        }
        let after = self.settings.get(&setting::INITIAL_WINDOW_SIZE).map_or(WINDOW, |size| i64::from(*size));
        self.windows.values_mut().for_each(|window| *window += after - before);
        let _ = self.try_send(&Frame::new(kind::SETTINGS, flag::ACK, 0, []));
    }

    fn data(&mut self, frame: &Frame) {
        let size = u32::try_from(frame.payload.len()).expect("a frame");
        let content = unpadded(frame);
        let end = frame.has(flag::END_STREAM);
        let stream = self.stream(frame.stream);
        assert!(!stream.ended, "DATA after the end of stream {}", frame.stream);
        stream.body.extend(content);
        stream.ended |= end;
        if self.replenish && size > 0 {
            let _ = self.try_send(&Frame::window_update(0, size));
            if !end {
                let _ = self.try_send(&Frame::window_update(frame.stream, size));
            }
        }
    }

    #[track_caller]
    fn head_block(&mut self, frame: Frame) {
        let (complete, number) = (frame.has(flag::END_HEADERS), frame.stream);
        let (_, end, block) = if frame.kind == kind::CONTINUATION {
            let mut open = self.block.take().expect("CONTINUATION continues");
            open.2.extend(frame.payload);
            open
        } else {
            let end = frame.has(flag::END_STREAM);
            let skipped = if frame.has(flag::PRIORITY) { 5 } else { 0 };
            (number, end, unpadded(&frame)[skipped..].to_vec())
        };
        if !complete {
            self.block = Some((number, end, block));
            return;
        }
        let fields = self.decoder.decode(&block).expect("a header block is valid HPACK");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("fields are text here");
        let fields = fields.into_iter().map(|(name, value)| (text(name), text(value))).collect::<Fields>();
        let client = self.client;
        let stream = self.stream(number);
        assert!(!stream.ended, "HEADERS after the end of stream {number}");
        check(&fields, client, stream);
        stream.heads.push(fields);
        stream.ended |= end;
    }

    fn stream(&mut self, number: u32) -> &mut Received {
        self.streams.entry(number).or_default()
    }
}

/// Asserts what RFC 9113 section 8.2 and 8.3 demand of every head.
#[track_caller]
fn check(fields: &Fields, client: bool, stream: &Received) {
    let regular = fields.iter().position(|(name, _)| !name.starts_with(':')).unwrap_or(fields.len());
    assert!(
        fields[regular..].iter().all(|(name, _)| !name.starts_with(':')),
        "pseudo fields first: {fields:?}"
    );
    for (name, value) in fields {
        assert_eq!(*name, name.to_lowercase(), "names are in lower case");
        let hop = ["connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"];
        assert!(!hop.contains(&name.as_str()), "a connection-specific field: {name}: {value}");
        assert!(name != "te" || value == "trailers", "te: {value}");
    }
    let answered = stream.heads.last().is_some_and(|head| !status(head).starts_with('1'));
    if client && !answered {
        assert_eq!(status(fields).len(), 3, "a head has a status: {fields:?}");
    }
    if client && answered {
        assert_eq!(regular, 0, "trailers have no pseudo fields: {fields:?}");
    }
}

fn status(fields: &Fields) -> &str {
    fields.iter().find(|(name, _)| name == ":status").map_or("", |(_, value)| value.as_str())
}

fn unpadded(frame: &Frame) -> &[u8] {
    if !frame.has(flag::PADDED) {
        return &frame.payload;
    }
    let padding = usize::from(frame.payload[0]);
    &frame.payload[1..frame.payload.len() - padding]
}

#[cfg(test)]
mod tests;
