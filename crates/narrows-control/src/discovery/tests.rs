use super::dns_server::{DnsServer, Says, address, addresses, on_runtime, service, until};
use super::*;
use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;
use narrows_plan::{Endpoint, Origin, Plan, Resolver, Upstream};
use narrows_tls::TlsContexts;
use narrows_upstream::EndpointId;
use narrows_upstream::UpstreamKey;
use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::watch;

thread_local! {
    static SAID: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

fn hear(line: &str) {
    SAID.with_borrow_mut(|said| said.push(line.to_owned()));
}

/// Whether the operator was told a line with this in it.
fn was_said(part: &str) -> bool {
    SAID.with_borrow(|said| said.iter().any(|line| line.contains(part)))
}

/// A keeper without its thread, and what it is about to take over.
struct Kept {
    keeper: Rc<Keeper>,
    plan: Plan,
    discovery: RefCell<Option<Rc<Discovery>>>,
}

impl std::ops::Deref for Kept {
    type Target = Keeper;

    fn deref(&self) -> &Keeper {
        &self.keeper
    }
}

impl Kept {
    /// Takes over the plan and waits until each source has answered.
    async fn start(&self, system: Rc<System>) {
        let discovery = Discovery::with(&self.keeper, system, load);
        self.keeper.take(&self.plan, &TlsContexts::default(), &discovery);
        discovery.pass_on();
        *self.discovery.borrow_mut() = Some(Rc::clone(&discovery));
        discovery.all_heard().await;
        discovery.pass_on();
    }

    /// The upstreams in their order.
    fn at(&self, upstream: u32) -> Rc<crate::charge::Charge> {
        self.charge(UpstreamKey(upstream)).expect("it is kept")
    }
}

fn keeper(upstreams: Vec<Upstream>) -> Kept {
    let upstreams = upstreams.into_iter().map(Arc::new).collect();
    let plan = Plan { upstreams, ..Plan::default() };
    let keeper = Keeper::new(hear, watch::channel([].into()).0, watch::channel(Arc::from("")).0);
    Kept { keeper, plan, discovery: RefCell::default() }
}

fn upstream(name: &str, server: &DnsServer, endpoints: &[Address]) -> Upstream {
    let resolver = Resolver {
        servers: Box::new([server.address]),
        timeout: Duration::from_millis(200),
        minimum_ttl: Duration::from_millis(10),
        retry: Duration::from_millis(10),
        ..Resolver::default()
    };
    let endpoints = endpoints.iter().map(|one| Endpoint::new(one.clone(), Origin::default())).collect();
    Upstream { endpoints, resolver, ..Upstream::new(name, Origin::default()) }
}

fn host(name: &str) -> Address {
    Address::Name(name.into(), 80)
}

/// Begins with files that are not there.
async fn start(keeper: &Kept) {
    keeper.start(System::at("/nowhere".as_ref(), "/nowhere".as_ref())).await;
}

/// `address weight` on each line.
fn load(path: &Path) -> Result<Vec<Endpoint>, String> {
    let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
    let entry = |line: &str| {
        let (place, weight) = line.split_once(' ').ok_or_else(|| format!("{line}: no weight"))?;
        let address = place.parse().map_or_else(|_| host(place), Address::Socket);
        let weight = weight.parse().map_err(|_| format!("{line}: no number"))?;
        Ok(Endpoint { weight, ..Endpoint::new(address, Origin::default()) })
    };
    text.lines().map(entry).collect()
}

fn labels(keeper: &Kept, upstream: u32) -> Vec<String> {
    let charge = keeper.at(upstream);
    let roster = charge.roster.borrow();
    roster.entries.iter().map(|entry| format!("{} {}", entry.member.label, entry.member.weight)).collect()
}

fn ids(keeper: &Kept) -> Vec<EndpointId> {
    keeper.at(0).roster.borrow().entries.iter().map(|entry| entry.id).collect()
}

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("narrows-discovery-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a folder can be made");
        Folder(path)
    }

    /// Replaces a file in one step, as careful programs do.
    fn write(&self, name: &str, text: &str) -> PathBuf {
        let (path, new) = (self.0.join(name), self.0.join("new"));
        std::fs::write(&new, text).expect("a file can be written");
        std::fs::rename(new, &path).expect("a file can be renamed");
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn all_addresses_of_a_name_are_endpoints_in_ascending_order() {
    on_runtime(async {
        let server = DnsServer::start(addresses("a.test", 60, &["10.0.0.2", "10.0.0.1"])).await;
        let keeper = keeper(vec![upstream("app", &server, &[host("a.test")])]);
        start(&keeper).await;
        assert_eq!(labels(&keeper, 0), ["10.0.0.1:80 1", "10.0.0.2:80 1"]);
    });
}

#[test]
fn a_ttl_is_honoured_and_clamped() {
    let settings = Resolver {
        minimum_ttl: Duration::from_secs(2),
        maximum_ttl: Duration::from_secs(20),
        retry: Duration::from_secs(7),
        ..Resolver::default()
    };
    let seconds = |ttl: Option<u64>| looker::again(ttl.map(Duration::from_secs), &settings).as_secs();
    assert_eq!([Some(0), Some(5), Some(60), None].map(seconds), [2, 5, 20, 7]);
    let reversed = Resolver { maximum_ttl: Duration::from_secs(1), ..settings.clone() };
    assert_eq!(looker::again(Some(Duration::ZERO), &reversed), Duration::from_secs(2));
}

#[test]
fn a_changed_answer_replaces_the_endpoints_and_who_stays_is_the_same() {
    on_runtime(async {
        let server = DnsServer::start(addresses("a.test", 0, &["10.0.0.1", "10.0.0.2"])).await;
        let keeper = keeper(vec![upstream("app", &server, &[host("a.test")])]);
        start(&keeper).await;
        let before = ids(&keeper);
        server.says(addresses("a.test", 0, &["10.0.0.3", "10.0.0.2"]));
        until("the endpoints change", || labels(&keeper, 0) == ["10.0.0.2:80 1", "10.0.0.3:80 1"]).await;
        assert_eq!(ids(&keeper)[0], before[1]);
        until("it is said", || was_said("upstream app: a.test has changed: 10.0.0.3 came, 10.0.0.1 left"))
            .await;
    });
}

#[test]
fn an_answer_in_another_order_changes_nothing() {
    on_runtime(async {
        let server = DnsServer::start(addresses("a.test", 0, &["10.0.0.1", "10.0.0.2"])).await;
        let keeper = keeper(vec![upstream("app", &server, &[host("a.test")])]);
        start(&keeper).await;
        assert!(keeper.at(0).roster.borrow_mut().renewed().is_some());
        server.says(addresses("a.test", 0, &["10.0.0.2", "10.0.0.1"]));
        let asked = server.asked();
        until("it is asked again", || server.asked() > asked + 2).await;
        assert!(keeper.at(0).roster.borrow_mut().renewed().is_none());
    });
}

#[test]
fn empty_and_failed_answers_and_silence_remove_nothing() {
    on_runtime(async {
        let server = DnsServer::start(addresses("a.test", 0, &["10.0.0.1"])).await;
        let keeper = keeper(vec![upstream("app", &server, &[host("a.test")])]);
        start(&keeper).await;
        let before = ids(&keeper);
        let troubles = [
            Says::Records(Vec::new()),
            Says::Code(ResponseCode::NXDomain, Some(0)),
            Says::Code(ResponseCode::ServFail, None),
            Says::Bytes(vec![1; 30]),
            Says::Silence,
        ];
        for trouble in troubles {
            server.says(move |_| trouble.clone());
            let asked = server.asked();
            until("it is asked again", || server.asked() > asked + 3).await;
            assert_eq!(ids(&keeper), before);
        }
        assert!(was_said(
            "upstream app: cannot look up a.test: the name has no address; its last endpoints stay: 10.0.0.1"
        ));
        server.says(addresses("a.test", 0, &["10.0.0.2"]));
        until("the endpoints change", || labels(&keeper, 0) == ["10.0.0.2:80 1"]).await;
    });
}

#[test]
fn a_name_that_comes_later_is_found_and_both_is_said() {
    on_runtime(async {
        let server = DnsServer::start(|_| Says::Code(ResponseCode::NXDomain, None)).await;
        let keeper = keeper(vec![upstream("app", &server, &[host("a.test")])]);
        start(&keeper).await;
        assert_eq!(labels(&keeper, 0), Vec::<String>::new());
        let line =
            "upstream app: cannot look up a.test: there is no such name; until then it has no endpoint";
        assert!(was_said(line));
        server.says(addresses("a.test", 60, &["10.0.0.1"]));
        until("the endpoint comes", || labels(&keeper, 0) == ["10.0.0.1:80 1"]).await;
    });
}

#[test]
fn a_server_that_is_silent_delays_nobody_elses_names() {
    on_runtime(async {
        let silent = DnsServer::start(|_| Says::Silence).await;
        let good = DnsServer::start(addresses("a.test", 60, &["10.0.0.1"])).await;
        let mut slow = upstream("slow", &silent, &[host("b.test")]);
        slow.resolver.timeout = Duration::from_secs(3600);
        let keeper = keeper(vec![slow, upstream("app", &good, &[host("a.test")])]);
        let begin = start(&keeper);
        assert!(tokio::time::timeout(Duration::from_millis(500), begin).await.is_err());
        until("the other one is there", || labels(&keeper, 1) == ["10.0.0.1:80 1"]).await;
    });
}

#[test]
fn a_service_becomes_endpoints_with_priorities_and_weights() {
    on_runtime(async {
        let server = DnsServer::start(|question| match question.query_type() {
            RecordType::SRV => Says::Records(vec![
                service("_x._tcp.app.test", 0, (7, 2, 8001), "b.test"),
                service("_x._tcp.app.test", 0, (3, 6, 8002), "b.test"),
                service("_x._tcp.app.test", 0, (3, 4, 8003), "b.test"),
            ]),
            RecordType::A => Says::Records(vec![address("b.test", 60, "10.0.0.1")]),
            _ => Says::Code(ResponseCode::NoError, None),
        })
        .await;
        let keeper = keeper(vec![upstream("app", &server, &[Address::Service("_x._tcp.app.test".into())])]);
        start(&keeper).await;
        assert_eq!(labels(&keeper, 0), ["10.0.0.1:8002 3", "10.0.0.1:8003 2", "10.0.0.1:8001 1"]);
        let priorities: Vec<u32> =
            keeper.at(0).roster.borrow().entries.iter().map(|one| one.member.priority).collect();
        assert_eq!(priorities, [0, 0, 1]);
        server.says(|_| Says::Records(vec![service("_x._tcp.app.test", 0, (0, 0, 0), ".")]));
        until("the service is gone", || labels(&keeper, 0).is_empty()).await;
    });
}

#[test]
fn a_list_of_hosts_that_changes_is_looked_at_again() {
    on_runtime(async {
        let folder = Folder::new("hosts");
        let hosts = folder.write("hosts", "10.0.0.1 a.test\n");
        let mut app = Upstream::new("app", Origin::default());
        app.endpoints = vec![Endpoint::new(host("a.test"), Origin::default())];
        let keeper = keeper(vec![app]);
        keeper.start(System::at("/nowhere".as_ref(), &hosts)).await;
        assert_eq!(labels(&keeper, 0), ["10.0.0.1:80 1"]);
        folder.write("hosts", "10.0.0.2 a.test\n10.0.0.3 a.test\n");
        until("both come", || labels(&keeper, 0) == ["10.0.0.2:80 1", "10.0.0.3:80 1"]).await;
    });
}

#[test]
fn a_file_is_read_again_when_it_changes_and_names_in_it_are_looked_up() {
    on_runtime(async {
        let folder = Folder::new("file");
        let path = folder.write("list", "10.0.0.1:80 3\na.test 5\n");
        let server = DnsServer::start(addresses("a.test", 60, &["10.0.0.7"])).await;
        let mut app = upstream("app", &server, &[Address::Socket(([10, 0, 0, 9], 80).into())]);
        app.endpoint_file = Some(path);
        let keeper = keeper(vec![app]);
        start(&keeper).await;
        until("the name is found", || labels(&keeper, 0).len() == 3).await;
        assert_eq!(labels(&keeper, 0), ["10.0.0.9:80 1", "10.0.0.1:80 3", "10.0.0.7:80 5"]);
        let (before, asked) = (ids(&keeper), server.asked());
        folder.write("list", "a.test 6\n10.0.0.2:80 1\n");
        until("it is read", || labels(&keeper, 0) == ["10.0.0.9:80 1", "10.0.0.7:80 6", "10.0.0.2:80 1"])
            .await;
        assert_eq!(ids(&keeper)[..2], [before[0], before[2]]);
        assert_eq!(server.asked(), asked);
        assert!(was_said("list: 2 entries"));
    });
}

#[test]
fn a_wrong_file_and_one_that_went_keep_the_last_list() {
    on_runtime(async {
        let folder = Folder::new("wrong");
        let path = folder.write("list", "10.0.0.1:80 3\n");
        let server = DnsServer::start(|_| Says::Silence).await;
        let mut app = upstream("app", &server, &[]);
        app.endpoint_file = Some(path.clone());
        let keeper = keeper(vec![app]);
        start(&keeper).await;
        let before = ids(&keeper);
        folder.write("list", "10.0.0.2:80 much\n");
        until("it is said", || was_said("10.0.0.2:80 much: no number; the last list stays")).await;
        std::fs::remove_file(&path).expect("the file can be removed");
        until("it is said", || was_said("there is no such file; the last list stays")).await;
        // Nobody writes into it, so that whoever opened it would wait for ever.
        let made = std::process::Command::new("mkfifo").arg(&path).status().expect("mkfifo runs");
        assert!(made.success());
        until("it is said", || was_said("it is not a regular file; the last list stays")).await;
        std::fs::remove_file(&path).expect("the pipe can be removed");
        assert_eq!(ids(&keeper), before);
        folder.write("list", "10.0.0.1:80 3\n");
        until("it is said", || was_said("the endpoint file is as it was before")).await;
        folder.write("list", "");
        until("the list is empty", || labels(&keeper, 0).is_empty()).await;
    });
}

#[test]
fn a_file_may_come_later() {
    on_runtime(async {
        let folder = Folder::new("later");
        let server = DnsServer::start(|_| Says::Silence).await;
        let mut app = upstream("app", &server, &[]);
        app.endpoint_file = Some(folder.0.join("list"));
        let keeper = keeper(vec![app]);
        let begin = Instant::now();
        start(&keeper).await;
        assert!(begin.elapsed() < Duration::from_secs(30));
        assert!(was_said("there is no such file; it gives no endpoint"));
        folder.write("list", "10.0.0.1:80 3\n");
        until("it is read", || labels(&keeper, 0) == ["10.0.0.1:80 3"]).await;
    });
}

#[test]
fn names_that_left_a_file_are_looked_up_no_more() {
    on_runtime(async {
        let folder = Folder::new("left");
        let path = folder.write("list", "a.test 5\n");
        let server = DnsServer::start(addresses("a.test", 0, &["10.0.0.7"])).await;
        let mut app = upstream("app", &server, &[]);
        app.endpoint_file = Some(path);
        let keeper = keeper(vec![app]);
        start(&keeper).await;
        folder.write("list", "10.0.0.1:80 1\n");
        until("it is read", || labels(&keeper, 0) == ["10.0.0.1:80 1"]).await;
        let asked = Rc::new(std::cell::Cell::new(Instant::now()));
        let noted = Rc::clone(&asked);
        server.says(move |_| {
            noted.set(Instant::now());
            Says::Silence
        });
        // It was asked for every 10 ms.
        until("nobody asks for it", || asked.get().elapsed() > Duration::from_secs(1)).await;
    });
}

#[test]
fn more_endpoints_than_a_source_may_have_are_left_out() {
    on_runtime(async {
        let folder = Folder::new("many");
        let list: String =
            (0..source::LARGEST + 5).map(|one| format!("10.1.{}.{}:80 1\n", one / 250, one % 250)).collect();
        let path = folder.write("list", &list);
        let server = DnsServer::start(|_| Says::Silence).await;
        let mut app = upstream("app", &server, &[]);
        app.endpoint_file = Some(path);
        let keeper = keeper(vec![app]);
        start(&keeper).await;
        assert_eq!(labels(&keeper, 0).len(), source::LARGEST);
        assert!(was_said("more than 10000 endpoints"));
    });
}

#[test]
fn thousands_of_names_are_found() {
    on_runtime(async {
        let folder = Folder::new("names");
        let list: String = (0..4000).map(|one| format!("n{one}.test 1\n")).collect();
        let path = folder.write("list", &list);
        let server = DnsServer::start(|question| {
            let text = question.name().to_ascii();
            let number = text.trim_start_matches('n').trim_end_matches(".test.").parse::<u32>();
            let number = number.expect("names are numbered");
            Says::Records(vec![
                address(&text, 60, &format!("10.1.{}.{}", number / 250, number % 250)),
                address(&text, 60, "10.0.0.1"),
            ])
        })
        .await;
        let mut app = upstream("app", &server, &[Address::Socket(([10, 0, 0, 1], 80).into())]);
        app.resolver.timeout = Duration::from_secs(10);
        app.endpoint_file = Some(path);
        let keeper = keeper(vec![app]);
        start(&keeper).await;
        // The shared address is reached under each of the names.
        assert_eq!(labels(&keeper, 0).len(), 1 + 2 * 4000);
    });
}
