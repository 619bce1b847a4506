//! The commands' side of the API: one request, one answer.

use crate::address::{Place, Target};
use crate::transport::Transport;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use http::{HeaderValue, Request};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::client::conn::http1;
use narrows_plan::{ClientTls, Origin, TlsPolicy};
use narrows_runtime::{Deadlines, Stream};
use narrows_tls::{Connector, Purpose};
use std::convert::Infallible;
use std::fmt::Write;
use std::future::poll_fn;
use std::path::PathBuf;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::runtime::{Builder, LocalOptions};

/// How long an answer may take: a reload looks up names.
const PATIENCE: Duration = Duration::from_secs(60);
/// Bytes of an answer.
const MOST: usize = 256 << 20;

/// How a client shows who it is, and whom it believes.
#[derive(Debug, Clone, Default)]
pub struct Credentials {
    /// The token.
    pub token: Option<String>,
    /// A PEM file with the authorities that are believed; `None` takes the system's.
    pub authorities: Option<PathBuf>,
    /// PEM files of the certificate that is shown and its key.
    pub certificate: Option<(PathBuf, PathBuf)>,
}

/// An answer of the API.
#[derive(Debug, Clone)]
pub struct Received {
    /// Its status.
    pub status: u16,
    /// Its body.
    pub body: Bytes,
}

/// Sends one request and waits for its answer. `body` is JSON. Blocks.
///
/// # Errors
/// A sentence that says why there is none.
pub fn request(
    target: &Target,
    credentials: &Credentials,
    method: &str,
    path: &str,
    body: Option<&serde_json::Value>,
) -> Result<Received, String> {
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build_local(LocalOptions::default())
        .map_err(|error| error.to_string())?;
    let exchange = exchange(target, credentials, method, path, body);
    let limited = async { tokio::time::timeout(PATIENCE, exchange).await };
    runtime.block_on(limited).unwrap_or_else(|_| Err(format!("{target} did not answer within 60 seconds")))
}

async fn exchange(
    target: &Target,
    credentials: &Credentials,
    method: &str,
    path: &str,
    body: Option<&serde_json::Value>,
) -> Result<Received, String> {
    let stream = connect(target, credentials).await?;
    let failed = |error: hyper::Error| format!("{target} gave no answer: {error}");
    let (mut sender, connection) =
        http1::handshake(Transport::new(stream, PATIENCE)).await.map_err(failed)?;
    let driving = tokio::task::spawn_local(connection);
    let mut request = Request::builder().method(method).uri(path).header(HOST, host(target));
    if body.is_some() {
        request = request.header(CONTENT_TYPE, crate::reply::JSON);
    }
    if let Some(token) = &credentials.token {
        let mut value = HeaderValue::from_str(&format!("Bearer {token}"))
            .map_err(|_| "the token holds what cannot be sent".to_owned())?;
        value.set_sensitive(true);
        request = request.header(AUTHORIZATION, value);
    }
    let bytes = body.map(|body| Bytes::from(body.to_string()));
    let request = request.body(Sent(bytes)).map_err(|error| error.to_string())?;
    let answer = sender.send_request(request).await.map_err(failed)?;
    let status = answer.status().as_u16();
    let body = receive(answer.into_body()).await.map_err(failed)?;
    driving.abort();
    Ok(Received { status, body })
}

async fn receive(mut body: Incoming) -> hyper::Result<Bytes> {
    let mut bytes = Vec::new();
    while let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
        if let Ok(piece) = frame?.into_data()
            && bytes.len() + piece.len() <= MOST
        {
            bytes.extend_from_slice(&piece);
        }
    }
    Ok(bytes.into())
}

async fn connect(target: &Target, credentials: &Credentials) -> Result<Stream, String> {
    let (host, port) = match &target.place {
        Place::Unix(path) => {
            return Stream::connect_unix(path).await.map_err(|error| unreachable(target, &error));
        }
        Place::Host(host, port) => (host, *port),
    };
    let found = tokio::net::lookup_host((host.as_str(), port)).await;
    let address = found.ok().and_then(|mut found| found.next());
    let address = address.ok_or_else(|| format!("there is no address for {host}"))?;
    let stream = Stream::connect(address).await.map_err(|error| unreachable(target, &error))?;
    if !target.tls {
        return Ok(stream);
    }
    let file = |path: &PathBuf| narrows_plan::File { path: path.clone(), origin: Origin::default() };
    let plan =
        ClientTls {
            origin: Origin::default(),
            verify: true,
            authorities: credentials.authorities.as_ref().map(file),
            server_name: None,
            certificate: credentials.certificate.as_ref().map(|(chain, key)| {
                narrows_plan::CertificateFiles { chain: file(chain), key: file(key), ocsp: None }
            }),
            policy: TlsPolicy::default(),
        };
    let connector = Connector::load(&plan).map_err(|problems| {
        problems.into_iter().map(|problem| problem.message).collect::<Vec<_>>().join("; ")
    })?;
    let deadlines = Deadlines::new();
    let secured = connector.connect(stream, host, Purpose::Http, &deadlines.watch()).await;
    secured.map(|(stream, _)| stream).map_err(|fault| format!("no TLS with {target}: {fault:?}"))
}

fn unreachable(target: &Target, error: &std::io::Error) -> String {
    use std::io::ErrorKind::{ConnectionRefused, NotFound, PermissionDenied};
    match error.kind() {
        NotFound | ConnectionRefused => format!(
            "no narrows listens at {target}; is it running, and is its `admin` there? Name another place with --admin"
        ),
        PermissionDenied => format!("this user may not use {target}: its socket belongs to another one"),
        _ => format!("cannot reach {target}: {error}"),
    }
}

fn host(target: &Target) -> String {
    match &target.place {
        Place::Unix(_) => "localhost".to_owned(),
        Place::Host(host, port) if host.contains(':') => format!("[{host}]:{port}"),
        Place::Host(host, port) => format!("{host}:{port}"),
    }
}

/// A name as a segment of a path.
pub fn encoded(name: &str) -> String {
    let mut text = String::with_capacity(name.len());
    for byte in name.bytes() {
        match byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~' | b':') {
            true => text.push(char::from(byte)),
            false => drop(write!(text, "%{byte:02X}")),
        }
    }
    text
}

/// A body that is sent.
struct Sent(Option<Bytes>);

impl Body for Sent {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.take().map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.as_ref().map_or(0, Bytes::len) as u64)
    }
}
