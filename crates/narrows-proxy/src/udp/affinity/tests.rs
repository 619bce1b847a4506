use super::*;
use narrows_plan::UpstreamId;
use narrows_upstream::EndpointId;

fn home(endpoint: u64) -> Home {
    Home { route: None, upstream: UpstreamId(0), endpoint: EndpointId(endpoint) }
}

fn id(bytes: &[u8]) -> ConnectionId {
    ConnectionId::new(bytes).unwrap()
}

const CLIENT: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

#[test]
fn a_short_header_is_found_by_the_lengths_that_servers_use() {
    let mut affinity = Affinity::new();
    affinity.learn_server(id(&[1, 2, 3, 4]), home(1));
    affinity.learn_server(id(&[1, 2, 3, 4, 5, 6, 7, 8]), home(2));
    assert_eq!(affinity.find(&[0x40, 1, 2, 3, 4, 9, 9, 9, 9, 9], CLIENT), Some((home(1), 4)));
    assert_eq!(
        affinity.find(&[0x40, 1, 2, 3, 4, 5, 6, 7, 8, 9], CLIENT),
        Some((home(2), 8)),
        "the longest counts"
    );
    assert_eq!(affinity.find(&[0x40, 1, 2, 3], CLIENT), None);
    assert_eq!(affinity.find(&[0x40, 9, 2, 3, 4, 5, 6, 7, 8, 9], CLIENT), None);
}

#[test]
fn a_long_header_is_found_by_its_destination() {
    let mut affinity = Affinity::new();
    affinity.learn(id(&[7; 8]), home(3));
    let packet = [&[0xc0, 0, 0, 0, 1, 8][..], &[7; 8], &[0]].concat();
    assert_eq!(affinity.find(&packet, CLIENT), Some((home(3), 0)));
    affinity.learn(id(&[7; 8]), home(4));
    assert_eq!(affinity.find(&packet, CLIENT), Some((home(3), 0)), "an id does not change hands");
}

#[test]
fn an_id_that_nobody_saw_goes_where_the_client_has_been() {
    let mut affinity = Affinity::new();
    affinity.learn_client(CLIENT, home(5));
    assert_eq!(affinity.find(&[0x40, 1, 2, 3], CLIENT), Some((home(5), 0)));
    assert_eq!(affinity.find(&[0x40, 1, 2, 3], [192, 0, 2, 2].into()), None);
}

#[test]
fn what_is_asked_for_stays_and_the_rest_is_forgotten() {
    let mut affinity = Affinity::new();
    let bytes = |number: u32| id(&[&number.to_be_bytes()[..], &[0; 4]].concat());
    let packet = |number: u32| [&[0x40][..], bytes(number).as_bytes()].concat();
    for number in 0..(3 * GENERATION as u32) {
        affinity.learn_server(bytes(number), home(1));
        assert!(affinity.find(&packet(0), CLIENT).is_some(), "{number}");
    }
    assert!(affinity.find(&packet(1), CLIENT).is_none());
    assert!(affinity.by_id.younger.len() + affinity.by_id.older.len() <= 2 * GENERATION);
}
