//! The endpoints that speak HTTP/2 in the clear, all on one thread: the services of HTTP and a gRPC service.

use std::net::TcpListener;
use std::rc::Rc;
use std::thread;

use anyhow::Context;
use bytes::Bytes;
use h2::RecvStream;
use h2::server::SendResponse;
use http::{HeaderMap, Request, Response};
use tokio::net::TcpStream;
use tokio::runtime::Builder;
use tokio::task::{LocalSet, spawn_local};

use crate::grpc::prefixed;
use crate::service::{CALL, CALL_ANSWER, SMALL, Service};

/// Starts serving on `listeners`.
pub(super) fn start(listeners: Vec<(TcpListener, Service)>) -> anyhow::Result<()> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    for (listener, _) in &listeners {
        listener.set_nonblocking(true)?;
    }
    thread::spawn(move || {
        let served = LocalSet::new().block_on(&runtime, serve(listeners));
        eprintln!("the HTTP/2 backend ended: {served:?}");
        std::process::exit(1);
    });
    Ok(())
}

async fn serve(listeners: Vec<(TcpListener, Service)>) -> anyhow::Result<()> {
    let mut accepting = Vec::new();
    for (listener, service) in listeners {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let endpoint = Rc::new(Endpoint::new(service));
        accepting.push(spawn_local(async move {
            loop {
                match listener.accept().await {
                    Ok((socket, _)) => drop(spawn_local(talk(socket, Rc::clone(&endpoint)))),
                    Err(error) => return error,
                }
            }
        }));
    }
    let first = accepting.into_iter().next().context("no endpoint")?;
    Err(first.await?.into())
}

/// What an endpoint answers.
struct Endpoint {
    service: Service,
    body: Bytes,
    /// The message that a call has to bring.
    call: Bytes,
}

impl Endpoint {
    fn new(service: Service) -> Self {
        let call = prefixed(&service.body(CALL));
        let body = match service {
            Service::Grpc => prefixed(&service.body(CALL_ANSWER)),
            _ => service.body(SMALL).into(),
        };
        Self { service, body, call }
    }
}

/// One connection from the proxy, until it ends for whatever reason.
async fn talk(socket: TcpStream, endpoint: Rc<Endpoint>) {
    let _ = socket.set_nodelay(true);
    let Ok(mut connection) = h2::server::handshake(socket).await else { return };
    let mut checked = false;
    while let Some(Ok((request, respond))) = connection.accept().await {
        let missing = if checked { None } else { missing_from(&request, endpoint.service) };
        checked = true;
        if let Some(missing) = missing {
            let _ = refuse(respond, missing);
        } else if endpoint.service == Service::Grpc {
            spawn_local(answer_call(request.into_body(), respond, Rc::clone(&endpoint)));
        } else {
            let _ = answer(respond, &endpoint);
        }
    }
}

fn answer(mut respond: SendResponse<Bytes>, endpoint: &Endpoint) -> anyhow::Result<()> {
    let head = Response::builder()
        .header("server", "origin")
        .header("date", "Sun, 06 Nov 1994 08:49:37 GMT")
        .header("content-type", "application/json; charset=utf-8")
        .header("content-length", endpoint.body.len())
        .header("cache-control", "private, max-age=0, must-revalidate")
        .header("etag", format!("\"{:08x}-{:x}\"", endpoint.service as u32, endpoint.body.len()))
        .header("vary", "Accept-Encoding")
        .header("x-content-type-options", "nosniff")
        .body(())?;
    Ok(respond.send_response(head, false)?.send_data(endpoint.body.clone(), true)?)
}

/// Answers a call with its message and `grpc-status: 0`; with status 3 (invalid argument) when the message is another one.
async fn answer_call(
    mut body: RecvStream,
    respond: SendResponse<Bytes>,
    endpoint: Rc<Endpoint>,
) -> anyhow::Result<()> {
    let mut rest = &endpoint.call[..];
    while let Some(part) = body.data().await {
        let part = part?;
        match rest.strip_prefix(&*part) {
            Some(left) => rest = left,
            None => return end_call(respond, None, "3"),
        }
        body.flow_control().release_capacity(part.len())?;
    }
    if !rest.is_empty() {
        return end_call(respond, None, "3");
    }
    end_call(respond, Some(&endpoint.body), "0")
}

fn end_call(
    mut respond: SendResponse<Bytes>,
    message: Option<&Bytes>,
    status: &'static str,
) -> anyhow::Result<()> {
    let head = Response::builder()
        .header("content-type", "application/grpc+proto")
        .header("grpc-accept-encoding", "identity")
        .body(())?;
    let mut stream = respond.send_response(head, false)?;
    if let Some(message) = message {
        stream.send_data(message.clone(), false)?;
    }
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", http::HeaderValue::from_static(status));
    Ok(stream.send_trailers(trailers)?)
}

fn refuse(mut respond: SendResponse<Bytes>, missing: &str) -> anyhow::Result<()> {
    eprintln!("a wrong request: {missing}");
    respond.send_response(Response::builder().status(500).body(())?, true)?;
    Ok(())
}

/// What a request lacks of what every configuration promises to send upstream.
fn missing_from(request: &Request<RecvStream>, service: Service) -> Option<&'static str> {
    let field = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
    let authority = request.uri().authority().map(|authority| authority.as_str());
    if authority.or(field("host")) != Some(service.host()) {
        return Some("the proxy changed the Host or took the wrong route");
    }
    let told = field("x-forwarded-for").is_some()
        && field("x-forwarded-proto") == Some("https")
        && field("x-forwarded-host").is_some();
    (!told).then_some("the proxy does not send X-Forwarded-For, -Proto and -Host")
}
