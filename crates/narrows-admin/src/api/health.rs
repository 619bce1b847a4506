//! What programs ask: is it alive, is it ready, what does it count, what is there.

use super::{Api, Call, OPERATIONS, Outcome};
use crate::operations::Phase;
use crate::problem::{Cause, Problem};
use crate::{openapi, reply};
use http::StatusCode;
use http::header::ACCEPT;
use std::fmt::Write;
use std::rc::Rc;

pub(super) async fn health(_: Rc<Api>, _: Call) -> Outcome {
    Ok(reply::bytes(StatusCode::OK, reply::TEXT, "alive\n"))
}

pub(super) async fn ready(api: Rc<Api>, _: Call) -> Outcome {
    match api.process().process().phase {
        Phase::Running => Ok(reply::bytes(StatusCode::OK, reply::TEXT, "ready\n")),
        Phase::Starting => Err(Problem::new(Cause::NotReady, "the process is starting")),
        Phase::Draining => Err(Problem::new(Cause::NotReady, "the process is draining")),
    }
}

pub(super) async fn metrics(api: Rc<Api>, call: Call) -> Outcome {
    let accept = call.headers.get(ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    let metrics = api.process().metrics(accept);
    let metrics =
        metrics.ok_or_else(|| Problem::new(Cause::Impossible, "nothing is counted: `metrics: off`"))?;
    Ok(reply::bytes(StatusCode::OK, metrics.content_type, metrics.bytes))
}

pub(super) async fn openapi(api: Rc<Api>, _: Call) -> Outcome {
    Ok(reply::ok(&openapi::description(api.process().process().version)))
}

/// For people who look with a browser's address bar or with curl.
pub(super) async fn paths(_: Rc<Api>, _: Call) -> Outcome {
    let mut text = String::from("The admin API of narrows. /openapi.json describes it for programs.\n\n");
    for operation in &OPERATIONS {
        let _ = writeln!(text, "{:6} {:48} {}", operation.method, operation.path, operation.summary);
    }
    Ok(reply::bytes(StatusCode::OK, reply::TEXT, text))
}
