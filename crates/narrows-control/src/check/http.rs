//! An HTTP request, and what is expected of its answer. What goes over HTTP/2 has the form of HTTP/1.1 here too.

use super::dialogue::{Dialogue, LIMIT};
use super::expect::is_met;
use super::failure::Failure;
use super::subject::Subject;
use narrows_plan::{HttpCheck, defaults};
use narrows_wire::http1::{BodyReader, HeadLimits, Method, Progress, ResponseHead, parse_response};

const NAME: &str = "HTTP";

/// How far the head of an answer may grow.
const LIMITS: HeadLimits = HeadLimits {
    head_bytes: defaults::HEAD_BYTES,
    fields: defaults::HEADER_FIELDS,
    target_bytes: defaults::URI_BYTES,
};

/// Sends the request and judges its answer.
pub(super) async fn ask(
    dialogue: &mut Dialogue,
    check: &HttpCheck,
    subject: &Subject,
) -> Result<(), Failure> {
    dialogue.send(&request(check, subject)).await?;
    let head = head(dialogue, Method::recognise(check.method.as_bytes())).await?;
    if !check.statuses.iter().any(|(first, last)| (*first..=*last).contains(&head.status)) {
        return Err(Failure::Status(head.status));
    }
    if let Some(expect) = &check.body
        && !is_met(expect, &body(dialogue, &head).await?.bytes)
    {
        return Err(Failure::Unexpected);
    }
    // The server was asked to close; until it does, its answer is on the way.
    dialogue.leave_with("");
    Ok(())
}

/// The request.
fn request(check: &HttpCheck, subject: &Subject) -> Vec<u8> {
    let host = check.host.as_deref().map_or_else(|| subject.host(), str::to_owned);
    let mut request = format!("{} {} HTTP/1.1\r\nHost: {host}\r\n", check.method, check.path);
    let has = |name: &str| check.headers.iter().any(|(known, _)| known.eq_ignore_ascii_case(name));
    if !has("user-agent") {
        request.push_str("User-Agent: narrows-health-check\r\n");
    }
    if matches!(&*check.method, "POST" | "PUT" | "PATCH") && !has("content-length") {
        request.push_str("Content-Length: 0\r\n");
    }
    if !has("connection") {
        request.push_str("Connection: close\r\n");
    }
    for (name, value) in &check.headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    request.push_str("\r\n");
    request.into_bytes()
}

/// A head, taken from the front of what was received.
#[derive(Debug, Default)]
pub(super) struct Head {
    pub(super) status: u16,
    pub(super) parsed: ResponseHead,
    pub(super) bytes: Vec<u8>,
}

impl Head {
    /// The value of the first field called `name`.
    pub(super) fn field(&self, name: &str) -> Option<&[u8]> {
        let fields = self.parsed.fields.iter();
        let mut named =
            fields.filter(|field| field.name.of(&self.bytes).eq_ignore_ascii_case(name.as_bytes()));
        named.next().map(|field| field.value.of(&self.bytes))
    }
}

/// Waits for the head of the final answer.
pub(super) async fn head(dialogue: &mut Dialogue, method: Method) -> Result<Head, Failure> {
    loop {
        let mut parsed = ResponseHead::default();
        let bytes = dialogue
            .until(|received, _| match parse_response(received, method, &LIMITS, &mut parsed) {
                Ok(Progress::Complete) => Ok(received.get(..parsed.length).map(<[u8]>::to_vec)),
                Ok(Progress::Partial) => Ok(None),
                Err(_) => Err(Failure::Malformed(NAME)),
            })
            .await?;
        dialogue.take(bytes.len());
        let is_interim = (100..200).contains(&parsed.status) && parsed.status != 101;
        if !is_interim {
            return Ok(Head { status: parsed.status, parsed, bytes });
        }
    }
}

/// What is behind a head.
#[derive(Debug, Default)]
pub(super) struct Body {
    /// The payload, up to 64 KiB of it.
    pub(super) bytes: Vec<u8>,
    /// The trailer section as it came.
    pub(super) trailers: Vec<u8>,
}

/// Waits for the body: all of it, or its first 64 KiB.
pub(super) async fn body(dialogue: &mut Dialogue, head: &Head) -> Result<Body, Failure> {
    let mut reader = BodyReader::new(head.parsed.framing);
    let mut body = Body::default();
    loop {
        let consumed = dialogue
            .until(|received, is_over| {
                let mut consumed = 0;
                while consumed < received.len() && !reader.is_done() {
                    let step = reader.advance(&received[consumed..]).map_err(|_| Failure::Malformed(NAME))?;
                    let room = LIMIT - body.bytes.len();
                    let data = &received[consumed..][step.data];
                    body.bytes.extend_from_slice(&data[..data.len().min(room)]);
                    body.trailers.extend_from_slice(&received[consumed..][step.trailers]);
                    consumed += step.consumed;
                }
                if is_over && consumed == received.len() {
                    reader.finish_at_close().map_err(|_| Failure::Ended)?;
                }
                let is_enough = reader.is_done() || is_over || body.bytes.len() >= LIMIT;
                Ok((consumed > 0 || is_enough).then_some((consumed, is_enough)))
            })
            .await?;
        dialogue.take(consumed.0);
        if consumed.1 {
            return Ok(body);
        }
    }
}
