//! One question to one DNS server: UDP, and TCP where the answer does not fit.

use hickory_proto::op::{DEFAULT_MAX_PAYLOAD_LEN, Edns, Message, MessageType, OpCode, Query, ResponseCode};
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

/// Room for a datagram; more than is asked for.
const DATAGRAM: usize = 4096;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum AskError {
    /// Nothing came in time.
    #[error("no answer in time")]
    TimedOut,
    /// The server cannot be reached, or it has hung up.
    #[error("{}", .0.kind())]
    Unreachable(#[from] io::Error),
    /// What came is not an answer to the question.
    #[error("the answer cannot be read")]
    Malformed,
}

/// Asks, and waits up to `limit` for the answer. A server that does not know EDNS is asked once more without.
/// Cancel safe: nothing is kept.
///
/// # Errors
/// Why there is no answer.
pub(super) async fn ask(server: SocketAddr, question: &Query, limit: Duration) -> Result<Message, AskError> {
    let exchange = async {
        let answer = once(server, question, true).await?;
        match answer.metadata.response_code {
            ResponseCode::FormErr | ResponseCode::NotImp => once(server, question, false).await,
            _ => Ok(answer),
        }
    };
    timeout(limit, exchange).await.unwrap_or(Err(AskError::TimedOut))
}

async fn once(server: SocketAddr, question: &Query, with_edns: bool) -> Result<Message, AskError> {
    // The id is chosen by chance, the port as well (by the kernel): what a stranger sends blindly has to
    // guess both.
    let mut message = Message::query();
    message.metadata.recursion_desired = true;
    message.add_query(question.clone());
    if with_edns {
        let mut edns = Edns::new();
        edns.set_max_payload(DEFAULT_MAX_PAYLOAD_LEN);
        message.set_edns(edns);
    }
    let id = message.metadata.id;
    let bytes = message.to_vec().map_err(|_| AskError::Malformed)?;
    let answer = by_datagram(server, question, id, &bytes).await?;
    if answer.metadata.truncation { by_stream(server, question, id, &bytes).await } else { Ok(answer) }
}

async fn by_datagram(
    server: SocketAddr,
    question: &Query,
    id: u16,
    bytes: &[u8],
) -> Result<Message, AskError> {
    let any = match server {
        SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
        SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
    };
    let socket = UdpSocket::bind(any).await?;
    // Connected: the kernel drops what others send, and tells when nobody listens there.
    socket.connect(server).await?;
    socket.send(bytes).await?;
    let mut datagram = vec![0; DATAGRAM];
    loop {
        let length = socket.recv(&mut datagram).await?;
        // Anything with another id is an answer to somebody else; it must not end the waiting.
        if datagram[..length].starts_with(&id.to_be_bytes()) {
            return read(&datagram[..length], question, id);
        }
    }
}

async fn by_stream(server: SocketAddr, question: &Query, id: u16, bytes: &[u8]) -> Result<Message, AskError> {
    let mut stream = TcpStream::connect(server).await?;
    let length = u16::try_from(bytes.len()).map_err(|_| AskError::Malformed)?;
    stream.write_all(&[&length.to_be_bytes(), bytes].concat()).await?;
    let mut length = [0; 2];
    stream.read_exact(&mut length).await?;
    let mut answer = vec![0; u16::from_be_bytes(length).into()];
    stream.read_exact(&mut answer).await?;
    read(&answer, question, id)
}

/// A message, when it answers the question.
fn read(bytes: &[u8], question: &Query, id: u16) -> Result<Message, AskError> {
    let message = Message::from_vec(bytes).map_err(|_| AskError::Malformed)?;
    let header = &message.metadata;
    let is_answer =
        header.id == id && header.message_type == MessageType::Response && header.op_code == OpCode::Query;
    // Servers leave the question out when they could not read it.
    let is_error = !matches!(header.response_code, ResponseCode::NoError | ResponseCode::NXDomain);
    let is_same = match message.queries.as_slice() {
        [one] => one == question,
        [] => is_error,
        _ => false,
    };
    if is_answer && is_same { Ok(message) } else { Err(AskError::Malformed) }
}
