use super::cookie::CookieOnTheWay;
use super::*;
use crate::Fault;
use crate::request::{ConnectionFacts, Request};
use crate::wants::{LabelTexts, Wants};
use narrows_plan::{
    Address, CookieMode, Endpoint, Expression, Part, SameSite, StickTable as TableRules, Template,
};
use narrows_upstream::{Cluster, Condition, Reporter, Tried, Unavailable};
use narrows_wire::http1::{FieldName, HeadLimits, RequestHead, ResponseHead, parse_request, parse_response};
use narrows_wire::proxy_protocol::Tlvs;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

const LIMITS: HeadLimits = HeadLimits { head_bytes: 16 << 10, fields: 20, target_bytes: 100 };

/// An upstream of three endpoints, and what one worker knows of it.
struct Scene {
    upstream: Arc<Upstream>,
    stores: StickyStores,
    cluster: Cluster,
    sticky: Rc<Sticky>,
    members: RefCell<Vec<Member>>,
}

fn scene(by: StickBy, fails_over: bool, returns: bool) -> Scene {
    let mut upstream = Upstream::new("app", Origin::default());
    let endpoint =
        |host: u8| Endpoint::new(Address::Socket(([10, 0, 0, host], 80).into()), Origin::default());
    upstream.endpoints = [1, 2, 3].map(endpoint).into();
    upstream.stickiness = Some(Box::new(Stickiness { by, fails_over, returns }));
    let upstream = Arc::new(upstream);
    let plan = Plan { upstreams: vec![Arc::clone(&upstream)], ..Plan::default() };
    let stores = StickyStores::new(&plan, None).unwrap();
    Scene::on_worker(upstream, stores)
}

fn cookie_scene(mode: CookieMode, value: CookieValue) -> Scene {
    scene(StickBy::Cookie(rules(mode, value)), true, false)
}

fn rules(mode: CookieMode, value: CookieValue) -> StickyCookie {
    StickyCookie {
        name: "narrows".into(),
        mode,
        value,
        path: None,
        domain: None,
        max_age: None,
        secure: None,
        http_only: true,
        same_site: None,
    }
}

impl Scene {
    fn on_worker(upstream: Arc<Upstream>, stores: StickyStores) -> Scene {
        let sticky = stores.of_worker(UpstreamId(0), &upstream).unwrap();
        let cluster = Cluster::new(
            Arc::clone(&upstream),
            narrows_upstream::UpstreamKey(0),
            0,
            None,
            Reporter::new().0,
            None,
        );
        let members = Membership::configured(&upstream).members;
        let members = RefCell::new(members.iter().map(|member| Member::clone(member)).collect());
        let scene = Scene { upstream, stores, cluster, sticky, members };
        scene.publish();
        scene
    }

    /// The same upstream on another worker of the process.
    fn another_worker(&self) -> Scene {
        Scene::on_worker(Arc::clone(&self.upstream), self.stores.clone())
    }

    fn publish(&self) {
        let members = self.members.borrow().iter().cloned().map(Arc::new).collect();
        let membership = Arc::new(Membership::new(members));
        self.cluster.update(&membership);
        self.sticky.update(&membership);
    }

    fn change(&self, endpoint: usize, change: impl FnOnce(&mut Member)) {
        change(&mut self.members.borrow_mut()[endpoint]);
        self.publish();
    }

    fn set(&self, endpoint: usize, condition: Condition) {
        self.change(endpoint, |member| member.condition = condition);
    }

    fn name(&self, endpoint: usize) -> String {
        let id = self.members.borrow()[endpoint].id;
        self.sticky.name(&self.cluster.endpoint(id).unwrap()).unwrap().to_string()
    }

    /// Sends a request with these header lines, and is answered with these.
    fn ask(&self, lines: &str, answer: &str) -> Result<Answer, Unavailable> {
        self.ask_from(Ipv4Addr::LOCALHOST, lines, answer)
    }

    fn ask_from(&self, client: Ipv4Addr, lines: &str, answer: &str) -> Result<Answer, Unavailable> {
        let bytes = format!("GET /?q=1 HTTP/1.1\r\nHost: a\r\n{lines}\r\n");
        let mut head = RequestHead::default();
        parse_request(bytes.as_bytes(), &LIMITS, &mut head).unwrap();
        let request = request(bytes.as_bytes(), &head, client.into());
        let mut texts = LabelTexts::default();
        let wants = Wants::of_request(&request, &[], &self.cluster, Some(&self.sticky), &mut texts);
        let endpoint = self.cluster.pick(&wants.wanted(&Tried::default()))?;
        let response_bytes = format!("HTTP/1.1 200 OK\r\n{answer}\r\n");
        let mut response = ResponseHead::default();
        parse_response(response_bytes.as_bytes(), head.method, &LIMITS, &mut response).unwrap();
        wants.answered(&endpoint, &request, response_bytes.as_bytes(), &response);
        let (mut seen, mut got) = (Vec::new(), Vec::new());
        if let Some(cookie) = wants.cookie() {
            for field in head.fields.iter().filter(|field| field.known == FieldName::Cookie) {
                let value = field.value.of(bytes.as_bytes());
                match cookie.changes(value) {
                    true => cookie.write_changed(value, &mut seen),
                    false => write!(seen, "Cookie: {}\r\n", String::from_utf8_lossy(value)).unwrap(),
                }
            }
            write_set_cookies(cookie, response_bytes.as_bytes(), &response, &mut got);
        }
        let position = self.members.borrow().iter().position(|member| member.id == endpoint.id());
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Ok(Answer { endpoint: position.unwrap(), seen: text(seen), got: text(got) })
    }
}

/// What became of a request and its answer.
#[derive(Debug, PartialEq, Eq)]
struct Answer {
    /// Position of the endpoint that answered.
    endpoint: usize,
    /// The Cookie lines that it saw.
    seen: String,
    /// The Set-Cookie and Cache-Control lines that the client got instead of and besides those of the answer that set other cookies.
    got: String,
}

impl Answer {
    /// The value of the sticky cookie that the client got.
    fn cookie(&self) -> String {
        let value = self.got.strip_prefix("Set-Cookie: narrows=").unwrap_or_else(|| panic!("{self:?}"));
        value.split([';', '\r']).next().unwrap().to_owned()
    }
}

fn request<'a>(bytes: &'a [u8], head: &'a RequestHead, client: IpAddr) -> Request<'a> {
    Request {
        bytes,
        head,
        host: "a",
        port: 80,
        path: "/",
        raw_path: b"/",
        query: Some(b"q=1"),
        client,
        peer_is_trusted: false,
        connection: ConnectionFacts {
            peer: client,
            peer_port: 1,
            listener: "web",
            local_port: 80,
            scheme: "http",
            is_http2: false,
            tls: None,
            tlvs: Tlvs::default(),
            unix: 0,
        },
        captures: Vec::new(),
        correlation: None,
    }
}

fn write_set_cookies(cookie: &CookieOnTheWay, bytes: &[u8], head: &ResponseHead, out: &mut Vec<u8>) {
    for field in head.fields.iter().filter(|field| field.known == FieldName::SetCookie) {
        if cookie.is_set_by(field.value.of(bytes)) {
            cookie.write_set(field.value.of(bytes), out);
        }
    }
    cookie.write_inserted(head.field(FieldName::CacheControl).is_none(), out);
}

const SIGNED: CookieValue = CookieValue::Signed { secret: None };

#[test]
fn a_client_stays_where_its_cookie_says_and_the_server_does_not_see_it() {
    for value in [SIGNED, CookieValue::Address] {
        let scene = cookie_scene(CookieMode::Insert, value);
        for _ in 0..6 {
            let first = scene.ask("Cookie: a=1\r\n", "").unwrap();
            assert_eq!(first.seen, "Cookie: a=1\r\n");
            assert!(first.got.ends_with("; Path=/; HttpOnly\r\nCache-Control: private\r\n"), "{first:?}");
            for worker in [&scene, &scene.another_worker()] {
                let lines = format!("Cookie: a=1; narrows={}; b=2\r\n", first.cookie());
                let next = worker.ask(&lines, "").unwrap();
                let expected = Answer {
                    endpoint: first.endpoint,
                    seen: "Cookie: a=1; b=2\r\n".to_owned(),
                    got: String::new(),
                };
                assert_eq!(next, expected);
            }
        }
    }
}

#[test]
fn a_signed_name_tells_nothing_and_a_clear_one_tells_the_address() {
    let signed = cookie_scene(CookieMode::Insert, SIGNED);
    let names: Vec<_> = (0..3).map(|endpoint| signed.name(endpoint)).collect();
    assert!(names.iter().all(|name| name.len() == 22 && !name.contains("10.0")), "{names:?}");
    assert!(names[0] != names[1] && names[1] != names[2] && names[0] != names[2]);
    let other = cookie_scene(CookieMode::Insert, SIGNED);
    assert_ne!(other.name(0), names[0], "each process has a key of its own");
    assert_eq!(cookie_scene(CookieMode::Insert, CookieValue::Address).name(0), "10.0.0.1:80");
}

#[test]
fn processes_with_one_secret_agree_and_upstreams_do_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    std::fs::write(&path, "sixteen bytes are enough\n").unwrap();
    let value = || CookieValue::Signed { secret: Some(path.clone()) };
    let (one, two) = (cookie_scene(CookieMode::Insert, value()), cookie_scene(CookieMode::Insert, value()));
    assert_eq!(one.name(1), two.name(1));
    let naming = Naming::with_secret(&path).unwrap();
    assert_eq!(naming.name("app", "10.0.0.2:80"), one.name(1));
    assert_ne!(naming.name("ap", "p10.0.0.2:80"), one.name(1));
}

#[test]
fn a_secret_that_is_short_or_missing_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    let problem = || {
        let mut upstream = Upstream::new("app", Origin::default());
        let value = CookieValue::Signed { secret: Some(path.clone()) };
        let by = StickBy::Cookie(rules(CookieMode::Insert, value));
        upstream.stickiness = Some(Box::new(Stickiness { by, fails_over: true, returns: false }));
        let plan = Plan { upstreams: vec![Arc::new(upstream)], ..Plan::default() };
        check_secrets(&plan).pop().unwrap().to_string()
    };
    assert!(problem().contains("cannot be read"), "{}", problem());
    std::fs::write(&path, "fifteen bytes..  \n").unwrap();
    let text = problem();
    assert!(text.contains("holds 15 bytes, 16 are needed") && text.contains("key"), "{text}");
    std::fs::write(&path, vec![b'x'; 70_000]).unwrap();
    assert!(problem().contains("larger than 64 KiB"), "{}", problem());
}

#[test]
fn a_cookie_of_a_stranger_is_as_good_as_none() {
    let scene = cookie_scene(CookieMode::Insert, SIGNED);
    let many = "narrows=x; ".repeat(500);
    for forged in
        ["10.0.0.1:80", "", "\"", "AAAAAAAAAAAAAAAAAAAAAA", "x~y", "\u{e9}", &"A".repeat(4000), &many]
    {
        let answer = scene.ask(&format!("Cookie: narrows={forged}\r\n"), "").unwrap();
        assert_eq!(answer.seen, "", "{forged}");
        assert_eq!(answer.cookie(), scene.name(answer.endpoint), "{forged}");
    }
    // Of several the first that means something counts: an attacker who sets one for the whole domain moves nobody.
    let lines = format!("Cookie: narrows=x; narrows={}\r\n", scene.name(2));
    assert_eq!(scene.ask(&lines, "").unwrap().endpoint, 2);
}

#[test]
fn all_attributes_are_told() {
    let cookie = StickyCookie {
        path: Some("/shop".into()),
        domain: Some("example.com".into()),
        max_age: Some(Duration::from_secs(3600)),
        secure: Some(true),
        http_only: false,
        same_site: Some(SameSite::Lax),
        ..rules(CookieMode::Insert, CookieValue::Address)
    };
    let scene = scene(StickBy::Cookie(cookie), true, false);
    let answer = scene.ask("", "Cache-Control: public\r\n").unwrap();
    let address = scene.name(answer.endpoint);
    let expected = format!(
        "Set-Cookie: narrows={address}; Path=/shop; Domain=example.com; Max-Age=3600; Secure; SameSite=Lax\r\n"
    );
    assert_eq!(answer.got, expected);
}

#[test]
fn a_cookie_of_the_server_gets_our_value() {
    let scene = cookie_scene(CookieMode::Rewrite, SIGNED);
    assert_eq!(scene.ask("", "").unwrap().got, "");
    let answer = scene.ask("", "Set-Cookie: a=1\r\nSet-Cookie: narrows=server; Secure\r\n").unwrap();
    let name = scene.name(answer.endpoint);
    assert_eq!(answer.got, format!("Set-Cookie: narrows={name}; Secure\r\n"));
    let lines = format!("Cookie: narrows={name}\r\n");
    let next = scene.ask(&lines, "").unwrap();
    assert_eq!((next.endpoint, next.seen), (answer.endpoint, lines));
}

#[test]
fn a_cookie_of_the_server_is_prefixed_and_comes_back_without() {
    for value in [SIGNED, CookieValue::Address] {
        let scene = cookie_scene(CookieMode::Prefix, value);
        let answer = scene.ask("", "Set-Cookie: narrows=s~id; Path=/x\r\n").unwrap();
        let name = scene.name(answer.endpoint);
        assert_eq!(answer.got, format!("Set-Cookie: narrows={name}~s~id; Path=/x\r\n"));
        let next = scene.ask(&format!("Cookie: a=1; narrows={name}~s~id\r\n"), "").unwrap();
        assert_eq!((next.endpoint, &*next.seen), (answer.endpoint, "Cookie: a=1; narrows=s~id\r\n"));
        // One that is older than the stickiness is passed as it is.
        assert_eq!(scene.ask("Cookie: narrows=s~id\r\n", "").unwrap().seen, "Cookie: narrows=s~id\r\n");
    }
}

#[test]
fn who_is_elsewhere_because_its_endpoint_is_down_gets_a_new_cookie() {
    for condition in [Condition::Down, Condition::Ejected, Condition::Maintenance] {
        let scene = cookie_scene(CookieMode::Insert, SIGNED);
        let lines = format!("Cookie: narrows={}\r\n", scene.name(0));
        scene.set(0, condition);
        let moved = scene.ask(&lines, "").unwrap();
        assert_ne!(moved.endpoint, 0);
        scene.set(0, Condition::Up);
        let lines = format!("Cookie: narrows={}\r\n", moved.cookie());
        assert_eq!(scene.ask(&lines, "").unwrap().endpoint, moved.endpoint, "it stays there");
    }
}

#[test]
fn a_client_that_may_not_move_is_told_so() {
    let by = || StickBy::Cookie(rules(CookieMode::Insert, SIGNED));
    let scene = scene(by(), false, false);
    let lines = format!("Cookie: narrows={}\r\n", scene.name(0));
    scene.set(0, Condition::Down);
    assert_eq!(scene.ask(&lines, ""), Err(Unavailable::Sticky));
    assert_eq!(Fault::from(Unavailable::Sticky).meaning().status, 503);
    assert!(scene.ask("", "").is_ok());
    scene.set(0, Condition::Up);
    assert_eq!(scene.ask(&lines, "").unwrap().endpoint, 0);
    // Nobody comes back for who has left: the client goes elsewhere.
    scene.members.borrow_mut().remove(0);
    scene.publish();
    assert!(scene.ask(&lines, "").is_ok());
}

#[test]
fn a_draining_endpoint_and_one_of_weight_0_serve_only_who_sticks_to_them() {
    let scene = cookie_scene(CookieMode::Insert, SIGNED);
    let cookies: Vec<_> = (0..3).map(|one| format!("Cookie: narrows={}\r\n", scene.name(one))).collect();
    scene.set(0, Condition::Drain);
    scene.change(1, |member| member.weight = 0);
    for _ in 0..10 {
        assert_eq!(scene.ask("", "").unwrap().endpoint, 2);
        for (endpoint, lines) in cookies.iter().enumerate() {
            assert_eq!(scene.ask(lines, "").unwrap().endpoint, endpoint);
        }
    }
}

#[test]
fn an_endpoint_keeps_its_name_when_it_leaves_and_comes_back() {
    let scene = cookie_scene(CookieMode::Insert, SIGNED);
    let (name, member) = (scene.name(0), scene.members.borrow_mut().remove(0));
    scene.publish();
    scene.members.borrow_mut().push(Member { id: EndpointId(99), ..member });
    scene.publish();
    let answer = scene.ask(&format!("Cookie: narrows={name}\r\n"), "").unwrap();
    assert_eq!(answer.endpoint, 2);
    assert_eq!(answer.got, "");
}

const TABLE: TableRules = TableRules { size: 1000, expire: Duration::from_secs(3600) };

fn source_scene(fails_over: bool, returns: bool) -> Scene {
    scene(StickBy::Key { key: None, table: TABLE }, fails_over, returns)
}

fn client(host: u8) -> Ipv4Addr {
    Ipv4Addr::new(192, 0, 2, host)
}

#[test]
fn an_address_stays_at_its_endpoint_on_every_worker() {
    let scene = source_scene(true, false);
    let other = scene.another_worker();
    let first: Vec<_> = (0..30).map(|host| scene.ask_from(client(host), "", "").unwrap().endpoint).collect();
    assert!((0..3).all(|endpoint| first.contains(&endpoint)));
    for (host, endpoint) in (0..30).zip(first) {
        assert_eq!(scene.ask_from(client(host), "", "").unwrap().endpoint, endpoint);
        assert_eq!(other.ask_from(client(host), "", "").unwrap().endpoint, endpoint);
    }
}

#[test]
fn who_moved_stays_or_returns_as_it_is_configured() {
    for returns in [false, true] {
        let scene = source_scene(true, returns);
        let first = scene.ask_from(client(1), "", "").unwrap().endpoint;
        scene.set(first, Condition::Down);
        let moved = scene.ask_from(client(1), "", "").unwrap().endpoint;
        assert_ne!(moved, first);
        for _ in 0..5 {
            assert_eq!(scene.ask_from(client(1), "", "").unwrap().endpoint, moved);
        }
        scene.set(first, Condition::Up);
        for _ in 0..5 {
            let expected = if returns { first } else { moved };
            assert_eq!(scene.ask_from(client(1), "", "").unwrap().endpoint, expected);
        }
        // And once more: who returned has not forgotten where it was first.
        scene.set(first, Condition::Down);
        scene.ask_from(client(1), "", "").unwrap();
        scene.set(first, Condition::Up);
        let again = scene.ask_from(client(1), "", "").unwrap().endpoint;
        assert_eq!(again == first, returns);
    }
}

#[test]
fn a_table_finds_an_endpoint_that_left_and_came_back() {
    let scene = source_scene(true, false);
    scene.set(1, Condition::Down);
    scene.set(2, Condition::Down);
    assert_eq!(scene.ask_from(client(1), "", "").unwrap().endpoint, 0);
    let member = scene.members.borrow_mut().remove(0);
    scene.members.borrow_mut().push(Member { id: EndpointId(99), ..member });
    (0..2).for_each(|one| scene.members.borrow_mut()[one].condition = Condition::Up);
    scene.publish();
    assert_eq!(scene.ask_from(client(1), "", "").unwrap().endpoint, 2);
}

fn header(name: &str) -> Template {
    Template { parts: vec![Part::Expression(Expression::Header(name.into()))] }
}

#[test]
fn a_key_that_is_empty_sticks_to_nothing() {
    let scene = scene(StickBy::Key { key: Some(header("x-user")), table: TABLE }, true, false);
    let seen = |lines: &str| (0..6).map(|_| scene.ask(lines, "").unwrap().endpoint).collect::<Vec<_>>();
    let alice = seen("X-User: alice\r\n");
    assert!(alice.iter().all(|endpoint| *endpoint == alice[0]));
    let nobody = seen("");
    assert!((0..3).all(|endpoint| nobody.contains(&endpoint)), "{nobody:?}");
}

#[test]
fn a_session_is_learned_from_the_answer_and_not_from_the_request() {
    let response = Template { parts: vec![Part::Expression(Expression::ResponseHeader("x-session".into()))] };
    let by = StickBy::Learned { response, request: header("x-session"), table: TABLE };
    let scene = scene(by, true, false);
    let mine = "X-Session: mine\r\n";
    let unknown: Vec<_> = (0..6).map(|_| scene.ask(mine, "").unwrap().endpoint).collect();
    assert!(
        (0..3).all(|endpoint| unknown.contains(&endpoint)),
        "a stranger's key is not believed: {unknown:?}"
    );
    let home = scene.ask("", mine).unwrap().endpoint;
    for _ in 0..6 {
        assert_eq!(scene.ask(mine, "").unwrap().endpoint, home);
        assert_eq!(scene.ask(mine, mine).unwrap().endpoint, home);
    }
    scene.set(home, Condition::Down);
    let moved = scene.ask(mine, "").unwrap().endpoint;
    scene.set(home, Condition::Up);
    assert_eq!(scene.ask(mine, "").unwrap().endpoint, moved);
    // The server makes it anew elsewhere: there it is now.
    let other = (0..9).map(|_| scene.ask("", mine).unwrap().endpoint).last().unwrap();
    assert_eq!(scene.ask(mine, "").unwrap().endpoint, other);
}
