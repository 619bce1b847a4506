//! Which operation a request asks for, and what every operation has in common.

mod health;
mod operation;
mod reads;
mod writes;

use crate::gate::Gate;
use crate::operations::Operations;
use crate::problem::{Cause, Problem};
use crate::reply::{self, Reply};
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::request::Parts;
use http::{HeaderMap, Request};
use hyper::body::{Body, Incoming};
use narrows_control::OrderError;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

pub(crate) use operation::{OPERATIONS, Operation, Parameter};

/// Bytes of a request's body.
const BODY: usize = 64 << 10;
/// How long a body may take.
const BODY_TIME: Duration = Duration::from_secs(10);
/// How long the control plane may take to answer.
const CONTROL_TIME: Duration = Duration::from_secs(5);

/// The API of one process.
pub(crate) struct Api {
    operations: Arc<dyn Operations>,
}

/// A request that has been admitted.
pub(crate) struct Call {
    /// What the path holds in place of `{name}`, decoded, in order.
    pub(crate) names: Vec<String>,
    /// What follows the path.
    pub(crate) query: String,
    /// The fields of its head.
    pub(crate) headers: HeaderMap,
    /// Its body.
    pub(crate) body: Bytes,
}

/// What becomes of a request.
pub(crate) type Outcome = Result<Reply, Problem>;

impl Api {
    pub(crate) fn new(operations: Arc<dyn Operations>) -> Self {
        Api { operations }
    }

    /// The process.
    pub(crate) fn process(&self) -> &dyn Operations {
        &*self.operations
    }

    /// Answers a request, whatever it is.
    pub(crate) async fn answer(self: &Rc<Self>, gate: &Gate, request: Request<Incoming>) -> Reply {
        let (head, body) = request.into_parts();
        let found = find(head.uri.path(), &head.method);
        let is_public = matches!(&found, Found::Operation(operation, _) if operation.is_public);
        if let Err(problem) = gate.admit(&head.headers, is_public) {
            return reply::problem(&problem, None);
        }
        match found {
            Found::Nothing => {
                let known: Vec<&str> = OPERATIONS.iter().map(|operation| operation.path).collect();
                let problem =
                    Problem::new(Cause::UnknownPath, format!("there is nothing at {}", shown(&head)));
                reply::problem(&problem.near(head.uri.path(), &known), None)
            }
            Found::OtherMethods(methods) => {
                let detail = format!("{} has {methods}", shown(&head));
                reply::problem(&Problem::new(Cause::WrongMethod, detail), Some(&methods))
            }
            Found::Operation(operation, names) => match self.carry_out(operation, names, head, body).await {
                Ok(reply) => reply,
                Err(problem) => reply::problem(&problem, None),
            },
        }
    }

    async fn carry_out(
        self: &Rc<Self>,
        operation: &'static Operation,
        names: Option<Vec<String>>,
        head: Parts,
        body: Incoming,
    ) -> Outcome {
        let Some(names) = names else {
            return Err(Problem::new(Cause::BadParameter, "the path is not UTF-8 text where it is decoded"));
        };
        let body = match operation.body {
            Some(_) => read(&head.headers, body).await?,
            None => Bytes::new(),
        };
        let query = head.uri.query().unwrap_or_default().to_owned();
        (operation.handler)(Rc::clone(self), Call { names, query, headers: head.headers, body }).await
    }
}

/// What a path and a method lead to.
enum Found {
    /// An operation, with the names in the path; `None` where they are no text.
    Operation(&'static Operation, Option<Vec<String>>),
    /// The path has these methods only.
    OtherMethods(String),
    /// Nothing is there.
    Nothing,
}

fn find(path: &str, method: &http::Method) -> Found {
    let mut methods: Vec<&str> = Vec::new();
    for operation in &OPERATIONS {
        let Some(names) = matched(operation.path, path) else { continue };
        let is_head = *method == http::Method::HEAD && operation.method == "GET";
        if is_head || method == operation.method {
            return Found::Operation(operation, names);
        }
        methods.push(operation.method);
        if operation.method == "GET" {
            methods.push("HEAD");
        }
    }
    if methods.is_empty() { Found::Nothing } else { Found::OtherMethods(methods.join(", ")) }
}

/// What `path` holds in place of each `{name}` of `pattern`; `None` when it does not match, `Some(None)` when it holds no text.
fn matched(pattern: &str, path: &str) -> Option<Option<Vec<String>>> {
    let mut names = Some(Vec::new());
    let (mut wanted, mut segments) = (pattern.split('/'), path.split('/'));
    loop {
        match (wanted.next(), segments.next()) {
            (None, None) => return Some(names),
            (Some(wanted), Some(segment)) if wanted.starts_with('{') => {
                if segment.is_empty() {
                    return None;
                }
                names = names.zip(decoded(segment)).map(|(mut names, name)| {
                    names.push(name);
                    names
                });
            }
            (Some(wanted), Some(segment)) if wanted == segment => {}
            _ => return None,
        }
    }
}

/// A segment of a path without percent encoding; `None` where the encoding is broken, or what it stands for is no text.
fn decoded(segment: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(segment.len());
    let mut rest = segment.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        if *byte != b'%' {
            bytes.push(*byte);
            rest = after;
            continue;
        }
        let (digits, after) = after.split_at_checked(2)?;
        let digits = std::str::from_utf8(digits).ok().filter(|digits| !digits.starts_with('+'))?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        rest = after;
    }
    String::from_utf8(bytes).ok().filter(|text| !text.contains('\0'))
}

/// The method and the path of a request, not too long.
fn shown(head: &Parts) -> String {
    let path: String = head.uri.path().chars().take(200).collect();
    format!("`{path}`")
}

/// Reads a JSON body, of limited size in limited time.
async fn read(headers: &HeaderMap, mut body: Incoming) -> Result<Bytes, Problem> {
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let content_type = content_type.split(';').next().unwrap_or_default().trim();
    // Pages in browsers cannot send this type elsewhere without asking first.
    if !content_type.eq_ignore_ascii_case(reply::JSON) {
        return Err(Problem::new(Cause::NotJson, format!("the body is `{content_type}`")));
    }
    let too_large = || Problem::new(Cause::LargeBody, format!("the body has more than {BODY} bytes"));
    if body.size_hint().lower() > BODY as u64 {
        return Err(too_large());
    }
    let receive = async {
        let mut bytes = Vec::new();
        while let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
            let frame = frame.map_err(|_| Problem::new(Cause::BadBody, "the body ended before its end"))?;
            if let Ok(piece) = frame.into_data() {
                bytes.extend_from_slice(&piece);
            }
            if bytes.len() > BODY {
                return Err(too_large());
            }
        }
        Ok(Bytes::from(bytes))
    };
    tokio::time::timeout(BODY_TIME, receive)
        .await
        .unwrap_or_else(|_| Err(Problem::new(Cause::SlowBody, "the body did not arrive within 10 seconds")))
}

impl Call {
    /// The name in the path, by its place.
    pub(crate) fn name(&self, place: usize) -> &str {
        self.names.get(place).map_or("", String::as_str)
    }

    /// The body as the value that the operation needs: an object, in which a whole number may be written as `1.0`, as JSON Schema has it. A list that holds
    /// the fields in their order, which serde would take for one, is none.
    pub(crate) fn value<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        let bad = |error: serde_json::Error| Problem::new(Cause::BadBody, error.to_string());
        let mut value: Value = serde_json::from_slice(&self.body).map_err(bad)?;
        let Value::Object(fields) = &mut value else {
            return Err(Problem::new(Cause::BadBody, "the body is no JSON object"));
        };
        fields.values_mut().for_each(whole);
        T::deserialize(value).map_err(bad)
    }
}

/// Makes `1.0` the whole number that it is.
fn whole(value: &mut Value) {
    if let Some(number) = value.as_f64().filter(|_| value.as_u64().is_none())
        && number.fract() == 0.0
        && (0.0..f64::from(u32::MAX)).contains(&number)
    {
        *value = Value::from(number as u64);
    }
}

impl From<OrderError> for Problem {
    fn from(error: OrderError) -> Self {
        let detail = error.to_string();
        let near = |cause, name: &str, known: &[Box<str>]| {
            let known: Vec<&str> = known.iter().map(|name| &**name).collect();
            Problem::new(cause, detail.clone()).near(name, &known)
        };
        match &error {
            OrderError::UnknownUpstream { name, known } => near(Cause::UnknownUpstream, name, known),
            OrderError::UnknownEndpoint { name, known, .. } => near(Cause::UnknownEndpoint, name, known),
            OrderError::Exists { .. } => Problem::new(Cause::EndpointExists, detail),
            OrderError::Configured { .. } => Problem::new(Cause::ConfiguredEndpoint, detail),
            OrderError::TooMany { .. } => Problem::new(Cause::TooMany, detail),
            OrderError::Ended => Problem::new(Cause::Busy, detail),
        }
    }
}

/// What the control plane answers, unless it takes too long.
pub(crate) async fn in_time<T>(answer: impl Future<Output = Result<T, OrderError>>) -> Result<T, Problem> {
    match tokio::time::timeout(CONTROL_TIME, answer).await {
        Ok(answer) => answer.map_err(Problem::from),
        Err(_) => Err(Problem::new(Cause::Busy, "the control plane did not answer within 5 seconds")),
    }
}

#[cfg(test)]
mod tests;
