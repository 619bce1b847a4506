//! What the keys of upstreams mean, and those of routes that are about them.

use narrows_config::load_text;
use narrows_plan::{
    Action, AdaptiveConcurrency, Address, AddressFamily, AdminState, AgentCheck, Balance, Breaker, CheckKind,
    CookieMode, CookieValue, EndpointLimits, Expect, HttpListener, LatencyOutlier, Mirror, PassiveCheck,
    Plan, Protocol, QueueLimits, RetryConditions, RetryPolicy, SameSite, StartState, StickBy, StickTable,
    SuccessRate, Upstream, UpstreamId, WhenDown, defaults,
};
use std::path::Path;
use std::time::Duration;

fn plan(text: &str) -> Plan {
    let loaded = load_text("test.yaml", text, Path::new("/etc/narrows"));
    let rendered = loaded.diagnostics.render(false);
    loaded.plan.unwrap_or_else(|| panic!("{rendered}"))
}

/// An upstream with these keys beside its endpoint, of an HTTP listener.
fn upstream(keys: &str) -> Upstream {
    let text = format!(
        "listeners: {{ web: {{ bind: ':80', upstream: app }} }}\nupstreams:\n  app:\n    endpoints: ['app:80', 'b:80']\n    {keys}\n"
    );
    (*plan(&text).upstreams[0]).clone()
}

/// A listener with a route that has these keys; upstreams are `app` and `shadow`.
fn route(keys: &str) -> Plan {
    plan(&format!(
        "listeners: {{ web: {{ bind: ':80', routes: [{{ {keys} }}] }} }}\nupstreams:\n  app: {{ endpoints: [{{ address: 'a:80', labels: {{ version: v1 }} }}] }}\n  shadow: {{ endpoints: ['b:80'] }}\n"
    ))
}

fn http(plan: &Plan) -> &HttpListener {
    match &plan.listeners[0].protocol {
        Protocol::Http(http) => http,
        Protocol::Tcp(_) | Protocol::Udp(_) => panic!("a listener of layer 4"),
    }
}

fn kind(health: &str) -> CheckKind {
    upstream(&format!("health: {health}")).health.expect("a check").kind
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn without_a_word_an_upstream_is_what_the_plan_calls_default() {
    let written = upstream("balance: round-robin");
    let bare = Upstream::new("app", written.origin);
    assert_eq!(written.balancing, bare.balancing);
    assert_eq!((written.passive, written.retry), (Some(PassiveCheck::default()), RetryPolicy::default()));
    assert_eq!((written.limits, written.resolver), (bare.limits, bare.resolver));
    assert!(written.health.is_none() && written.agent.is_none() && written.stickiness.is_none());
    assert!(written.breaker.is_none() && written.concurrency.is_none() && written.slow_start.is_none());
}

#[test]
fn endpoints_have_tiers_zones_labels_states_and_limits() {
    let text = "listeners: { web: { bind: ':80', upstream: app } }\nupstreams:\n  app:\n    endpoint_file: more.json\n    endpoints:\n      - { address: 'a:80', weight: 0, backup: true, zone: eu-1, labels: { version: v2, a: b }, state: maintenance, connections: 10, requests: 20 }\n      - { service: _http._TCP.app.internal, priority: 7 }\n";
    let plan = plan(text);
    let app = &plan.upstreams[0];
    assert_eq!(app.endpoint_file.as_deref(), Some(Path::new("/etc/narrows/more.json")));
    let [first, second] = &app.endpoints[..] else { panic!("{:?}", app.endpoints) };
    assert_eq!((first.weight, first.priority, first.zone.as_deref()), (0, 1, Some("eu-1")));
    assert_eq!(*first.labels, [("a".into(), "b".into()), ("version".into(), "v2".into())]);
    assert_eq!(first.state, AdminState::Maintenance);
    assert_eq!(first.limits, EndpointLimits { connections: Some(10), requests: Some(20) });
    assert_eq!(second.address, Address::Service("_http._tcp.app.internal".into()));
    assert_eq!((second.weight, second.priority), (1, 7));
    assert_eq!(plan.locate(second.origin), "test.yaml:7:20");
}

#[test]
fn every_balancer_has_its_word() {
    let methods = [
        Balance::RoundRobin,
        Balance::LeastRequest,
        Balance::LeastConnections,
        Balance::Random,
        Balance::PeakEwma,
        Balance::Hash,
        Balance::ConsistentHash,
        Balance::Ketama,
        Balance::Maglev,
    ];
    for method in methods {
        assert_eq!(upstream(&format!("balance: {}", method.name())).balancing.method, method);
    }
}

#[test]
fn a_hash_has_a_key_and_a_bound() {
    let balancing = upstream(
        "balance: ketama\n    hash_key: '${request.headers[\"x-user\"]}'\n    hash_bound: 125%\n    overflow: off\n    panic: 50%\n    prefer_zone: true",
    )
    .balancing;
    assert!(balancing.key.is_some_and(|key| key.as_literal().is_none()));
    assert_eq!((balancing.bound, balancing.overflow, balancing.panic), (Some(125), None, 50));
    assert!(balancing.prefers_zone);
    assert_eq!(upstream("balance: hash\n    hash_key: source").balancing.key, None);
}

#[test]
fn names_are_asked_for_where_the_resolver_says() {
    let resolver = upstream(
        "resolver: { servers: [10.0.0.53, '[fd00::53]:5353', 'fd00::1'], timeout: 1s, minimum_ttl: 0s, maximum_ttl: 1m, retry: 3s, family: ipv6, addresses: first }",
    )
    .resolver;
    let servers: Vec<String> = resolver.servers.iter().map(ToString::to_string).collect();
    assert_eq!(servers, ["10.0.0.53:53", "[fd00::53]:5353", "[fd00::1]:53"]);
    assert_eq!((resolver.timeout, resolver.retry), (seconds(1), seconds(3)));
    assert_eq!((resolver.minimum_ttl, resolver.maximum_ttl), (Duration::ZERO, seconds(60)));
    assert_eq!((resolver.family, resolver.every_address), (AddressFamily::Ipv6, false));
}

#[test]
fn a_check_is_a_path_or_a_word() {
    let CheckKind::Http(http) = kind("/healthz?full=1") else { panic!("another kind") };
    assert_eq!((&*http.path, &*http.method, &*http.statuses), ("/healthz?full=1", "GET", &[(200, 399)][..]));
    for word in ["tcp", "tls", "grpc", "postgresql", "mysql", "redis", "smtp", "ldap"] {
        assert_eq!(kind(word).name(), word);
    }
    let check = upstream("health: tcp").health.expect("a check");
    assert_eq!((check.interval, check.timeout), (defaults::CHECK_INTERVAL, defaults::CHECK_TIMEOUT));
    assert_eq!((check.rise, check.fall, check.jitter), (2, 3, 10));
    assert_eq!((check.fast_interval, check.slow_interval, check.port), (None, None, None));
    assert!(check.tls && check.start == StartState::Up);
}

#[test]
fn a_check_by_http_says_what_it_sends_and_expects() {
    let check = upstream(
        "health: { http: { path: /up, method: HEAD, host: app, headers: { X-From: narrows }, status: [200-299, 304, 5xx], body: ok }, interval: 5s, fast_interval: 1s, slow_interval: 1m, jitter: 0%, timeout: 500ms, rise: 1, fall: 5, port: 8081, address: 10.0.0.9, start: checked }",
    )
    .health
    .expect("a check");
    let CheckKind::Http(http) = check.kind else { panic!("another kind") };
    assert_eq!((&*http.path, &*http.method, http.host.as_deref()), ("/up", "HEAD", Some("app")));
    assert_eq!(*http.headers, [("X-From".into(), "narrows".into())]);
    assert_eq!(*http.statuses, [(200, 299), (304, 304), (500, 599)]);
    assert!(matches!(http.body, Some(Expect::Contains(bytes)) if *bytes == *b"ok"));
    assert_eq!((check.interval, check.fast_interval), (seconds(5), Some(seconds(1))));
    assert_eq!((check.slow_interval, check.timeout), (Some(seconds(60)), Duration::from_millis(500)));
    assert_eq!((check.rise, check.fall, check.jitter, check.port), (1, 5, 0, Some(8081)));
    assert_eq!((check.address, check.start), (Some([10, 0, 0, 9].into()), StartState::Checked));
}

#[test]
fn every_kind_of_check_can_be_a_table() {
    let CheckKind::Tcp { send, expect: Some(Expect::Matches(pattern)) } =
        kind("{ tcp: { send: \"PING\\r\\n\", expect: { regex: '^\\+' } } }")
    else {
        panic!("another kind")
    };
    assert_eq!((&*send, pattern.text()), (&b"PING\r\n"[..], "^\\+"));
    assert!(matches!(kind("{ tcp: true }"), CheckKind::Tcp { send, expect: None } if send.is_empty()));
    for handshake in ["tls\n    tls: true", "{ handshake: true }\n    tls: true"] {
        assert!(matches!(kind(handshake), CheckKind::Tls));
    }
    assert!(matches!(kind("{ grpc: { service: a.B } }"), CheckKind::Grpc { service } if &*service == "a.B"));
    let postgresql = kind("{ postgresql: { user: probe, database: shop } }");
    assert!(
        matches!(postgresql, CheckKind::PostgreSql { user, database } if (&*user, &*database) == ("probe", "shop"))
    );
    assert!(matches!(kind("postgresql"), CheckKind::PostgreSql { user, .. } if &*user == "narrows"));
    assert!(matches!(kind("{ mysql: { user: probe } }"), CheckKind::MySql { user } if &*user == "probe"));
    assert!(matches!(kind("{ redis: { password: p } }"), CheckKind::Redis { password } if &*password == "p"));
    assert!(matches!(kind("{ smtp: { hello: a.b } }"), CheckKind::Smtp { hello } if &*hello == "a.b"));
    assert!(matches!(kind("smtp"), CheckKind::Smtp { hello } if &*hello == "localhost"));
    assert!(matches!(kind("{ ldap: true }"), CheckKind::Ldap));
    let udp = kind("{ udp: { send: { hex: '00 fF' }, expect: { contains: { hex: '80' } } } }");
    let CheckKind::Udp { send, expect: Some(Expect::Contains(bytes)) } = udp else { panic!("another kind") };
    assert_eq!((&*send, &*bytes), (&[0, 255][..], &[128][..]));
}

#[test]
fn the_program_of_a_check_is_looked_for_where_the_file_is() {
    let words = |health: &str| match kind(health) {
        CheckKind::Command { command } => command.join(" "),
        other => panic!("{other:?}"),
    };
    assert_eq!(words("{ command: [checks/app, --fast] }"), "/etc/narrows/checks/app --fast");
    assert_eq!(words("{ command: /usr/bin/check }"), "/usr/bin/check");
    assert_eq!(words("{ command: [check, '1'] }"), "check 1");
}

#[test]
fn an_agent_has_a_port_and_the_defaults_of_checks() {
    let agent = upstream("agent: { port: 8081 }").agent.expect("an agent");
    let expected = AgentCheck {
        port: 8081,
        address: None,
        send: "".into(),
        interval: defaults::CHECK_INTERVAL,
        timeout: defaults::CHECK_TIMEOUT,
    };
    assert_eq!(*agent, expected);
    let agent =
        upstream("agent: { port: 1, address: '::1', send: \"hi\\n\", interval: 1s, timeout: 3s }").agent;
    assert!(agent.is_some_and(|agent| &*agent.send == "hi\n" && agent.timeout == seconds(3)));
}

#[test]
fn passive_checks_are_off_on_or_set() {
    assert_eq!(upstream("passive: off").passive, None);
    assert_eq!(upstream("passive: on").passive, Some(PassiveCheck::default()));
    let passive = upstream(
        "passive: { failures: off, statuses: off, interval: 5s, success_rate: on, latency: { factor: 200%, minimum: 10ms, requests: 5 }, ejection: 1s, maximum_ejection: 2s, share: 10% }",
    );
    let expected = PassiveCheck {
        failures: None,
        statuses: Box::default(),
        interval: seconds(5),
        success_rate: Some(SuccessRate { deviation: 190, requests: 100, endpoints: 3 }),
        latency: Some(LatencyOutlier { factor: 200, minimum: Duration::from_millis(10), requests: 5 }),
        ejection: seconds(1),
        maximum_ejection: seconds(2),
        share: 10,
    };
    assert_eq!(passive.passive, Some(expected));
}

#[test]
fn clients_stick_by_a_cookie() {
    let stickiness = upstream("stickiness: cookie").stickiness.expect("stickiness");
    assert!(stickiness.fails_over && !stickiness.returns);
    let StickBy::Cookie(cookie) = stickiness.by else { panic!("no cookie") };
    assert_eq!((&*cookie.name, cookie.mode, cookie.http_only), ("narrows", CookieMode::Insert, true));
    assert_eq!(cookie.value, CookieValue::Signed { secret: None });
    assert_eq!((cookie.path, cookie.domain, cookie.max_age, cookie.secure), (None, None, None, None));
    let stickiness = upstream(
        "stickiness: { cookie: { name: s, value: signed, secret: keys/s, path: /a, domain: b.c, max_age: 1h, secure: false, http_only: false, same_site: strict }, fail_over: false }",
    );
    let stickiness = stickiness.stickiness.expect("stickiness");
    assert!(!stickiness.fails_over);
    let StickBy::Cookie(cookie) = stickiness.by else { panic!("no cookie") };
    assert_eq!(cookie.value, CookieValue::Signed { secret: Some("/etc/narrows/keys/s".into()) });
    assert_eq!((cookie.path.as_deref(), cookie.domain.as_deref()), (Some("/a"), Some("b.c")));
    assert_eq!((cookie.max_age, cookie.secure, cookie.http_only), (Some(seconds(3600)), Some(false), false));
    assert_eq!(cookie.same_site, Some(SameSite::Strict));
    let stickiness = upstream("stickiness: { cookie: { name: J, mode: prefix, value: address } }").stickiness;
    let Some(StickBy::Cookie(cookie)) = stickiness.map(|one| one.by) else { panic!("no cookie") };
    assert_eq!((cookie.mode, cookie.value), (CookieMode::Prefix, CookieValue::Address));
}

#[test]
fn clients_stick_by_a_key_or_by_what_servers_give() {
    let by =
        |stickiness: &str| upstream(&format!("stickiness: {stickiness}")).stickiness.expect("stickiness");
    let default = StickTable { size: 100_000, expire: seconds(1800) };
    for source in ["source", "{ key: source }"] {
        assert!(matches!(by(source).by, StickBy::Key { key: None, table } if table == default));
    }
    let key = by("{ key: '${ request.cookies[\"sid\"] }', size: 10, expire: 1m, return: true }");
    let table = StickTable { size: 10, expire: seconds(60) };
    assert!(key.returns);
    assert!(matches!(key.by, StickBy::Key { key: Some(_), table: other } if other == table));
    let learned = by(
        "{ learn: { response: '${ response.headers[\"x-sid\"] }', request: '${ request.headers[\"x-sid\"] }' }, size: 10, expire: 1m }",
    );
    assert!(matches!(learned.by, StickBy::Learned { table: other, .. } if other == table));
}

#[test]
fn retries_are_a_number_or_a_table() {
    assert_eq!(upstream("retries: 5").retry, RetryPolicy { limit: 5, ..RetryPolicy::default() });
    let retry = upstream(
        "retries: { limit: 1, on: [connect-failure, 502-504, 429, 5xx, grpc-14, grpc-8, timeout], try_timeout: 2s, backoff: 25ms, budget: off, replay: 1MiB, unsafe_methods: true, hedge: 200ms }",
    )
    .retry;
    let expected = RetryPolicy {
        limit: 1,
        on: RetryConditions {
            connect_failure: true,
            refused_stream: false,
            reset: false,
            timeout: true,
            statuses: [(502, 504), (429, 429), (500, 599)].into(),
            grpc_statuses: [14, 8].into(),
        },
        try_timeout: Some(seconds(2)),
        backoff: Duration::from_millis(25),
        budget: None,
        replay: 1 << 20,
        unsafe_methods: true,
        hedge: Some(Duration::from_millis(200)),
    };
    assert_eq!(retry, expected);
}

#[test]
fn who_limits_a_try_wants_another_one() {
    assert!(upstream("retries: { try_timeout: 1s }").retry.on.timeout);
    assert!(!upstream("retries: { try_timeout: 1s, on: reset }").retry.on.timeout);
    assert!(!upstream("retries: { try_timeout: off }").retry.on.timeout);
}

#[test]
fn limits_queue_breaker_and_concurrency() {
    let limits = upstream(
        "limits: { connections: 1, requests: 2, upstream_requests: 3, retries: 0, queue: { length: 5, timeout: 1s } }",
    )
    .limits;
    assert_eq!(limits.endpoint, EndpointLimits { connections: Some(1), requests: Some(2) });
    assert_eq!((limits.requests, limits.retries), (Some(3), Some(0)));
    assert_eq!(limits.queue, QueueLimits { length: 5, timeout: seconds(1) });
    assert_eq!(upstream("limits: { queue: off }").limits.queue.length, 0);
    assert_eq!(upstream("limits: { requests: 1 }").limits.queue, QueueLimits::default());
    let breaker = upstream("breaker: on").breaker.expect("a breaker");
    assert_eq!((breaker.failure_rate, breaker.requests, breaker.probes), (50, 20, 3));
    assert_eq!(upstream("breaker: off").breaker, None);
    let expected = Breaker { failure_rate: 1, requests: 2, window: seconds(3), open: seconds(4), probes: 5 };
    let breaker = "breaker: { failure_rate: 1%, requests: 2, window: 3s, open: 4s, probes: 5 }";
    assert_eq!(upstream(breaker).breaker, Some(expected));
    let expected = AdaptiveConcurrency { minimum: 4, maximum: 9, baseline: seconds(60) };
    assert_eq!(upstream("adaptive_concurrency: { maximum: 9 }").concurrency, Some(expected));
    assert!(upstream("adaptive_concurrency: on").concurrency.is_some());
    let other = upstream("when_down: close\n    slow_start: 30s");
    assert_eq!((other.when_down, other.slow_start), (WhenDown::Close, Some(seconds(30))));
}

#[test]
fn a_route_says_how_it_forwards() {
    let plan = route(
        "upstream: app, retries: { limit: 1, try_timeout: 1s }, subset: { version: v1 }, priority: -100, mirror: shadow",
    );
    let route = &http(&plan).routes[0];
    let retry = route.retry.as_deref().expect("retries");
    assert_eq!((retry.limit, retry.try_timeout), (1, Some(seconds(1))));
    assert_eq!((&*route.subset[0].0, route.subset[0].1.as_literal()), ("version", Some("v1")));
    assert_eq!(route.queue_priority, -100);
    let whole = Mirror {
        upstream: UpstreamId(1),
        share: 10_000,
        body: defaults::MIRROR_BYTES,
        running: defaults::MIRROR_RUNNING,
        timeout: defaults::MIRROR_TIMEOUT,
    };
    assert_eq!(route.mirrors, [whole]);
}

#[test]
fn a_mirror_is_a_word_a_table_or_a_list() {
    let mirrors = |written: &str| {
        let plan = route(&format!("upstream: app, mirror: {written}"));
        http(&plan).routes[0].mirrors.clone()
    };
    let table = mirrors("{ upstream: shadow, share: 0.25%, body: 1KiB, running: 3, timeout: 1s }");
    let expected = Mirror { upstream: UpstreamId(1), share: 25, body: 1024, running: 3, timeout: seconds(1) };
    assert_eq!(table, [expected]);
    assert_eq!(mirrors("[shadow, { upstream: shadow, share: 50% }]").len(), 2);
}

#[test]
fn a_route_may_tell_the_state_of_upstreams() {
    let plan = route("path: /status, status: upstreams");
    assert!(matches!(http(&plan).routes[0].action, Action::Status));
}

#[test]
fn the_zone_of_the_process_is_a_setting() {
    let plan = plan(
        "settings: { zone: eu-1 }\nlisteners: { web: { bind: ':80', routes: [{ status: upstreams }] } }",
    );
    assert_eq!(plan.settings.zone.as_deref(), Some("eu-1"));
}

#[test]
fn an_upstream_that_only_gets_copies_is_used() {
    let text = "listeners: { web: { bind: ':80', routes: [{ upstream: app, mirror: shadow }] } }\nupstreams: { app: { endpoints: 'a:80' }, shadow: { endpoints: 'b:80' } }";
    let loaded = load_text("test.yaml", text, Path::new("."));
    assert!(loaded.diagnostics.is_empty(), "{}", loaded.diagnostics.render(false));
}

#[test]
fn flows_may_use_what_they_know() {
    let text = "listeners: { db: { bind: ':1', protocol: tcp, upstream: app } }\nupstreams: { app: { endpoints: 'a:80', balance: maglev, hash_key: '${ connection.source }-${ connection.source_port }', stickiness: { key: '${ connection.source }' } } }";
    let loaded = load_text("test.yaml", text, Path::new("."));
    assert!(loaded.diagnostics.is_empty(), "{}", loaded.diagnostics.render(false));
}
