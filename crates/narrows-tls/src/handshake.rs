//! Driving a handshake to its end.

use crate::acceptor::Refused;
use crate::facts::TlsFacts;
use crate::fault::TlsFault;
use crate::stream::TlsStream;
use narrows_runtime::{Stream, Watch};
use rustls::{Connection, ProtocolVersion};
use std::future::poll_fn;
use std::task::{Context, Poll, ready};

/// The first byte of an alert record (RFC 8446 section 5.1).
const ALERT: u8 = 21;
/// The first byte of a handshake record.
const HANDSHAKE: u8 = 22;

/// How requests in plain HTTP begin; the last is the preface of HTTP/2 (RFC 9113 section 3.4).
const REQUESTS: [&[u8; 4]; 10] =
    [b"GET ", b"POST", b"PUT ", b"HEAD", b"OPTI", b"DELE", b"PATC", b"TRAC", b"CONN", b"PRI "];

/// Runs the handshake within the deadline of `watch`.
pub(crate) async fn run(
    stream: Stream,
    session: Connection,
    watch: &Watch,
) -> Result<(Stream, TlsFacts), Refused> {
    let mut tls = TlsStream::new(stream, session);
    let result = poll_fn(|context| match step(&mut tls, context) {
        Poll::Ready(result) => Poll::Ready(result),
        Poll::Pending => watch.poll_expired(context).map(|()| Err(TlsFault::TimedOut)),
    })
    .await;
    match result {
        Ok(()) => {
            let facts = TlsFacts::of(&tls.session);
            Ok((Stream::Layered(Box::new(tls)), facts))
        }
        Err(fault) => {
            let server_name = TlsFacts::server_name_of(&tls.session);
            Err(Refused { fault, server_name, stream: tls.into_socket() })
        }
    }
}

fn step(tls: &mut TlsStream, context: &mut Context<'_>) -> Poll<Result<(), TlsFault>> {
    loop {
        if !tls.session.is_handshaking() {
            // What a server has left to say when it is done leaves with the first answer: session tickets. In TLS 1.2
            // that is its Finished too, without which no client sends a request.
            let tickets_only = matches!(tls.session, Connection::Server(_))
                && tls.session.protocol_version() == Some(ProtocolVersion::TLSv1_3);
            if !tickets_only && tls.session.wants_write() {
                ready!(tls.poll_flush(context)).map_err(|_| TlsFault::Gone)?;
            }
            return Poll::Ready(Ok(()));
        }
        if tls.session.wants_write() {
            ready!(tls.poll_flush(context)).map_err(|_| TlsFault::Gone)?;
        }
        let count = ready!(tls.poll_receive(context)).map_err(|_| TlsFault::Gone)?;
        match tls.first.bytes() {
            [HANDSHAKE, ..] | [] => {}
            // An alert may come first from a client that has changed its mind.
            [ALERT, ..] => return Poll::Ready(Err(TlsFault::Alert)),
            first => {
                let may_be_http = REQUESTS.iter().any(|request| request.starts_with(first));
                if may_be_http && first.len() < 4 && count > 0 {
                    continue;
                }
                let http = may_be_http && first.len() == 4;
                return Poll::Ready(Err(TlsFault::NotTls { http }));
            }
        }
        if count == 0 {
            return Poll::Ready(Err(TlsFault::Gone));
        }
        if let Err(error) = tls.session.process_new_packets() {
            // The alert tells the other end; when it does not take it, so be it.
            let _ = tls.poll_flush(context);
            return Poll::Ready(Err(TlsFault::of(&error)));
        }
    }
}
