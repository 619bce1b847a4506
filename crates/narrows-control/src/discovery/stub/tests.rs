use super::super::dns_server::{DnsServer, Says, address, addresses, alias, name, on_runtime};
use super::*;
use hickory_proto::op::ResponseCode;
use std::time::Instant;

fn stub(servers: &[&DnsServer]) -> Rc<StubResolver> {
    let servers = servers.iter().map(|server| server.address).collect();
    let settings = Resolver { servers, timeout: Duration::from_millis(150), ..Resolver::default() };
    StubResolver::new(settings, System::at("/nowhere".as_ref(), "/nowhere".as_ref()))
}

async fn found(stub: &StubResolver, host: &str) -> Vec<String> {
    match stub.addresses(host, false).await {
        Answer::Found { what, .. } => what.iter().map(ToString::to_string).collect(),
        other => panic!("{other:?}"),
    }
}

async fn failure(stub: &StubResolver) -> String {
    match stub.addresses("a.test", false).await {
        Answer::Failed { why } => why,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_server_that_is_silent_is_replaced_by_the_next_which_is_asked_first_from_then_on() {
    on_runtime(async {
        let silent = DnsServer::start(|_| Says::Silence).await;
        let good = DnsServer::start(addresses("a.test", 60, &["10.0.0.1"])).await;
        let stub = stub(&[&silent, &good]);
        assert_eq!(found(&stub, "a.test").await, ["10.0.0.1"]);
        let asked = silent.asked();
        assert_eq!(found(&stub, "a.test").await, ["10.0.0.1"]);
        assert_eq!(silent.asked(), asked);
    });
}

#[test]
fn a_server_that_refuses_or_fails_is_replaced_by_the_next() {
    on_runtime(async {
        for code in [ResponseCode::ServFail, ResponseCode::Refused] {
            let bad = DnsServer::start(move |_| Says::Code(code, None)).await;
            let good = DnsServer::start(addresses("a.test", 60, &["10.0.0.1"])).await;
            assert_eq!(found(&stub(&[&bad, &good]), "a.test").await, ["10.0.0.1"]);
        }
    });
}

#[test]
fn a_negative_answer_is_believed_without_asking_elsewhere() {
    on_runtime(async {
        let first = DnsServer::start(|_| Says::Code(ResponseCode::NXDomain, Some(9))).await;
        let other = DnsServer::start(addresses("a.test", 60, &["10.0.0.1"])).await;
        let answer = stub(&[&first, &other]).addresses("a.test", false).await;
        let ttl = Some(Duration::from_secs(9));
        assert_eq!(answer, Answer::Nothing { why: "there is no such name", ttl });
        assert_eq!(other.asked(), 0);
    });
}

#[test]
fn a_silent_server_is_asked_twice_and_named() {
    on_runtime(async {
        let silent = DnsServer::start(|_| Says::Silence).await;
        let why = failure(&stub(&[&silent])).await;
        assert_eq!(why, format!("DNS server {}: no answer in time", silent.address));
        assert_eq!(silent.asked(), 2);
    });
}

#[test]
fn a_server_that_is_not_there_is_noticed_at_once() {
    on_runtime(async {
        let gone = std::net::UdpSocket::bind("127.0.0.1:0").expect("a port is free").local_addr();
        let servers = Box::new([gone.expect("it has an address")]);
        let settings = Resolver { servers, timeout: Duration::from_secs(3600), ..Resolver::default() };
        let system = System::at("/nowhere".as_ref(), "/nowhere".as_ref());
        let why = failure(&StubResolver::new(settings, system)).await;
        assert!(why.contains("refused"), "{why}");
    });
}

#[test]
fn an_answer_that_does_not_fit_comes_over_tcp() {
    on_runtime(async {
        let all = || (1..=200).map(|last| address("a.test", 60, &format!("10.0.0.{last}"))).collect();
        let server = DnsServer::start(move |_| Says::TooLong(all())).await;
        assert_eq!(found(&stub(&[&server]), "a.test").await.len(), 200);
    });
}

#[test]
fn a_server_that_does_not_know_edns_is_asked_without() {
    on_runtime(async {
        let times = Cell::new(0);
        let server = DnsServer::start(move |_| match times.replace(times.get() + 1) {
            0 => Says::Code(ResponseCode::FormErr, None),
            _ => Says::Records(vec![address("a.test", 60, "10.0.0.1")]),
        })
        .await;
        assert_eq!(found(&stub(&[&server]), "a.test").await, ["10.0.0.1"]);
    });
}

#[test]
fn aliases_are_asked_for_one_after_another_but_not_without_end() {
    on_runtime(async {
        let server = DnsServer::start(|question| {
            let is = |text: &str| *question.name() == name(text);
            match () {
                () if is("a.test") => Says::Records(vec![alias("a.test", 3, "b.test")]),
                () if is("b.test") => Says::Records(vec![address("b.test", 60, "10.0.0.1")]),
                () => Says::Records(vec![alias(
                    &question.name().to_ascii(),
                    3,
                    &format!("x.{}", question.name()),
                )]),
            }
        })
        .await;
        let stub = stub(&[&server]);
        let answer = stub.addresses("a.test", false).await;
        let what = vec![Ipv4Addr::new(10, 0, 0, 1).into()];
        assert_eq!(answer, Answer::Found { what, ttl: Duration::from_secs(3) });
        let before = server.asked();
        assert!(matches!(stub.addresses("endless.test", false).await, Answer::Failed { .. }));
        assert!(server.asked() - before <= ALIASES);
    });
}

#[test]
fn garbage_is_a_failure_and_what_belongs_to_others_is_passed_over() {
    on_runtime(async {
        let server = DnsServer::start(|_| Says::Bytes(vec![0xff; 40])).await;
        assert!(failure(&stub(&[&server])).await.contains("cannot be read"));
        server.says(|question| {
            let mut other = hickory_proto::op::Message::response(0, hickory_proto::op::OpCode::Query);
            other.add_query(Query::query(name("other.test"), question.query_type()));
            other.add_answer(address("a.test", 60, "10.0.0.1"));
            Says::Message(other)
        });
        assert!(failure(&stub(&[&server])).await.contains("cannot be read"));
    });
}

#[test]
fn a_name_without_enough_dots_is_tried_with_the_search_list_first() {
    let texts = |host: &str, resolver: &str| {
        let names = SystemNames::parse(resolver, "");
        candidates(host, Some(&names)).iter().map(Name::to_ascii).collect::<Vec<_>>()
    };
    let resolver = "search a.test b.test\noptions ndots:2";
    assert_eq!(texts("app", resolver), ["app.a.test.", "app.b.test.", "app."]);
    assert_eq!(texts("app.x.y", resolver), ["app.x.y.", "app.x.y.a.test.", "app.x.y.b.test."]);
    assert_eq!(texts("app.", resolver), ["app."]);
    assert_eq!(texts(&"x".repeat(64), resolver), Vec::<String>::new());
}

#[test]
fn localhost_and_the_list_of_hosts_are_never_asked_for() {
    on_runtime(async {
        let folder = std::env::temp_dir().join(format!("narrows-stub-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder can be made");
        let hosts = folder.join("hosts");
        std::fs::write(&hosts, "10.0.0.7 app.test\n10.0.0.8 APP.test\n").expect("a file can be written");
        let system = System::at("/nowhere".as_ref(), &hosts);
        let stub = StubResolver::new(Resolver::default(), system);
        let begin = Instant::now();
        assert_eq!(found(&stub, "localhost").await, ["127.0.0.1"]);
        assert_eq!(found(&stub, "a.localhost").await, ["127.0.0.1"]);
        assert_eq!(found(&stub, "App.test").await, ["10.0.0.7", "10.0.0.8"]);
        let ipv6 = stub.addresses("app.test", true).await;
        assert!(matches!(ipv6, Answer::Nothing { .. }), "{ipv6:?}");
        assert!(begin.elapsed() < Duration::from_secs(30));
        std::fs::remove_dir_all(folder).expect("the folder can be removed");
    });
}
