use super::super::dns_server::{DnsServer, Says, address, on_runtime, service};
use super::super::system::System;
use super::*;
use hickory_proto::op::ResponseCode;
use hickory_proto::rr::Record;
use narrows_plan::Resolver;
use std::time::Duration;

const SERVICE: &str = "_http._tcp.app.test";

/// A server that has a service with these targets, and addresses for targets `aN.test`: 10.0.0.N with a TTL
/// of N.
fn script(records: Vec<Record>) -> impl Fn(&hickory_proto::op::Query) -> Says {
    move |question| {
        let text = question.name().to_ascii();
        let number = text.strip_prefix('a').and_then(|rest| rest.strip_suffix(".test."));
        match (question.query_type(), number) {
            (RecordType::SRV, _) => Says::Records(records.clone()),
            (RecordType::A, Some(number)) if number != "0" => {
                let ttl = number.parse().expect("a number");
                Says::Records(vec![address(&text, ttl, &format!("10.0.0.{number}"))])
            }
            (RecordType::A, Some(_)) => Says::Code(ResponseCode::ServFail, None),
            _ => Says::Code(ResponseCode::NXDomain, Some(1000)),
        }
    }
}

async fn stub(server: &DnsServer) -> Rc<StubResolver> {
    let settings = Resolver { servers: Box::new([server.address]), ..Resolver::default() };
    StubResolver::new(settings, System::at("/nowhere".as_ref(), "/nowhere".as_ref()))
}

fn shown(answer: &Answer<Vec<Place>>) -> Vec<String> {
    let Answer::Found { what, .. } = answer else { panic!("{answer:?}") };
    what.iter().map(|place| format!("{} {} x{}", place.priority, place.address, place.weight)).collect()
}

fn records(list: &[(u16, u16, u16, &str)]) -> Vec<Record> {
    list.iter()
        .map(|(priority, weight, port, target)| service(SERVICE, 60, (*priority, *weight, *port), target))
        .collect()
}

#[test]
fn priorities_are_counted_from_0_and_weights_reduced_to_their_proportion() {
    on_runtime(async {
        let list = records(&[
            (20, 7, 80, "a30.test"),
            (10, 30, 8080, "a20.test"),
            (10, 10, 8081, "a10.test"),
            (10, 0, 8082, "a40.test"),
        ]);
        let server = DnsServer::start(script(list)).await;
        let answer = places(&stub(&server).await, SERVICE, &mut Targets::new()).await;
        let expected =
            ["0 10.0.0.10:8081 x10", "0 10.0.0.20:8080 x30", "0 10.0.0.40:8082 x1", "1 10.0.0.30:80 x1"];
        assert_eq!(shown(&answer), expected);
        let Answer::Found { ttl, .. } = answer else { unreachable!("it was shown") };
        assert_eq!(ttl, Duration::from_secs(10));
    });
}

#[test]
fn weights_of_nothing_alone_are_equal() {
    on_runtime(async {
        let server = DnsServer::start(script(records(&[(0, 0, 1, "a1.test"), (0, 0, 2, "a2.test")]))).await;
        let answer = places(&stub(&server).await, SERVICE, &mut Targets::new()).await;
        assert_eq!(shown(&answer), ["0 10.0.0.1:1 x1", "0 10.0.0.2:2 x1"]);
    });
}

#[test]
fn a_target_that_fails_keeps_its_addresses_as_long_as_the_service_names_it() {
    on_runtime(async {
        let list = || records(&[(0, 1, 1, "a1.test"), (0, 1, 2, "a0.test")]);
        let server = DnsServer::start(script(list())).await;
        let stub = stub(&server).await;
        let mut known = Targets::from([(full("a0.test").expect("a name"), vec![[10, 0, 0, 99].into()])]);
        let answer = places(&stub, SERVICE, &mut known).await;
        assert_eq!(shown(&answer), ["0 10.0.0.1:1 x1", "0 10.0.0.99:2 x1"]);
        server.says(script(records(&[(0, 1, 1, "a1.test")])));
        assert_eq!(shown(&places(&stub, SERVICE, &mut known).await), ["0 10.0.0.1:1 x1"]);
        server.says(script(list()));
        assert_eq!(shown(&places(&stub, SERVICE, &mut known).await), ["0 10.0.0.1:1 x1"]);
    });
}

#[test]
fn a_service_without_any_address_is_a_failure_that_names_the_target() {
    on_runtime(async {
        let server = DnsServer::start(script(records(&[(0, 1, 1, "none.test")]))).await;
        let answer = places(&stub(&server).await, SERVICE, &mut Targets::new()).await;
        let Answer::Failed { why } = answer else { panic!("{answer:?}") };
        assert_eq!(why, "target none.test.: there is no such name");
    });
}

#[test]
fn the_root_as_target_means_that_there_is_no_service() {
    on_runtime(async {
        let server = DnsServer::start(script(records(&[(0, 0, 0, ".")]))).await;
        let mut known = Targets::from([(full("a1.test").expect("a name"), vec![[10, 0, 0, 1].into()])]);
        let answer = places(&stub(&server).await, SERVICE, &mut known).await;
        assert_eq!(shown(&answer), Vec::<String>::new());
    });
}

#[test]
fn a_place_that_two_records_name_is_one() {
    on_runtime(async {
        let list = records(&[(5, 1, 1, "a1.test"), (0, 2, 1, "a1.test"), (0, 1, 2, "a1.test")]);
        let server = DnsServer::start(script(list)).await;
        let answer = places(&stub(&server).await, SERVICE, &mut Targets::new()).await;
        assert_eq!(shown(&answer), ["0 10.0.0.1:1 x2", "0 10.0.0.1:2 x1"]);
    });
}
