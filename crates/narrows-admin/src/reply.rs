//! Answers: whole ones, and those that come line by line.

use crate::problem::Problem;
use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue, LOCATION, WWW_AUTHENTICATE};
use http::{Response, StatusCode};
use hyper::body::{Body, Frame, SizeHint};
use serde::Serialize;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::sync::mpsc;

/// The type of JSON.
pub(crate) const JSON: &str = "application/json";
/// The type of a problem.
pub(crate) const PROBLEM: &str = "application/problem+json";
/// The type of a stream of JSON objects, one a line.
pub(crate) const LINES: &str = "application/x-ndjson";
/// The type of a word for people.
pub(crate) const TEXT: &str = "text/plain; charset=utf-8";

/// The body of an answer.
#[derive(Debug)]
pub(crate) enum Payload {
    /// All of it; `None` once it was taken.
    Whole(Option<Bytes>),
    /// Pieces as they come, until their sender is dropped.
    Pieces(mpsc::Receiver<Bytes>),
}

/// An answer.
pub(crate) type Reply = Response<Payload>;

impl Body for Payload {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match &mut *self {
            Payload::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Payload::Pieces(pieces) => pieces.poll_recv(context).map(|piece| piece.map(Frame::data).map(Ok)),
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Payload::Whole(None))
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Payload::Whole(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, Bytes::len) as u64),
            Payload::Pieces(_) => SizeHint::default(),
        }
    }
}

/// An answer with bytes of a type.
pub(crate) fn bytes(status: StatusCode, content_type: &str, bytes: impl Into<Bytes>) -> Reply {
    let mut reply = Response::new(Payload::Whole(Some(bytes.into())));
    *reply.status_mut() = status;
    let content_type = HeaderValue::from_str(content_type).unwrap_or(HeaderValue::from_static(TEXT));
    reply.headers_mut().insert(CONTENT_TYPE, content_type);
    reply.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    reply
}

/// An answer with a value as JSON.
pub(crate) fn json(status: StatusCode, value: &impl Serialize) -> Reply {
    bytes(status, JSON, written(value))
}

/// An answer with 200 and a value as JSON.
pub(crate) fn ok(value: &impl Serialize) -> Reply {
    json(StatusCode::OK, value)
}

/// An answer with 201, a value as JSON and where it is from now on.
pub(crate) fn created(value: &impl Serialize, at: &str) -> Reply {
    let mut reply = json(StatusCode::CREATED, value);
    if let Ok(at) = HeaderValue::from_str(at) {
        reply.headers_mut().insert(LOCATION, at);
    }
    reply
}

/// An answer without a body.
pub(crate) fn nothing() -> Reply {
    let mut reply = Response::new(Payload::Whole(None));
    *reply.status_mut() = StatusCode::NO_CONTENT;
    reply
}

/// An answer whose lines come as they are made; it ends when their sender is dropped. A reader that is slow makes the sender wait, or
/// leave out lines: what it does is its own choice, with the bounded channel that it has.
pub(crate) fn lines(pieces: mpsc::Receiver<Bytes>) -> Reply {
    let mut reply = bytes(StatusCode::OK, LINES, Bytes::new());
    *reply.body_mut() = Payload::Pieces(pieces);
    reply
}

/// The answer to a request that was not carried out; `allow` are the methods of the path.
pub(crate) fn problem(problem: &Problem, allow: Option<&str>) -> Reply {
    let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut reply = bytes(status, PROBLEM, written(problem));
    if let Some(allow) = allow.and_then(|allow| HeaderValue::from_str(allow).ok()) {
        reply.headers_mut().insert(ALLOW, allow);
    }
    if status == StatusCode::UNAUTHORIZED {
        reply.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"narrows\""));
    }
    reply
}

fn written(value: &impl Serialize) -> Vec<u8> {
    // Types of ours have no map with keys that are not texts, which is all that could fail.
    let mut text = serde_json::to_vec_pretty(value).unwrap_or_default();
    text.push(b'\n');
    text
}
