use super::Stream;
use std::future::poll_fn;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;

/// A stream as it is accepted, and its other end.
fn tcp() -> (Stream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let other = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (accepted, _) = listener.accept().unwrap();
    accepted.set_nonblocking(true).unwrap();
    (Stream::fresh(accepted), other)
}

fn unix() -> (Stream, UnixStream) {
    let (one, other) = UnixStream::pair().unwrap();
    one.set_nonblocking(true).unwrap();
    (Stream::Unix(tokio::net::UnixStream::from_std(one).unwrap()), other)
}

async fn read(stream: &mut Stream, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    let count = poll_fn(|context| stream.poll_read(context, &mut bytes)).await.unwrap();
    bytes.truncate(count);
    bytes
}

async fn turns(count: u32) {
    for _ in 0..count {
        tokio::task::yield_now().await;
    }
}

/// Looks for more than `known` bytes, without waiting for them.
async fn look(stream: &mut Stream, known: usize) -> Option<Vec<u8>> {
    let mut bytes = vec![0; 64];
    tokio::select! {
        biased;
        count = stream.peek(&mut bytes, known) => Some(bytes[..count.unwrap()].to_vec()),
        // Each turn asks the kernel for what has happened; loopback delivers while the other end writes.
        () = turns(3) => None,
    }
}

async fn looks_and_takes(mut stream: Stream, mut other: impl Write) {
    assert_eq!(look(&mut stream, 0).await, None);
    other.write_all(b"abc").unwrap();
    assert_eq!(look(&mut stream, 0).await.unwrap(), b"abc");
    assert_eq!(look(&mut stream, 2).await.unwrap(), b"abc", "nothing was taken");
    assert_eq!(look(&mut stream, 3).await, None, "the same bytes are not news");
    other.write_all(b"def").unwrap();
    assert_eq!(look(&mut stream, 3).await.unwrap(), b"abcdef");
    assert_eq!(read(&mut stream, 4).await, b"abcd");
    assert_eq!(read(&mut stream, 9).await, b"ef", "the rest is still reported");

    other.write_all(b"gh").unwrap();
    assert_eq!(look(&mut stream, 2).await, None);
    stream.unpeek().unwrap();
    assert_eq!(read(&mut stream, 9).await, b"gh", "bytes that were given up are reported again");

    other.write_all(b"ij").unwrap();
    drop(other);
    assert_eq!(look(&mut stream, 2).await.unwrap().len(), 2, "no more will come");
    assert_eq!(read(&mut stream, 9).await, b"ij");
    assert_eq!(look(&mut stream, 0).await.unwrap(), b"");
}

#[tokio::test]
async fn a_look_takes_nothing_and_tells_only_news() {
    let (stream, other) = tcp();
    looks_and_takes(stream, other).await;
    let (stream, other) = unix();
    looks_and_takes(stream, other).await;
}

#[tokio::test]
async fn our_own_end_has_the_address_that_was_connected_to() {
    let (mut stream, other) = tcp();
    let address = other.peer_addr().unwrap();
    assert_eq!(stream.local_address(), Some(address));
    stream.unpeek().unwrap();
    assert_eq!(stream.local_address(), Some(address));
    assert_eq!(unix().0.local_address(), None);
}
