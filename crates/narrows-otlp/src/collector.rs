//! A connection to a collector, and one request on it.

use crate::transport::{Tasks, Transport, Whole};
use crate::verdict::{self, Verdict};
use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode, header};
use hyper::body::{Body, Incoming};
use hyper::client::conn::{http1, http2};
use narrows_plan::{Otlp, OtlpProtocol};
use narrows_runtime::{Deadlines, Stream};
use narrows_tls::{Connector, Purpose};
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;

/// Bytes of an answer that are looked at.
const ANSWER: usize = 64 << 10;

/// Which collector, and how it is reached.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) otlp: Otlp,
    pub(crate) connector: Option<Arc<Connector>>,
}

/// What a request is for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Service {
    /// The path over HTTP.
    pub(crate) http: &'static str,
    /// The path over gRPC.
    pub(crate) grpc: &'static str,
}

/// Spans.
pub(crate) const TRACES: Service =
    Service { http: "/v1/traces", grpc: "/opentelemetry.proto.collector.trace.v1.TraceService/Export" };
/// Log records.
pub(crate) const LOGS: Service =
    Service { http: "/v1/logs", grpc: "/opentelemetry.proto.collector.logs.v1.LogsService/Export" };

/// A collector, with the connection to it while there is one.
pub(crate) struct Collector {
    target: Arc<Target>,
    deadlines: Rc<Deadlines>,
    open: Option<Open>,
}

enum Open {
    Http1(http1::SendRequest<Whole>),
    Http2(http2::SendRequest<Whole>),
}

/// An answer, read.
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
    trailers: Option<HeaderMap>,
}

impl Collector {
    /// Nothing is connected yet.
    pub(crate) fn new(target: Arc<Target>, deadlines: Rc<Deadlines>) -> Self {
        Collector { target, deadlines, open: None }
    }

    pub(crate) fn target(&self) -> &Arc<Target> {
        &self.target
    }

    /// Sends a message, within the time that is set for one request. The connection is kept for the next one where it may be.
    pub(crate) async fn send(&mut self, service: Service, message: &[u8]) -> Verdict {
        let timeout = self.target.otlp.timeout;
        let why = match tokio::time::timeout(timeout, self.exchange(service, message)).await {
            Ok(Ok(verdict)) => return verdict,
            Ok(Err(why)) => why,
            Err(_) => format!("it has not answered within {timeout:?}"),
        };
        self.open = None;
        Verdict::Again { after: None, why }
    }

    async fn exchange(&mut self, service: Service, message: &[u8]) -> Result<Verdict, String> {
        let protocol = self.target.otlp.protocol;
        let request = self.request(service, message)?;
        let open = match self.open.take() {
            Some(open) if !open.is_closed() => open,
            _ => self.connect().await?,
        };
        let (answer, open) = open.exchange(request).await?;
        self.open = Some(open);
        Ok(match protocol {
            OtlpProtocol::Http => verdict::of_http(answer.status, &answer.headers, &answer.body),
            OtlpProtocol::Grpc => {
                let trailers = answer.trailers.as_ref().unwrap_or(&answer.headers);
                verdict::of_grpc(answer.status, trailers, &answer.body)
            }
        })
    }

    fn request(&self, service: Service, message: &[u8]) -> Result<Request<Whole>, String> {
        let Otlp { host, port, path, protocol, tls, headers, .. } = &self.target.otlp;
        let host = if host.contains(':') { format!("[{host}]") } else { host.to_string() };
        let authority = format!("{host}:{port}");
        let mut request = Request::post(match protocol {
            OtlpProtocol::Http => format!("{path}{}", service.http),
            OtlpProtocol::Grpc => {
                let scheme = if tls.is_some() { "https" } else { "http" };
                format!("{scheme}://{authority}{}", service.grpc)
            }
        })
        .header(header::USER_AGENT, concat!("narrows/", env!("CARGO_PKG_VERSION")));
        for (name, value) in headers {
            request = request.header(&**name, &**value);
        }
        let body = match protocol {
            OtlpProtocol::Http => {
                request = request
                    .header(header::HOST, authority)
                    .header(header::CONTENT_TYPE, "application/x-protobuf");
                Bytes::copy_from_slice(message)
            }
            OtlpProtocol::Grpc => {
                request =
                    request.header(header::CONTENT_TYPE, "application/grpc").header(header::TE, "trailers");
                let length =
                    u32::try_from(message.len()).map_err(|_| "the message is too large".to_owned())?;
                [&[0], &length.to_be_bytes()[..], message].concat().into()
            }
        };
        request.body(Whole(Some(body))).map_err(|error| error.to_string())
    }

    async fn connect(&self) -> Result<Open, String> {
        let Otlp { host, port, protocol, .. } = &self.target.otlp;
        let mut stream = reach(host, *port).await.map_err(|error| format!("cannot connect: {error}"))?;
        if let Some(connector) = &self.target.connector {
            let watch = self.deadlines.watch();
            watch.set(Some(self.target.otlp.timeout));
            let done = connector.connect(stream, host, Purpose::Http, &watch).await;
            stream = done.map_err(|fault| format!("TLS failed: {fault:?}"))?.0;
        }
        let stream = Transport(stream);
        match protocol {
            OtlpProtocol::Http => {
                let (sender, connection) =
                    http1::handshake(stream).await.map_err(|error| error.to_string())?;
                tokio::task::spawn_local(connection);
                Ok(Open::Http1(sender))
            }
            OtlpProtocol::Grpc => {
                let (sender, connection) =
                    http2::handshake(Tasks, stream).await.map_err(|error| error.to_string())?;
                tokio::task::spawn_local(connection);
                Ok(Open::Http2(sender))
            }
        }
    }
}

impl Open {
    fn is_closed(&self) -> bool {
        match self {
            Open::Http1(sender) => sender.is_closed(),
            Open::Http2(sender) => sender.is_closed(),
        }
    }

    async fn exchange(mut self, request: Request<Whole>) -> Result<(Answer, Open), String> {
        let sent = match &mut self {
            Open::Http1(sender) => match sender.ready().await {
                Ok(()) => sender.send_request(request).await,
                Err(error) => Err(error),
            },
            Open::Http2(sender) => match sender.ready().await {
                Ok(()) => sender.send_request(request).await,
                Err(error) => Err(error),
            },
        };
        let (head, body) = sent.map_err(|error| reasons(&error))?.into_parts();
        let (body, trailers) = read(body).await?;
        Ok((Answer { status: head.status, headers: head.headers, body, trailers }, self))
    }
}

/// The first of the host's addresses that takes the connection.
async fn reach(host: &str, port: u16) -> io::Result<Stream> {
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    for address in tokio::net::lookup_host((host, port)).await? {
        match Stream::connect(address).await {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

async fn read(mut body: Incoming) -> Result<(Vec<u8>, Option<HeaderMap>), String> {
    let mut bytes = Vec::new();
    let mut trailers = None;
    while let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
        match frame.map_err(|error| reasons(&error))?.into_data() {
            Ok(piece) if bytes.len() + piece.len() <= ANSWER => bytes.extend_from_slice(&piece),
            Ok(_) => return Err("its answer is too long".into()),
            Err(frame) => trailers = frame.into_trailers().ok(),
        }
    }
    Ok((bytes, trailers))
}

/// An error with what led to it.
fn reasons(error: &hyper::Error) -> String {
    use std::error::Error;
    let mut told = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        told = format!("{told}: {cause}");
        source = cause.source();
    }
    told
}
