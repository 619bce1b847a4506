//! What a configuration means: names, defaults, inheritance, ranks.

use narrows_config::{load, load_text};
use narrows_plan::{
    AccessLog, Action, Address, Balance, Bind, HeaderEdit, HostPattern, HttpListener, LogFormat, LogTarget,
    PathPattern, PathRewrite, Plan, Protocol, ProxyProtocolMode, ProxyProtocolVersion, ServerPolicy,
    TcpListener, defaults,
};
use std::path::Path;
use std::time::Duration;

fn plan(text: &str) -> Plan {
    let loaded = load_text("test.yaml", text, Path::new("."));
    let rendered = loaded.diagnostics.render(false);
    loaded.plan.unwrap_or_else(|| panic!("{rendered}"))
}

fn http(plan: &Plan) -> &HttpListener {
    match &plan.listeners[0].protocol {
        Protocol::Http(http) => http,
        Protocol::Tcp(_) | Protocol::Udp(_) => panic!("a listener of layer 4"),
    }
}

fn tcp(plan: &Plan) -> &TcpListener {
    match &plan.listeners[0].protocol {
        Protocol::Tcp(tcp) => tcp,
        Protocol::Http(_) | Protocol::Udp(_) => panic!("no tcp listener"),
    }
}

/// A listener with these routes, each a line that lacks its action.
fn with_routes(routes: &[&str]) -> Plan {
    let routes: String =
        routes.iter().map(|route| format!("      - {{ {route}, respond: {{ status: 204 }} }}\n")).collect();
    plan(&format!("listeners:\n  web:\n    bind: ':80'\n    routes:\n{routes}"))
}

/// Numbers of the routes in the order in which they win.
fn order(plan: &Plan) -> Vec<String> {
    let http = http(plan);
    let mut ranked: Vec<(u32, &str)> =
        http.table.rules().iter().zip(&http.routes).map(|(rule, route)| (rule.rank, &*route.name)).collect();
    ranked.sort_unstable();
    ranked.into_iter().map(|(_, name)| name.trim_start_matches("web").to_owned()).collect()
}

#[test]
fn the_smallest_configuration_has_every_default() {
    let plan = plan(
        "listeners: { web: { bind: ':80', upstream: app } }\nupstreams: { app: { endpoints: '127.0.0.1:1' } }",
    );
    let http = http(&plan);
    assert_eq!(plan.listeners[0].binds[0].0, Bind::Socket("[::]:80".parse().expect("an address")));
    assert_eq!(http.limits, Default::default());
    assert_eq!(http.timeouts, Default::default());
    assert_eq!(http.server, ServerPolicy::Pass);
    assert_eq!(http.forwarded, Default::default());
    assert!(http.routes.is_empty());
    let fallback = http.fallback.as_ref().expect("a fallback");
    assert!(matches!(fallback.action, Action::Upstream(id) if &*plan.upstream(id).name == "app"));
    let upstream = &plan.upstreams[0];
    assert_eq!((upstream.balancing.method, upstream.retry.limit), (Balance::RoundRobin, defaults::RETRIES));
    assert_eq!(upstream.pool, Default::default());
    assert_eq!(plan.settings, Default::default());
}

#[test]
fn origins_point_to_where_things_are_written() {
    let plan = plan(
        "listeners:\n  web:\n    bind: ':80'\n    routes:\n      - { path: /é, when: 'true', upstream: app }\nupstreams:\n  app:\n    endpoints: ['127.0.0.1:1']\n",
    );
    let http = http(&plan);
    assert_eq!(plan.locate(plan.listeners[0].origin), "test.yaml:2:3");
    assert_eq!(plan.locate(plan.listeners[0].binds[0].1), "test.yaml:3:11");
    assert_eq!(plan.locate(http.routes[0].origin), "test.yaml:5:9");
    assert_eq!(plan.locate(http.table.rules()[0].conditions[0].origin), "test.yaml:5:27");
    assert_eq!(plan.locate(plan.upstreams[0].endpoints[0].origin), "test.yaml:8:17");
}

#[test]
fn hosts_outrank_paths_and_paths_outrank_conditions() {
    let plan = with_routes(&[
        "when: 'true'",                                         // 0
        "path: { regex: '^/a' }",                               // 1
        "path: /a/*",                                           // 2
        "path: /a/b/*",                                         // 3
        "path: /a/b",                                           // 4
        "path: '/a/*.png'",                                     // 5
        "path: '/a/longer*.png'",                               // 6
        "host: '*.example.com'",                                // 7
        "host: '*.eu.example.com'",                             // 8
        "host: www.example.com",                                // 9
        "host: www.example.com, path: /x",                      // 10
        "path: /a/*, method: GET",                              // 11
        "path: /a/*, method: GET, headers: { a: '1', b: '2' }", // 12
    ]);
    let expected =
        ["[10]", "[9]", "[8]", "[7]", "[4]", "[3]", "[12]", "[11]", "[2]", "[6]", "[5]", "[1]", "[0]"];
    assert_eq!(order(&plan), expected);
}

#[test]
fn equal_routes_win_in_the_order_of_the_text() {
    assert_eq!(order(&with_routes(&["path: /a, method: GET", "path: /a, method: POST"])), ["[0]", "[1]"]);
}

#[test]
fn a_route_with_unlike_hosts_stands_in_several_places() {
    let plan = with_routes(&["host: [a.example.com, '*.example.com']", "host: b.example.com, method: GET"]);
    assert_eq!(order(&plan), ["[1]", "[0]", "[0]"]);
    let hosts: Vec<_> = http(&plan).table.rules().iter().map(|rule| rule.hosts.clone()).collect();
    assert_eq!(hosts[2], [HostPattern::Below("example.com".into())]);
}

#[test]
fn short_paths_become_exact_prefix_and_glob() {
    let plan = with_routes(&["path: [/a, /b/*, /*, '/c/*/d', { prefix: /e/ }, { exact: '/f*' }]"]);
    let mut paths: Vec<String> = http(&plan)
        .table
        .rules()
        .iter()
        .flat_map(|rule| &rule.paths)
        .map(|path| format!("{path:?}"))
        .collect();
    paths.sort();
    let glob = r#"Glob("/c/*/d", /(?s)^/c/[^/]*/d$/)"#;
    assert_eq!(
        paths,
        [r#"Exact("/a")"#, r#"Exact("/f*")"#, glob, r#"Prefix("")"#, r#"Prefix("/b")"#, r#"Prefix("/e")"#]
    );
}

#[test]
fn deadlines_limits_and_pages_of_a_route_stand_before_those_of_its_listener() {
    let plan = plan(
        "listeners:
  web:
    bind: ':80'
    timeouts: { connect: 1s, response_head: off, request: 1h }
    limits: { body: 5MB }
    error_pages: { 5xx: { body: outer }, 404: { body: none } }
    routes:
      - { path: /a, upstream: app, timeouts: { connect: 2s, request: off }, limits: { body: off }, error_pages: { 503: { body: inner } } }
      - { path: /b, upstream: app }
upstreams: { app: { endpoints: ['127.0.0.1:1'] } }",
    );
    let routes = &http(&plan).routes;
    assert_eq!(routes[0].timeouts.connect, Some(Duration::from_secs(2)));
    assert_eq!(routes[0].timeouts.response_head, None);
    assert_eq!(routes[0].timeouts.request, None);
    assert_eq!(routes[1].timeouts.connect, Some(Duration::from_secs(1)));
    assert_eq!(routes[1].timeouts.request, Some(Duration::from_secs(3600)));
    assert_eq!((routes[0].body_limit, routes[1].body_limit), (None, Some(5_000_000)));
    let page = |route: usize, status| {
        let page = routes[route].error_pages.find(status).expect("a page");
        page.body.as_literal().map(str::to_owned)
    };
    assert_eq!(page(0, 503).as_deref(), Some("inner"));
    assert_eq!(page(0, 500).as_deref(), Some("outer"));
    assert_eq!(page(1, 503).as_deref(), Some("outer"));
    assert_eq!(page(1, 404).as_deref(), Some("none"));
}

#[test]
fn header_changes_come_as_remove_set_add() {
    let plan = plan(
        "listeners: { web: { bind: ':80', routes: [{ respond: {}, response_headers: { add: { X-A: a }, set: { X-S: '$$ ${ response.status }' }, remove: X-R } }] } }",
    );
    let edits = &http(&plan).routes[0].response_edits;
    let names: Vec<&str> = edits.iter().map(HeaderEdit::name).collect();
    assert_eq!(names, ["X-R", "X-S", "X-A"]);
}

#[test]
fn a_prefix_is_rewritten_without_its_slash() {
    let plan = plan(
        "listeners: { web: { bind: ':80', routes: [{ path: /v1/*, upstream: app, rewrite: { prefix: /api/, host: '${ request.host }' } }] } }\nupstreams: { app: { endpoints: ['127.0.0.1:1'] } }",
    );
    let route = &http(&plan).routes[0];
    assert_eq!(route.path_rewrite, Some(PathRewrite::Prefix("/api".into())));
    assert!(route.host_rewrite.is_some());
}

#[test]
fn captures_read_the_regular_expression_of_the_path() {
    let plan = plan(
        "listeners: { web: { bind: ':80', routes: [{ path: { regex: '^/u/(?<id>.*)$' }, redirect: { to: '/${ captures[\"id\"] }' } }] } }",
    );
    let route = &http(&plan).routes[0];
    assert_eq!(route.captures.as_ref().map(|pattern| pattern.text()), Some("^/u/(?<id>.*)$"));
    assert!(matches!(&http(&plan).table.rules()[0].paths[..], [PathPattern::Regex(_)]));
}

#[test]
fn endpoints_are_sockets_paths_or_names() {
    let plan = plan(
        "listeners: { web: { bind: ':80', upstream: app } }\nupstreams: { app: { endpoints: ['10.0.0.1:80', '[::1]:80', 'unix:/run/a', 'LocalHost:80'] } }",
    );
    let addresses: Vec<String> =
        plan.upstreams[0].endpoints.iter().map(|endpoint| endpoint.address.to_string()).collect();
    assert_eq!(addresses, ["10.0.0.1:80", "[::1]:80", "unix:/run/a", "localhost:80"]);
    assert!(matches!(plan.upstreams[0].endpoints[3].address, Address::Name(..)));
}

#[test]
fn a_tcp_listener_peeks_only_when_a_route_asks_for_the_client_hello() {
    let with = |route: &str| {
        plan(&format!(
            "listeners: {{ db: {{ bind: ':80', protocol: tcp, upstream: app, routes: [{{ {route}, upstream: app }}] }} }}\nupstreams: {{ app: {{ endpoints: ['127.0.0.1:1'] }} }}"
        ))
    };
    assert!(tcp(&with("sni: '*.example.com'")).peeks);
    assert!(tcp(&with("alpn: h2")).peeks);
    assert!(tcp(&with("when: 'connection.sni.startsWith(\"a\")'")).peeks);
    assert!(!tcp(&with("source: 10.0.0.0/8")).peeks);
}

#[test]
fn merge_keys_fill_in_what_a_table_lacks() {
    let plan = plan(
        "listeners:
  web: &web { bind: ':80', server: hide, via: one }
  two: { <<: *web, bind: ':81', via: two }",
    );
    let Protocol::Http(two) = &plan.listeners[1].protocol else { panic!("an http listener") };
    assert_eq!(two.server, ServerPolicy::Hide);
    assert_eq!(two.via.as_deref(), Some("two"));
}

#[test]
fn several_files_are_united_and_names_are_unique() {
    let folder = std::env::temp_dir().join(format!("narrows-config-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let write = |name: &str, text: &str| {
        let path = folder.join(name);
        std::fs::write(&path, text).expect("a file");
        path
    };
    let first = write(
        "first.yaml",
        "settings: { access_log: stdout }\nlisteners: { web: { bind: ':80', upstream: app } }\n",
    );
    let second = write("second.yaml", "upstreams: { app: { endpoints: ['127.0.0.1:1'] } }\n");
    let third = write("third.yaml", "settings: { access_log: off }\nlisteners:\n  web: { bind: ':81' }\n");
    let united = load(&[first.clone(), second.clone()]);
    let plan = united.plan.expect("a plan");
    let log = AccessLog::of_everything(LogTarget::Stdout, LogFormat::Text);
    assert_eq!(plan.settings.access_logs, [log]);
    assert_eq!(plan.files.len(), 2);
    assert!(load(std::slice::from_ref(&first)).diagnostics.has_errors());
    let twice = load(&[first, second, third, folder.join("missing.yaml")]);
    std::fs::remove_dir_all(&folder).expect("the folder is removed");
    let codes: Vec<&str> = twice.diagnostics.list.iter().map(|one| one.code.as_str()).collect();
    assert_eq!(codes, ["N0203", "N0203", "N0001"]);
    assert!(twice.diagnostics.list[1].labels.iter().any(|label| label.file.0 == 0));
    assert!(twice.diagnostics.render(false).contains("first.yaml"));
}

#[test]
fn json_has_one_object_for_each_diagnostic() {
    let loaded = load_text("a.yaml", "listeners: { web: { bind: ':80', upstraem: x } }", Path::new("."));
    let json = loaded.diagnostics.to_json();
    assert_eq!(json[0]["code"], "N0101");
    assert_eq!(json[0]["severity"], "error");
    assert_eq!((&json[0]["line"], &json[0]["column"]), (&1.into(), &34.into()));
    assert_eq!((&json[0]["end_line"], &json[0]["end_column"]), (&1.into(), &42.into()));
    assert_eq!(json[0]["help"], "did you mean `upstream`?");
}

#[test]
fn udp_listeners_carry_limits_defaults_and_whether_they_wait_for_a_hello() {
    let udp = |text: &str| match plan(text).listeners.remove(0).protocol {
        Protocol::Udp(udp) => *udp,
        Protocol::Http(_) | Protocol::Tcp(_) => panic!("no udp listener"),
    };
    let dns = udp(
        "listeners: { dns: { bind: ':53', protocol: udp, sessions: { limit: 9, answers: 1 }, upstream: a } }
upstreams: { a: { endpoints: ['10.0.0.1:53'], balance: consistent-hash } }",
    );
    assert_eq!((dns.sessions.limit, dns.sessions.answers), (9, Some(1)));
    assert_eq!(dns.timeouts.idle, Some(std::time::Duration::from_secs(60)));
    assert!(!dns.quic && !dns.peeks && dns.fallback.is_some());
    for (route, peeks) in [("sni: a.example.com", true), ("source: 10.0.0.0/8", false), ("alpn: h3", true)] {
        let quic = udp(&format!(
            "listeners: {{ q: {{ bind: ':443', protocol: udp, quic: true, routes: [{{ {route}, upstream: a }}] }} }}
upstreams: {{ a: {{ endpoints: ['10.0.0.1:443'] }} }}"
        ));
        assert_eq!((quic.quic, quic.peeks, quic.sessions.limit), (true, peeks, 65_536), "{route}");
    }
}

#[test]
fn the_proxy_protocol_is_off_and_required_where_only_sources_are_named() {
    let plan = plan(
        r#"
listeners:
  off: { bind: ":1", upstream: plain }
  on: { bind: ":2", protocol: tcp, proxy_protocol: { sources: [10.0.0.0/8, "2001:db8::1"] }, upstream: one }
  allowed: { bind: ":3", proxy_protocol: { mode: allowed, sources: 10.0.0.1 }, upstream: two }
upstreams:
  plain: { endpoints: ["127.0.0.1:9000"] }
  one: { endpoints: ["127.0.0.1:9000"], proxy_protocol: v1 }
  two: { endpoints: ["127.0.0.1:9000"], proxy_protocol: v2 }
"#,
    );
    assert_eq!(plan.listeners[0].proxy_protocol, None);
    let on = plan.listeners[1].proxy_protocol.as_ref().unwrap();
    assert_eq!(on.mode, ProxyProtocolMode::Required);
    for (peer, trusted) in
        [("10.1.2.3", true), ("2001:db8::1", true), ("2001:db8::2", false), ("11.0.0.1", false)]
    {
        assert_eq!(on.trusts(peer.parse().unwrap()), trusted, "{peer}");
    }
    let allowed = plan.listeners[2].proxy_protocol.as_ref().unwrap();
    assert_eq!((allowed.mode, allowed.sources.len()), (ProxyProtocolMode::Allowed, 1));
    let versions: Vec<_> = plan.upstreams.iter().map(|upstream| upstream.proxy_protocol).collect();
    assert_eq!(versions, [None, Some(ProxyProtocolVersion::V1), Some(ProxyProtocolVersion::V2)]);
}

#[test]
fn the_process_is_told_who_it_becomes_and_where_its_number_stands() {
    let plan = plan(
        "settings: { user: www-data, group: \"33\", pid_file: narrows.pid }\n\
         listeners: { web: { bind: ':80', routes: [{ respond: { status: 204 } }] } }",
    );
    let settings = &plan.settings;
    let named = |account: &Option<narrows_plan::Account>| account.as_ref().map(|one| one.name.to_string());
    assert_eq!(named(&settings.user), Some("www-data".to_owned()));
    assert_eq!(named(&settings.group), Some("33".to_owned()));
    let file = settings.pid_file.as_ref().expect("it was written");
    assert_eq!(file.path, Path::new("./narrows.pid"), "relative to the configuration");
    assert_eq!((file.origin.line, file.origin.column), (1, 52));
}
