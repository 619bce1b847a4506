use super::*;
use narrows_plan::Bind;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

fn listening(address: &str) -> (socket2::Socket, SocketAddr) {
    let mut bound = bind_datagrams(&Bind::Socket(address.parse().unwrap()), 1).unwrap();
    let Bind::Socket(address) = bound.bind else { panic!("{:?}", bound.bind) };
    (bound.sockets.remove(0), address)
}

fn client() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    socket
}

/// Receives until there are `count` datagrams.
fn receive(inbox: &mut Inbox, socket: &socket2::Socket, count: u64) {
    let end = Instant::now() + Duration::from_secs(10);
    while inbox.iter().map(|datagram| datagram.count()).sum::<u64>() < count {
        assert!(Instant::now() < end, "too few datagrams");
        let _ = inbox.receive(socket, 7);
    }
}

#[test]
fn a_batch_is_received_with_its_senders_and_in_order() {
    let (socket, address) = listening("127.0.0.1:0");
    let (one, two) = (client(), client());
    for (client, text) in [(&one, "a"), (&two, "b"), (&one, ""), (&two, "c")] {
        client.send_to(text.as_bytes(), address).unwrap();
    }
    let mut inbox = Inbox::new();
    receive(&mut inbox, &socket, 4);
    let seen: Vec<_> =
        inbox.iter().map(|datagram| (datagram.from.unwrap(), datagram.bytes.to_vec())).collect();
    let (one, two) = (one.local_addr().unwrap(), two.local_addr().unwrap());
    let expected = [(one, &b"a"[..]), (two, b"b"), (one, b""), (two, b"c")];
    assert_eq!(seen, expected.map(|(from, bytes)| (from, bytes.to_vec())));
    assert!(inbox.iter().all(|datagram| datagram.tag == 7 && datagram.parts().count() == 1));
}

#[test]
fn the_largest_datagram_arrives_whole() {
    let (socket, address) = listening("127.0.0.1:0");
    let bytes: Vec<u8> = (0..65_507).map(|number| number as u8).collect();
    client().send_to(&bytes, address).unwrap();
    let mut inbox = Inbox::new();
    receive(&mut inbox, &socket, 1);
    assert!(inbox.iter().next().unwrap().bytes == bytes);
    assert_eq!(inbox.take_cut(), 0);
}

#[test]
fn a_socket_on_all_addresses_tells_where_the_datagram_went_and_answers_from_there() {
    for (bind, target) in [("0.0.0.0:0", "127.0.0.3"), ("[::]:0", "127.0.0.3")] {
        let (socket, address) = listening(bind);
        let client = client();
        client.send_to(b"x", (target, address.port())).unwrap();
        let mut inbox = Inbox::new();
        receive(&mut inbox, &socket, 1);
        let datagram = inbox.iter().next().unwrap();
        assert_eq!(datagram.to.unwrap().to_canonical().to_string(), target);
        let answer = Message { to: datagram.from, from: datagram.to, bytes: b"y", segment: None };
        let sent = Outbox::new().send(&socket, [answer].into_iter(), |_, error| panic!("{error}"));
        assert_eq!(sent, Sent { messages: 1, blocked: false });
        let (_, from) = client.recv_from(&mut [0; 10]).unwrap();
        assert_eq!(from.to_string(), format!("{target}:{}", address.port()));
    }
}

#[test]
fn datagrams_of_one_flow_are_joined_and_arrive_apart() {
    let receiver = client();
    let socket = DatagramSocket::connect(receiver.local_addr().unwrap()).unwrap();
    let payloads = [[1; 900].to_vec(), [2; 900].to_vec(), [3; 100].to_vec(), [4; 900].to_vec(), Vec::new()];
    let messages = payloads.iter().map(|bytes| Message { to: None, from: None, bytes, segment: None });
    let mut outbox = Outbox::new();
    let sent = outbox.send(&socket, messages, |_, error| panic!("{error}"));
    assert_eq!(sent.messages, 5);
    assert_eq!(outbox.packets.iter().map(|packet| packet.count).collect::<Vec<_>>(), [3, 1, 1]);
    for payload in &payloads {
        let mut buffer = [0; 2000];
        let length = receiver.recv(&mut buffer).unwrap();
        assert!(buffer[..length] == payload[..]);
    }
}

#[test]
fn joined_datagrams_that_are_received_are_counted_and_sent_on_apart() {
    let (socket, address) = listening("127.0.0.1:0");
    let source = DatagramSocket::connect(address).unwrap();
    let payloads: Vec<Vec<u8>> = (0..10).map(|number| vec![number; 700]).collect();
    let messages = payloads.iter().map(|bytes| Message { to: None, from: None, bytes, segment: None });
    let mut outbox = Outbox::new();
    outbox.send(&source, messages, |_, error| panic!("{error}"));
    let mut inbox = Inbox::new();
    receive(&mut inbox, &socket, 10);
    let parts: Vec<_> = inbox.iter().flat_map(|datagram| datagram.parts()).map(<[u8]>::to_vec).collect();
    assert!(parts == payloads);
    let receiver = client();
    let onward = DatagramSocket::connect(receiver.local_addr().unwrap()).unwrap();
    let messages = inbox.iter().map(|datagram| Message {
        to: None,
        from: None,
        bytes: datagram.bytes,
        segment: datagram.segment,
    });
    outbox.send(&onward, messages, |_, error| panic!("{error}"));
    for payload in &payloads {
        let mut buffer = [0; 2000];
        let length = receiver.recv(&mut buffer).unwrap();
        assert!(buffer[..length] == payload[..]);
    }
}

#[test]
fn what_the_system_does_not_take_joined_is_sent_apart_and_not_joined_for_a_while() {
    let receiver = client();
    let socket = DatagramSocket::connect(receiver.local_addr().unwrap()).unwrap();
    let mut outbox = Outbox::new();
    // More segments than any kernel cuts out of one packet.
    let bytes: Vec<u8> = (0..200).collect();
    let mut joined = 0;
    for _ in 0..20 {
        let message = Message { to: None, from: None, bytes: &bytes, segment: Some(1) };
        outbox.send(&socket, [message].into_iter(), |_, error| panic!("{error}"));
        for expected in &bytes {
            let mut buffer = [0; 10];
            assert_eq!((receiver.recv(&mut buffer).unwrap(), buffer[0]), (1, *expected));
        }
        let pair =
            [&[1_u8; 9][..], &[2; 9]].map(|bytes| Message { to: None, from: None, bytes, segment: None });
        outbox.send(&socket, pair.into_iter(), |_, error| panic!("{error}"));
        joined += usize::from(outbox.packets.len() == 1);
        assert_eq!((receiver.recv(&mut [0; 10]).unwrap(), receiver.recv(&mut [0; 10]).unwrap()), (9, 9));
    }
    assert_eq!(joined, 15);
}

#[test]
fn nobody_there_is_an_error_of_the_connected_socket() {
    let gone = client().local_addr().unwrap();
    let socket = DatagramSocket::connect(gone).unwrap();
    Outbox::send_one(&socket, b"x").unwrap();
    let mut inbox = Inbox::new();
    let end = Instant::now() + Duration::from_secs(10);
    loop {
        match inbox.receive(socket.as_fd(), 0) {
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => break,
            _ => assert!(Instant::now() < end, "no error came"),
        }
    }
}

#[test]
fn a_unix_socket_carries_no_datagrams() {
    assert!(bind_datagrams(&Bind::Unix("/tmp/x".into()), 1).is_err());
}
