use super::super::dns_server::{DnsServer, Says, address, on_runtime};
use super::super::system::System;
use super::*;
use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;
use narrows_plan::Resolver;
use std::rc::Rc;

type Family = Result<&'static [&'static str], ResponseCode>;

/// What comes of a server that says this of each family.
async fn asked(family: AddressFamily, v4: Family, v6: Family, before: &[&str]) -> Answer<Vec<IpAddr>> {
    let server = DnsServer::start(move |question| {
        let family = if question.query_type() == RecordType::A { v4 } else { v6 };
        match family {
            Ok([]) => Says::Code(ResponseCode::NoError, Some(30)),
            Ok(list) => Says::Records(list.iter().map(|one| address("a.test", 60, one)).collect()),
            Err(code) => Says::Code(code, None),
        }
    })
    .await;
    let settings = Resolver { servers: Box::new([server.address]), family, ..Resolver::default() };
    let stub = Rc::clone(&StubResolver::new(settings, System::at("/nowhere".as_ref(), "/nowhere".as_ref())));
    let before: Vec<IpAddr> = before.iter().map(|one| one.parse().expect("an address")).collect();
    addresses(&stub, "a.test", &before).await
}

fn texts(answer: Answer<Vec<IpAddr>>) -> Vec<String> {
    match answer {
        Answer::Found { what, .. } => what.iter().map(ToString::to_string).collect(),
        Answer::Nothing { why, .. } => vec![format!("nothing: {why}")],
        Answer::Failed { .. } => vec!["failed".to_owned()],
    }
}

#[test]
fn families_are_preferred_as_configured() {
    use AddressFamily::{All, Ipv4, Ipv6, PreferIpv4, PreferIpv6};
    let (v4, v6): (Family, Family) = (Ok(&["10.0.0.2", "10.0.0.1"]), Ok(&["fd00::1"]));
    let (none, broken): (Family, Family) = (Ok(&[]), Err(ResponseCode::ServFail));
    let both = &["10.0.0.1", "10.0.0.2", "fd00::1"][..];
    let cases: &[(AddressFamily, Family, Family, &[&str])] = &[
        (PreferIpv4, v4, v6, &both[..2]),
        (PreferIpv4, none, v6, &["fd00::1"]),
        (PreferIpv4, none, none, &["nothing: the name has no address"]),
        (PreferIpv4, broken, v6, &["failed"]),
        (PreferIpv4, none, broken, &["failed"]),
        (PreferIpv6, v4, v6, &["fd00::1"]),
        (PreferIpv6, v4, none, &both[..2]),
        (Ipv4, none, v6, &["nothing: the name has no IPv4 address"]),
        (Ipv6, v4, v6, &["fd00::1"]),
        (All, v4, v6, both),
        (All, v4, none, &both[..2]),
        (All, none, none, &["nothing: the name has no address"]),
        (All, broken, none, &["failed"]),
    ];
    on_runtime(async {
        for (family, v4, v6, expected) in cases {
            let answer = asked(*family, *v4, *v6, &[]).await;
            assert_eq!(texts(answer), *expected, "{family:?} {v4:?} {v6:?}");
        }
    });
}

#[test]
fn of_two_families_the_one_that_fails_keeps_what_it_had() {
    on_runtime(async {
        let before = ["10.0.0.9", "fd00::9"];
        let answer = asked(AddressFamily::All, Ok(&["10.0.0.1"]), Err(ResponseCode::ServFail), &before).await;
        let Answer::Found { ttl, .. } = &answer else { panic!("{answer:?}") };
        assert_eq!(*ttl, Resolver::default().retry);
        assert_eq!(texts(answer), ["10.0.0.1", "fd00::9"]);
        let answer = asked(AddressFamily::All, Ok(&["10.0.0.1"]), Ok(&[]), &before).await;
        assert_eq!(texts(answer), ["10.0.0.1"]);
    });
}

#[test]
fn the_other_family_is_used_no_longer_than_the_preferred_one_is_known_to_be_missing() {
    on_runtime(async {
        let answer = asked(AddressFamily::PreferIpv4, Ok(&[]), Ok(&["fd00::1"]), &[]).await;
        let Answer::Found { ttl, .. } = answer else { panic!("{answer:?}") };
        assert_eq!(ttl, Duration::from_secs(30));
    });
}

#[test]
fn a_single_address_stays_as_long_as_it_is_in_the_answer() {
    on_runtime(async {
        let server = DnsServer::start(|_| {
            Says::Records(["10.0.0.3", "10.0.0.1", "10.0.0.2"].map(|one| address("a.test", 60, one)).into())
        })
        .await;
        let servers = Box::new([server.address]);
        let settings = Resolver { servers, every_address: false, ..Resolver::default() };
        let stub = StubResolver::new(settings, System::at("/nowhere".as_ref(), "/nowhere".as_ref()));
        let now = |before: &str| before.parse::<IpAddr>().expect("an address");
        assert_eq!(texts(addresses(&stub, "a.test", &[]).await), ["10.0.0.1"]);
        assert_eq!(texts(addresses(&stub, "a.test", &[now("10.0.0.3")]).await), ["10.0.0.3"]);
        assert_eq!(texts(addresses(&stub, "a.test", &[now("10.0.0.9")]).await), ["10.0.0.1"]);
    });
}
