//! A stream to a server, seen as the server's end of an HTTP/1.1 connection that answers one request.

use super::Shared;
use crate::head::{self, OWN_LIMITS};
use crate::incoming::{Framing, Incoming, broken};
use crate::outgoing::Outgoing;
use base64::Engine;
use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use h2::{Reason, RecvStream};
use http::Response;
use narrows_runtime::{Layer, Stream};
use narrows_wire::grpc_web::GrpcWeb;
use narrows_wire::http1::{
    BodyFraming, FieldName, Method, Progress, RequestHead, list_members, parse_request,
};
use sha1::{Digest, Sha1};
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

/// A request and its answer.
pub(crate) struct ClientMessage {
    send: SendRequest<Bytes>,
    shared: Rc<Shared>,
    request: Request,
    answer: Answer,
    /// A head of the answer, and how far it was read.
    head: Vec<u8>,
    read: usize,
    method: Method,
    grpc_web: Option<GrpcWeb>,
    upgrade: Option<Upgrade>,
    was_refused: bool,
}

/// How far the request is.
enum Request {
    /// Its head is awaited.
    Head,
    Body(Outgoing),
}

/// How far the answer is.
enum Answer {
    /// The request has not left.
    NotYet,
    /// The request could not leave.
    Never,
    Head(ResponseFuture),
    Body(Incoming),
}

impl ClientMessage {
    pub(super) fn new(send: SendRequest<Bytes>, shared: Rc<Shared>) -> Self {
        shared.running.set(shared.running.get() + 1);
        ClientMessage {
            send,
            shared,
            request: Request::Head,
            answer: Answer::NotYet,
            head: Vec::new(),
            read: 0,
            method: Method::Get,
            grpc_web: None,
            upgrade: None,
            was_refused: false,
        }
    }

    /// Sends the head at the front of `bytes`, which is whole: its length.
    fn poll_send_head(&mut self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let ready = ready!(self.send.poll_ready(context));
        ready.map_err(|error| {
            // The server had said farewell before the request was there.
            self.was_refused = true;
            broken(error)
        })?;
        let mut parsed = RequestHead::default();
        match parse_request(bytes, &OWN_LIMITS, &mut parsed) {
            Ok(Progress::Complete) => {}
            _ => return Poll::Ready(Err(io::ErrorKind::InvalidData.into())),
        }
        if parsed.upgrade {
            ready!(self.shared.poll_settled(context));
            if !self.send.is_extended_connect_protocol_enabled() {
                return Poll::Ready(Err(io::ErrorKind::Unsupported.into()));
            }
        }
        let content_type =
            parsed.field(FieldName::ContentType).map_or(&[][..], |field| field.value.of(bytes));
        self.grpc_web = self.shared.limits.grpc_web.then(|| GrpcWeb::of(content_type)).flatten();
        let is_grpc = content_type.starts_with(b"application/grpc");
        let request = head::request_to_http2(&parsed, bytes, self.shared.limits.scheme, is_grpc);
        let Some(mut request) = request else {
            return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
        };
        if let Some(web) = &self.grpc_web {
            head::set_type(&web.grpc_type(), request.headers_mut());
        }
        self.method = parsed.method;
        self.upgrade = parsed.upgrade.then(|| Upgrade::of(&parsed, bytes));
        let framing = if parsed.upgrade { BodyFraming::UntilClose } else { parsed.framing };
        let ended = matches!(framing, BodyFraming::None | BodyFraming::Length(0));
        let (answer, stream) = self.send.send_request(request, ended).map_err(|error| {
            self.was_refused = true;
            broken(error)
        })?;
        let mut body = Outgoing::new(stream, framing, ended);
        body.translate(self.grpc_web.as_ref().and_then(GrpcWeb::decoder));
        self.request = Request::Body(body);
        self.answer = Answer::Head(answer);
        Poll::Ready(Ok(parsed.length))
    }

    /// The next head of the answer, into `head`.
    fn poll_answer(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Answer::Head(answer) = &mut self.answer else { return Poll::Ready(Ok(())) };
        if let Poll::Ready(Some(Ok(interim))) = answer.poll_informational(context) {
            if interim.status() != http::StatusCode::SWITCHING_PROTOCOLS {
                self.head = head::response_to_http1(interim.status(), interim.headers(), false, true).0;
            }
            return Poll::Ready(Ok(()));
        }
        let answer = ready!(Pin::new(answer).poll(context)).map_err(|error| {
            self.was_refused = is_refusal(&error);
            broken(error)
        })?;
        self.take_answer(answer);
        Poll::Ready(Ok(()))
    }

    fn take_answer(&mut self, answer: Response<RecvStream>) {
        let (mut parts, body) = answer.into_parts();
        if let Some(upgrade) = self.upgrade.as_ref().filter(|_| parts.status.is_success()) {
            self.head = head::switching_to_http1(&upgrade.protocol, &upgrade.accept, &parts.headers);
            self.answer = Answer::Body(Incoming::new(body, Framing::Plain));
            return;
        }
        let is_bodyless = self.method == Method::Head || matches!(parts.status.as_u16(), 204 | 304);
        let is_whole = body.is_end_stream();
        let content_type = parts.headers.get(http::header::CONTENT_TYPE);
        if !content_type.is_some_and(|value| value.as_bytes().starts_with(b"application/grpc")) {
            // A page of some server in between is no message of gRPC.
            self.grpc_web = None;
        }
        if let Some(web) = &self.grpc_web {
            // Trailers that came alone stay in the head, where browsers see them.
            head::set_type(&web.web_type(), &mut parts.headers);
        }
        let (head, chunked) = head::response_to_http1(parts.status, &parts.headers, is_whole, is_bodyless);
        self.head = head;
        let mut incoming = Incoming::new(body, if chunked { Framing::Chunked } else { Framing::Plain });
        if let (Some(web), true) = (&self.grpc_web, chunked) {
            incoming.translate(web.clone());
        }
        self.answer = Answer::Body(incoming);
    }
}

impl Layer for ClientMessage {
    fn poll_read(&mut self, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        loop {
            if self.read < self.head.len() {
                let count = buffer.len().min(self.head.len() - self.read);
                buffer[..count].copy_from_slice(&self.head[self.read..self.read + count]);
                self.read += count;
                if self.read == self.head.len() {
                    self.head = Vec::new();
                    self.read = 0;
                    // A small body that is there already comes along.
                    if let (Answer::Body(body), rest @ 64..) = (&mut self.answer, buffer.len() - count)
                        && let Poll::Ready(Ok(more)) =
                            body.poll_read(context, &mut buffer[count..count + rest])
                    {
                        return Poll::Ready(Ok(count + more));
                    }
                }
                return Poll::Ready(Ok(count));
            }
            match &mut self.answer {
                // The write of the request, in the same task, comes first.
                Answer::NotYet => return Poll::Pending,
                Answer::Never => return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
                Answer::Head(_) => ready!(self.poll_answer(context))?,
                Answer::Body(body) => return body.poll_read(context, buffer),
            }
        }
    }

    fn poll_write(&mut self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.request {
            Request::Body(body) => body.poll_write(context, bytes),
            Request::Head => {
                let sent = self.poll_send_head(context, bytes);
                if matches!(sent, Poll::Ready(Err(_))) {
                    self.answer = Answer::Never;
                }
                sent
            }
        }
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        match &mut self.request {
            Request::Body(body) => body.end(),
            Request::Head => Ok(()),
        }
    }

    fn is_stale_now(&mut self) -> bool {
        self.shared.is_closed.get()
    }

    fn reset_on_close(&mut self) {
        if let Request::Body(body) = &mut self.request {
            body.reset(Reason::CANCEL);
        }
    }

    fn socket(&self) -> Option<&Stream> {
        None
    }

    fn is_message(&self) -> bool {
        true
    }

    fn was_refused(&self) -> bool {
        self.was_refused
    }
}

impl Drop for ClientMessage {
    /// What the library finds unfinished it resets with CANCEL.
    fn drop(&mut self) {
        self.shared.running.set(self.shared.running.get() - 1);
    }
}

/// Whether the server says that it has done nothing with the request (RFC 9113 sections 6.8 and 8.7).
fn is_refusal(error: &h2::Error) -> bool {
    error.reason() == Some(Reason::REFUSED_STREAM) || (error.is_go_away() && error.is_remote())
}

/// What an HTTP/1.1 client that asked for another protocol expects to hear.
struct Upgrade {
    /// The protocol, as it was asked for.
    protocol: Vec<u8>,
    /// The proof of a WebSocket handshake.
    accept: String,
}

impl Upgrade {
    fn of(head: &RequestHead, bytes: &[u8]) -> Self {
        let wanted = head.field(FieldName::Upgrade).map_or(&[][..], |field| field.value.of(bytes));
        let protocol = list_members(wanted).next().unwrap_or_default().to_vec();
        Upgrade { protocol, accept: accept_of(head, bytes) }
    }
}

/// The proof that a WebSocket handshake was understood (RFC 6455 section 4.2.2).
fn accept_of(head: &RequestHead, bytes: &[u8]) -> String {
    const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    let named =
        |field: &&narrows_wire::http1::Field| field.name.of(bytes).eq_ignore_ascii_case(b"sec-websocket-key");
    let key = head.fields.iter().find(named).map_or(&[][..], |field| field.value.of(bytes));
    base64::engine::general_purpose::STANDARD
        .encode(Sha1::new().chain_update(key).chain_update(GUID).finalize())
}

impl std::fmt::Debug for ClientMessage {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("ClientMessage").field("method", &self.method).finish_non_exhaustive()
    }
}
