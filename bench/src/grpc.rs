//! Workload w7-grpc: unary calls on the streams of HTTP/2 connections, in a closed loop, every answer checked.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::{BufMut, Bytes, BytesMut};
use h2::client::SendRequest;
use http::{HeaderMap, Request};
use tokio::runtime::Builder;
use tokio::task::LocalSet;

use crate::http2;
use crate::meter::{Meter, Outcome, Tally};
use crate::order::Order;
use crate::service::{self, CALL, CALL_ANSWER, Service};
use crate::tls;

/// How often the end of the warm-up and of measuring, and too many errors, are looked for.
const TICK: Duration = Duration::from_millis(20);

/// Warms up, measures, stops.
pub(crate) fn run(order: &Order) -> anyhow::Result<Outcome> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, measure(order))
}

async fn measure(order: &Order) -> anyhow::Result<Outcome> {
    let calls = Rc::new(Calls::new());
    let offer = tls::offer(&order.certificate, http2::ALPN, false)?;
    for _ in 0..order.workload.connections() {
        let sender = http2::connect(order.port, &offer, Service::Grpc.host()).await?;
        for _ in 0..order.workload.streams() {
            tokio::task::spawn_local(call_on(Rc::clone(&calls), sender.clone()));
        }
    }
    wait(&calls, Instant::now() + order.warm_up).await;
    let meter = Meter::start(order.proxy, &mut calls.tally.borrow_mut())?;
    wait(&calls, meter.started_at() + order.measure).await;
    Ok(meter.stop()?.outcome(&calls.tally.borrow()))
}

async fn wait(calls: &Calls, end: Instant) {
    loop {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() || calls.tally.borrow().is_hopeless() {
            return;
        }
        tokio::time::sleep(left.min(TICK)).await;
    }
}

struct Calls {
    message: Bytes,
    answer: Vec<u8>,
    tally: RefCell<Tally>,
}

impl Calls {
    fn new() -> Self {
        let message = prefixed(&Service::Grpc.body(CALL));
        let answer = prefixed(&Service::Grpc.body(CALL_ANSWER)).to_vec();
        Self { message, answer, tally: RefCell::new(Tally::new()) }
    }
}

/// Makes one call after another until too many went wrong.
async fn call_on(calls: Rc<Calls>, sender: SendRequest<Bytes>) {
    while !calls.tally.borrow().is_hopeless() {
        let begun = Instant::now();
        let result = call(&calls, &sender).await;
        let mut tally = calls.tally.borrow_mut();
        match result {
            Ok(()) => tally.right(begun.elapsed()),
            Err(error) => tally.wrong(error),
        }
    }
}

async fn call(calls: &Calls, sender: &SendRequest<Bytes>) -> Result<(), String> {
    let path = Service::Grpc.path(service::Request { large: false, secure: true, close: false });
    let request = Request::post(format!("https://{}{path}", Service::Grpc.host()))
        .header("content-type", "application/grpc+proto")
        .header("te", "trailers")
        .header("user-agent", "grpc-c++/1.71.0 grpc-c/46.0.0 (linux; chttp2)")
        .header("grpc-accept-encoding", "identity, deflate, gzip")
        .header("grpc-timeout", "10S")
        .body(())
        .map_err(|error| error.to_string())?;
    let mut sender = sender.clone().ready().await.map_err(|error| format!("opening a stream: {error}"))?;
    let (answer, mut stream) =
        sender.send_request(request, false).map_err(|error| format!("calling: {error}"))?;
    stream.send_data(calls.message.clone(), true).map_err(|error| format!("the message: {error}"))?;
    let (fields, trailers) = http2::receive(answer, &calls.answer).await?;
    check(&fields, trailers.as_ref())
}

fn check(fields: &HeaderMap, trailers: Option<&HeaderMap>) -> Result<(), String> {
    let kind = fields.get("content-type").map(|value| value.as_bytes());
    if kind != Some(b"application/grpc+proto".as_slice()) {
        return Err("the answer is not gRPC".to_owned());
    }
    let Some(trailers) = trailers else { return Err("the answer has no trailers".to_owned()) };
    match trailers.get("grpc-status").map(|value| value.as_bytes()) {
        Some(b"0") => Ok(()),
        Some(status) => Err(format!("grpc-status is {}", String::from_utf8_lossy(status))),
        None => Err("the trailers lack grpc-status".to_owned()),
    }
}

/// A message with the five bytes that gRPC puts before it.
pub(crate) fn prefixed(message: &[u8]) -> Bytes {
    let mut bytes = BytesMut::with_capacity(5 + message.len());
    bytes.put_u8(0);
    bytes.put_u32(message.len() as u32);
    bytes.put_slice(message);
    bytes.freeze()
}

#[cfg(test)]
mod tests;
