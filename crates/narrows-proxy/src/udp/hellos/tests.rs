use super::*;
use narrows_runtime::Deadlines;

/// The first flight of a client whose hello takes three datagrams.
fn flight() -> Vec<Vec<u8>> {
    let digit = |digit: u8| char::from(digit).to_digit(16).unwrap() as u8;
    let bytes =
        |line: &str| line.as_bytes().chunks(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect();
    include_str!("../../../../narrows-quic/src/tests/long.hex").lines().map(bytes).collect()
}

fn datagram(bytes: &[u8]) -> Datagram<'_> {
    Datagram { from: None, to: None, bytes, segment: None, tag: 0 }
}

fn key(port: u16) -> FlowKey {
    FlowKey { client: ([127, 0, 0, 1], port).into(), local: None, behind: None, lane: 0 }
}

#[test]
fn datagrams_are_held_back_until_the_hello_is_whole() {
    let flight = flight();
    let mut hellos = Hellos::default();
    for part in &flight[..2] {
        assert!(hellos.read(key(1), &datagram(part), Tick::NEVER).unwrap().is_none());
    }
    assert!(hellos.first_id(&key(1)).is_some() && hellos.first_id(&key(2)).is_none());
    let whole = hellos.read(key(1), &datagram(&flight[2]), Tick::NEVER).unwrap().unwrap();
    assert_eq!((whole.server_name.as_str(), &whole.alpn[..]), ("one.example.com", &["h3".to_owned()][..]));
    assert!(whole.held.iter().map(|held| &held[..]).eq(flight[..2].iter().map(|part| &part[..])));
    assert!(hellos.is_empty());
}

#[test]
fn joined_datagrams_are_taken_apart() {
    let all = flight().concat();
    let joined = Datagram { segment: Some(1200), ..datagram(&all) };
    let whole = Hellos::default().read(key(1), &joined, Tick::NEVER).unwrap().unwrap();
    assert_eq!(whole.server_name, "one.example.com");
    assert!(whole.held.is_empty(), "the joined datagram is passed on as it is");
}

#[test]
fn what_begins_no_connection_is_refused_and_held_nowhere() {
    let mut hellos = Hellos::default();
    let first = &flight()[0];
    let mut touched = first.clone();
    touched[40] ^= 1;
    for bytes in [&[][..], &[0x40; 1200], &first[..1199], &touched] {
        let refused = hellos.read(key(1), &datagram(bytes), Tick::NEVER).err();
        assert_eq!(refused, Some(Fault::QuicInitial));
    }
    assert!(hellos.is_empty());
}

#[test]
fn a_client_cannot_make_more_be_held_than_a_few_datagrams() {
    let mut hellos = Hellos::default();
    let first = &flight()[0];
    let outcomes: Vec<_> =
        (0..=HELD).map(|_| hellos.read(key(1), &datagram(first), Tick::NEVER).map(|_| ())).collect();
    assert_eq!(outcomes.last(), Some(&Err(Fault::ClientHello)));
    assert!(outcomes[..HELD].iter().all(Result::is_ok) && hellos.is_empty());
}

#[test]
fn no_more_than_a_thousand_wait_and_all_have_a_deadline() {
    let mut hellos = Hellos::default();
    let first = &flight()[0];
    let now = Deadlines::new().now();
    for port in 0..WAITING as u16 {
        assert!(hellos.read(key(port), &datagram(first), now).is_ok());
    }
    assert_eq!(hellos.read(key(9999), &datagram(first), now).err(), Some(Fault::SessionLimit));
    assert_eq!(hellos.expired(now).len(), WAITING);
    assert!(hellos.is_empty());
}
