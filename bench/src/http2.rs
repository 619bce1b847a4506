//! A client of HTTP/2 over TLS that checks every byte of an answer.

use std::net::Ipv4Addr;
use std::sync::Arc;

use anyhow::Context;
use bytes::Bytes;
use h2::RecvStream;
use h2::client::{ResponseFuture, SendRequest};
use http::{HeaderMap, Request, StatusCode};
use rustls::client::ClientConfig;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::service::{self, SMALL, Service};
use crate::tls::{self, Handshake};

pub(crate) const ALPN: &[u8] = b"h2";
const WINDOW: u32 = 1 << 20;

/// Opens a connection; it lives as long as a clone of what is returned.
pub(crate) async fn connect(
    port: u16,
    offer: &Arc<ClientConfig>,
    host: &'static str,
) -> anyhow::Result<SendRequest<Bytes>> {
    let socket = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
    socket.set_nodelay(true)?;
    let stream = TlsConnector::from(Arc::clone(offer)).connect(host.try_into()?, socket).await?;
    tls::check(stream.get_ref().1, ALPN, Handshake::Full).map_err(anyhow::Error::msg)?;
    let (sender, connection) = h2::client::Builder::new()
        .initial_window_size(WINDOW)
        .initial_connection_window_size(16 * WINDOW)
        .handshake(stream)
        .await
        .context("the HTTP/2 preface")?;
    tokio::task::spawn_local(connection);
    Ok(sender)
}

/// Asks every service that `services` names over a connection of its own, twice (once for each endpoint), and checks
/// the answers whole.
pub(crate) async fn probe(port: u16, offer: &Arc<ClientConfig>, services: &[Service]) -> Result<(), String> {
    for service in services {
        let connected = connect(port, offer, service.host()).await;
        let sender = connected.map_err(|error| format!("connecting: {error:#}"))?;
        for _ in 0..2 {
            get(&sender, *service).await.map_err(|error| format!("{}: {error}", service.host()))?;
        }
    }
    Ok(())
}

async fn get(sender: &SendRequest<Bytes>, service: Service) -> Result<(), String> {
    let asked = service::Request { large: false, secure: true, close: false };
    let mut request = Request::get(format!("https://{}{}", service.host(), service.path(asked)));
    for (name, value) in service.fields() {
        request = request.header(name, value);
    }
    let request = request.body(()).map_err(|error| error.to_string())?;
    let mut sender = sender.clone().ready().await.map_err(|error| format!("opening a stream: {error}"))?;
    let (answer, _) = sender.send_request(request, true).map_err(|error| format!("asking: {error}"))?;
    receive(answer, &service.body(SMALL)).await.map(drop)
}

/// Receives an answer with status 200 and exactly `expected` for its body; gives its fields and trailers.
pub(crate) async fn receive(
    answer: ResponseFuture,
    expected: &[u8],
) -> Result<(HeaderMap, Option<HeaderMap>), String> {
    let (head, mut body) = answer.await.map_err(|error| format!("the head: {error}"))?.into_parts();
    if head.status != StatusCode::OK {
        return Err(format!("status is not 200: {}", head.status));
    }
    read_body(&mut body, expected).await?;
    let trailers = body.trailers().await.map_err(|error| format!("the trailers: {error}"))?;
    Ok((head.headers, trailers))
}

async fn read_body(body: &mut RecvStream, expected: &[u8]) -> Result<(), String> {
    let mut rest = expected;
    while let Some(part) = body.data().await {
        let part = part.map_err(|error| format!("the body: {error}"))?;
        rest = rest.strip_prefix(&*part).ok_or_else(|| {
            format!("the body differs in the {} bytes from {}", part.len(), expected.len() - rest.len())
        })?;
        let released = body.flow_control().release_capacity(part.len());
        released.map_err(|error| format!("the window: {error}"))?;
    }
    if rest.is_empty() { Ok(()) } else { Err(format!("{} bytes of the body are missing", rest.len())) }
}
