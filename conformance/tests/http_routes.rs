//! Which route takes a request, and what it does with it.

use narrows_conformance::backend::ok;
use narrows_conformance::{Backend, Message, Narrows, Setup};

/// A proxy whose routes answer with their own names. Each route is `name: conditions`, in flow form.
fn routes(routes: &[(&str, &str)]) -> Narrows {
    routes_with("", routes)
}

fn routes_with(keys: &str, routes: &[(&str, &str)]) -> Narrows {
    let mut yaml = format!("{keys}\nroutes:\n");
    for (name, conditions) in routes {
        let comma = if conditions.is_empty() { "" } else { ", " };
        yaml +=
            &format!("  - {{ name: {name}, {conditions}{comma}respond: {{ status: 200, body: {name} }} }}\n");
    }
    Setup::new().listener("web", &yaml).start()
}

/// The route that takes `GET path` with these header lines; "none" when no one does.
fn taker(narrows: &Narrows, path: &str, headers: &[&str]) -> String {
    let answer = narrows.get(path, headers);
    if answer.status() == 404 { "none".to_owned() } else { answer.text() }
}

/// The request as the backend got it, for `GET path` over one route (YAML in block form) to the upstream `app`.
fn through(route: &str, path: &str, headers: &[&str]) -> (Message, Message) {
    let backend =
        Backend::answering("HTTP/1.1 200 OK\r\nX-Old: 1\r\nX-Gone: 2\r\nContent-Length: 2\r\n\r\nhi");
    let keys = format!("forwarded: []\nroutes:\n  - upstream: app\n{}", shifted(route));
    let narrows = Setup::new().upstream("app", &[&backend]).listener("web", &keys).start();
    let answer = narrows.get(path, headers);
    assert_eq!(answer.status(), 200, "{}", answer.text());
    (backend.only_request(), answer)
}

fn shifted(lines: &str) -> String {
    lines.lines().map(|line| format!("    {line}\n")).collect()
}

#[test]
fn hosts_match_exactly_by_wildcard_or_all() {
    let narrows = routes(&[
        ("any", ""),
        ("deep", "host: \"*.b.example.com\""),
        ("wild", "host: \"*.example.com\""),
        ("exact", "host: [api.example.com, www.example.com]"),
    ]);
    for (host, expected) in [
        ("api.example.com", "exact"),
        ("API.Example.COM", "exact"),
        ("www.example.com:8080", "exact"),
        ("api.example.com.", "exact"),
        ("x.example.com", "wild"),
        ("y.x.example.com", "wild"),
        ("a.b.example.com", "deep"),
        ("example.com", "any"),
        ("notexample.com", "any"),
        ("[::1]:80", "any"),
    ] {
        assert_eq!(taker(&narrows, "/", &[&format!("Host: {host}")]), expected, "{host}");
    }
}

#[test]
fn a_path_prefix_ends_at_a_segment() {
    let narrows = routes(&[("v1", "path: /v1/*"), ("exact", "path: /v1/exact"), ("other", "path: /other")]);
    for (path, expected) in [
        ("/v1", "v1"),
        ("/v1/", "v1"),
        ("/v1/x/y", "v1"),
        ("/v1?x", "v1"),
        ("/v10", "none"),
        ("/v1x", "none"),
        ("/V1/x", "none"),
        ("/v1/exact", "exact"),
        ("/v1/exact/", "v1"),
        ("/other/", "none"),
        ("/other?x=/v1/", "other"),
        ("/", "none"),
    ] {
        assert_eq!(taker(&narrows, path, &[]), expected, "{path}");
    }
}

#[test]
fn the_path_forms_have_an_order() {
    let narrows = routes(&[
        ("none-form", ""),
        ("regex", "path: { regex: \"^/a/.*$\" }"),
        ("glob", "path: /a/*/c*"),
        ("long-glob", "path: /a/b/c*e"),
        ("prefix", "path: /a/b/*"),
        ("long-prefix", "path: /a/b/c/*"),
        ("exact", "path: { exact: /a/b/c }"),
    ]);
    for (path, expected) in [
        ("/a/b/c", "exact"),
        ("/a/b/c/d", "long-prefix"),
        ("/a/b/x", "prefix"),
        ("/a/x/cd", "glob"),
        ("/a/x", "regex"),
        ("/x", "none-form"),
    ] {
        assert_eq!(taker(&narrows, path, &[]), expected, "{path}");
    }
}

#[test]
fn globs_stay_within_a_segment_unless_doubled() {
    let narrows = routes(&[
        ("single", "path: { glob: \"/img/*.png\" }"),
        ("double", "path: { glob: \"/doc/**/x?.txt\" }"),
    ]);
    for (path, expected) in [
        ("/img/a.png", "single"),
        ("/img/a/b.png", "none"),
        ("/img/a.pngx", "none"),
        ("/doc/a/b/x1.txt", "double"),
        ("/doc/a/x12.txt", "none"),
    ] {
        assert_eq!(taker(&narrows, path, &[]), expected, "{path}");
    }
}

#[test]
fn paths_are_normalised_for_matching() {
    let narrows = routes(&[("admin", "path: /admin/*"), ("any", "")]);
    for path in ["/admin", "/x/../admin/y", "//admin/x", "/%61dmin/", "/./admin/x", "/x/%2e%2e/admin/y"] {
        assert_eq!(taker(&narrows, path, &[]), "admin", "{path}");
    }
    for path in ["/x/admin", "/admin/../x", "/x%2F..%2Fadmin", "/admin/%2e%2e/x"] {
        assert_eq!(taker(&narrows, path, &[]), "any", "{path}");
    }
}

#[test]
fn path_matching_can_leave_slashes_and_escapes_alone() {
    let keys = "path_matching: { decode: false, merge_slashes: false }";
    let narrows = routes_with(keys, &[("admin", "path: /admin/*"), ("any", "")]);
    assert_eq!(taker(&narrows, "//admin/x", &[]), "any");
    assert_eq!(taker(&narrows, "/%61dmin/", &[]), "any");
    assert_eq!(taker(&narrows, "/x/../admin/y", &[]), "admin", "dot segments are always removed");
}

#[test]
fn methods_match_by_list() {
    let narrows = routes(&[("read", "method: [GET, HEAD]"), ("write", "method: POST")]);
    assert_eq!(taker(&narrows, "/", &[]), "read");
    let post = narrows.web().exchange("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(post.text(), "write");
    let put = narrows.web().exchange("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(put.status(), 404);
}

#[test]
fn headers_match_in_every_form() {
    let narrows = routes(&[
        ("exact", "path: /exact, headers: { X-Beta: \"1\" }"),
        ("form", "path: /form, headers: { x-id: { exact: \"7\" } }"),
        ("regex", "path: /regex, headers: { x-id: { regex: \"^[0-9]+$\" } }"),
        ("prefix", "path: /prefix, headers: { x-id: { prefix: ab } }"),
        ("contains", "path: /contains, headers: { x-id: { contains: b } }"),
        ("present", "path: /present, headers: { x-id: { present: true } }"),
        ("absent", "path: /absent, headers: { x-id: { present: false } }"),
        ("both", "path: /both, headers: { x-a: \"1\", x-b: \"2\" }"),
    ]);
    for (path, headers, taken) in [
        ("/exact", &["x-BETA: 1"][..], true),
        ("/exact", &["X-Beta: 12"], false),
        ("/form", &["X-Id: 7"], true),
        ("/regex", &["X-Id: 42"], true),
        ("/regex", &["X-Id: 4x2"], false),
        ("/prefix", &["X-Id: abc"], true),
        ("/prefix", &["X-Id: cab"], false),
        ("/contains", &["X-Id: abc"], true),
        ("/contains", &["X-Id: ac"], false),
        ("/present", &["X-Id:"], true),
        ("/present", &[], false),
        ("/absent", &[], true),
        ("/absent", &["X-Id: x"], false),
        ("/both", &["X-A: 1", "X-B: 2"], true),
        ("/both", &["X-A: 1"], false),
    ] {
        let expected = if taken { &path[1..] } else { "none" };
        assert_eq!(taker(&narrows, path, headers), expected, "{path} {headers:?}");
    }
}

#[test]
fn cookies_and_query_parameters_match() {
    let narrows = routes(&[
        ("cookie", "path: /cookie, cookies: { plan: gold }"),
        ("query", "path: /query, query: { version: { prefix: \"2\" } }"),
        ("empty", "path: /empty, query: { debug: { present: true } }"),
    ]);
    assert_eq!(taker(&narrows, "/cookie", &["Cookie: a=b; plan=gold; c=d"]), "cookie");
    assert_eq!(taker(&narrows, "/cookie", &["Cookie: a=b", "Cookie: plan=gold"]), "cookie");
    assert_eq!(taker(&narrows, "/cookie", &["Cookie: xplan=gold"]), "none");
    assert_eq!(taker(&narrows, "/query?a=b&version=2.1", &[]), "query");
    assert_eq!(taker(&narrows, "/query?version=1", &[]), "none");
    assert_eq!(taker(&narrows, "/query?version=%32", &[]), "query");
    assert_eq!(taker(&narrows, "/empty?debug", &[]), "empty");
}

#[test]
fn the_source_matches_by_network() {
    let narrows = routes(&[
        ("local", "path: /a, source: [127.0.0.0/8]"),
        ("far", "path: /b, source: [10.0.0.0/8, \"fd00::/8\"]"),
    ]);
    assert_eq!(taker(&narrows, "/a", &[]), "local");
    assert_eq!(taker(&narrows, "/b", &[]), "none");
    let trusting =
        routes_with("trusted_proxies: { sources: [127.0.0.0/8] }", &[("far", "source: [10.0.0.0/8]")]);
    assert_eq!(taker(&trusting, "/", &["X-Forwarded-For: 10.1.2.3"]), "far");
}

#[test]
fn expressions_decide() {
    let narrows = routes(&[
        (
            "beta",
            "path: /beta, when: 'request.headers[\"x-beta\"] == \"1\" && request.method in [\"GET\", \"HEAD\"]'",
        ),
        ("params", "path: /params, when: 'int(request.params[\"n\"]) > 5 || \"any\" in request.params'"),
        (
            "local",
            "path: /local, when: 'connection.source.inCidr(\"127.0.0.0/8\") && request.host.endsWith(\".com\")'",
        ),
        ("later", "path: /later, when: 'time.year > 2020 && time.hour >= 0 && time.day_of_week < 7'"),
        ("cookie", "path: /cookie, when: 'request.cookies[\"a\"].matches(\"^x+$\") ? true : false'"),
        ("size", "path: /size, when: '!(size(request.headers[\"x-a\"]) <= 2)'"),
    ]);
    for (path, headers, taken) in [
        ("/beta", &["X-Beta: 1"][..], true),
        ("/beta", &[], false),
        ("/params?n=6", &[], true),
        ("/params?n=5", &[], false),
        ("/params?any", &[], true),
        ("/local", &[], true),
        ("/later", &[], true),
        ("/cookie", &["Cookie: a=xxx"], true),
        ("/cookie", &["Cookie: a=xyx"], false),
        ("/size", &["X-A: abc"], true),
        ("/size", &["X-A: ab"], false),
    ] {
        let name = path[1..].split('?').next().unwrap();
        let expected = if taken { name } else { "none" };
        assert_eq!(taker(&narrows, path, headers), expected, "{path} {headers:?}");
    }
}

#[test]
fn more_conditions_win_and_then_the_file_order() {
    let narrows = routes(&[
        ("plain", "path: /a"),
        ("second-plain", "path: /a"),
        ("one-more", "path: /a, method: GET"),
        ("two-more", "path: /a, method: GET, headers: { x-a: \"1\" }"),
    ]);
    assert_eq!(taker(&narrows, "/a", &["X-A: 1"]), "two-more");
    assert_eq!(taker(&narrows, "/a", &[]), "one-more");
    let put = narrows.web().exchange("PUT /a HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(put.text(), "plain");
}

#[test]
fn the_host_goes_before_the_path() {
    let narrows = routes(&[
        ("path", "path: /a/b"),
        ("host", "host: example.com, path: /a/*"),
        ("wild", "host: \"*.com\", path: /a/b"),
    ]);
    assert_eq!(taker(&narrows, "/a/b", &[]), "host");
    assert_eq!(taker(&narrows, "/a/b", &["Host: x.com"]), "wild");
    assert_eq!(taker(&narrows, "/a/b", &["Host: x.org"]), "path");
}

#[test]
fn a_route_of_the_better_host_that_does_not_match_falls_through() {
    let narrows = routes(&[("any", "path: /x"), ("host", "host: example.com, path: /y")]);
    assert_eq!(taker(&narrows, "/x", &[]), "any");
}

#[test]
fn no_route_and_no_default_is_404() {
    let narrows = routes(&[("only", "path: /only")]);
    let answer = narrows.get("/other", &[]);
    assert_eq!(answer.status(), 404);
    assert!(
        answer.header("proxy-status").is_some_and(|value| value.starts_with("narrows")),
        "{}",
        answer.head
    );
}

#[test]
fn the_default_upstream_takes_what_no_route_takes() {
    let backend = Backend::saying("default");
    let keys = "routes:\n  - { path: /a, respond: { status: 200, body: a } }";
    let narrows = Setup::web(&backend, keys).start();
    assert_eq!(taker(&narrows, "/a", &[]), "a");
    assert_eq!(taker(&narrows, "/b", &[]), "default");
}

#[test]
fn a_split_follows_its_weights() {
    let (old, new) = (Backend::saying("old"), Backend::saying("new"));
    let keys = "routes:\n  - { split: [ { upstream: old, weight: 90 }, { upstream: new, weight: 10 } ] }";
    let narrows =
        Setup::new().upstream("old", &[&old]).upstream("new", &[&new]).listener("web", keys).start();
    let mut client = narrows.web();
    for _ in 0..1000 {
        assert_eq!(client.exchange("GET / HTTP/1.1\r\nHost: a\r\n\r\n").status(), 200);
    }
    let canary = new.requests().len();
    assert!((50..=170).contains(&canary), "10 % of 1000 is {canary}");
    assert_eq!(old.requests().len() + canary, 1000);
}

#[test]
fn a_fixed_response_is_built_from_the_request() {
    let keys = "routes:\n  - respond: { status: 418, body: \"${ request.method } ${ request.path } by ${ connection.listener }, $$5\", content_type: text/x-tea }";
    let narrows = Setup::new().listener("web", keys).start();
    let answer = narrows.get("/pot?x=y", &[]);
    assert_eq!((answer.status(), answer.text().as_str()), (418, "GET /pot by web, $5"));
    assert_eq!(answer.header("content-type"), Some("text/x-tea"));
    let body =
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabcGET /next HTTP/1.1\r\nHost: a\r\n\r\n";
    let mut client = narrows.web();
    client.send(body);
    assert_eq!(client.response("POST").text(), "POST / by web, $5");
    assert_eq!(client.response("GET").text(), "GET /next by web, $5", "the unread body is not a request");
}

#[test]
fn redirects_take_captures_and_the_whole_target() {
    let keys = "routes:
  - path: { regex: \"^/user/(?P<name>[a-z]+)/([0-9]+)$\" }
    redirect: { to: \"/u/${ captures[\\\"name\\\"] }?id=${ captures[2] }\", status: 301 }
  - redirect: { to: \"https://${ request.host }${ request.target }\" }";
    let narrows = Setup::new().listener("web", keys).start();
    let named = narrows.get("/user/ann/42", &[]);
    assert_eq!((named.status(), named.header("location")), (301, Some("/u/ann?id=42")));
    let secure = narrows.get("/a%20b?c=d", &["Host: Shop.example.com:8080"]);
    assert!([301, 302, 307, 308].contains(&secure.status()));
    assert_eq!(secure.header("location"), Some("https://shop.example.com/a%20b?c=d"));
}

#[test]
fn a_redirect_cannot_be_split_into_two_fields() {
    let keys = "routes:\n  - redirect: { to: \"/x/${ request.path }\", status: 302 }";
    let narrows = Setup::new().listener("web", keys).start();
    let answer = narrows.get("/a%0d%0aSet-Cookie:%20x=y", &[]);
    assert_eq!(answer.header("set-cookie"), None, "{}", answer.head);
}

#[test]
fn a_header_built_from_the_request_cannot_be_split() {
    let (seen, _) =
        through("request_headers: { set: { x-path: \"${ request.path }\" } }", "/a%0d%0aX-Evil:%20y", &[]);
    assert_eq!(seen.header("x-evil"), None, "{}", seen.head);
}

#[test]
fn a_matched_prefix_is_replaced() {
    for (path, expected) in [("/old/a?b=c", "/new/a?b=c"), ("/old", "/new"), ("/old/", "/new/")] {
        let (seen, _) = through("path: /old/*\nrewrite: { prefix: /new }", path, &[]);
        assert_eq!(seen.target(), expected, "{path}");
    }
}

#[test]
fn the_path_and_host_are_rewritten_from_captures() {
    let route = "path: { regex: \"^/shop/([a-z]+)/(.*)$\" }\n\
                 rewrite: { path: \"/${ captures[2] }\", host: \"${ captures[1] }.internal\" }";
    let (seen, _) = through(route, "/shop/books/a/b?x=1", &[]);
    assert_eq!((seen.target(), seen.header("host")), ("/a/b?x=1", Some("books.internal")));
    assert_eq!(seen.header_values("host").len(), 1);
}

#[test]
fn request_fields_are_set_added_and_removed() {
    let route = "request_headers:\n  set: { X-Host: \"${ request.host }\", x-old: new }\n  add: { X-Tag: b }\n  remove: [x-secret, Accept]";
    let (seen, _) = through(route, "/", &["X-Old: a", "x-OLD: b", "X-Tag: a", "X-Secret: s", "accept: */*"]);
    assert_eq!(seen.header_values("x-host"), ["example.com"]);
    assert_eq!(seen.header_values("x-old"), ["new"]);
    assert_eq!(seen.header_values("x-tag"), ["a", "b"]);
    assert_eq!((seen.header("x-secret"), seen.header("accept")), (None, None));
}

#[test]
fn response_fields_are_set_added_and_removed() {
    let route = "response_headers:\n  set: { x-old: \"${ response.status } ${ request.path }\" }\n  \
                 add: { X-New: \"${ response.headers[\\\"x-gone\\\"] }\" }\n  remove: [X-Gone]";
    let (_, answer) = through(route, "/p", &[]);
    assert_eq!(answer.header_values("x-old"), ["200 /p"]);
    assert_eq!(answer.header("x-gone"), None);
    assert_eq!(answer.header("x-new"), Some("2"));
}

#[test]
fn a_field_that_was_not_sent_is_empty_in_a_template() {
    let (seen, _) =
        through("request_headers: { set: { x-copy: \"<${ request.headers[\\\"x-none\\\"] }>\" } }", "/", &[]);
    assert_eq!(seen.header("x-copy"), Some("<>"));
}

#[test]
fn a_route_has_its_own_timeouts_and_limits() {
    let backend = Backend::script(|mut connection, _| drop(connection.read_to_end()));
    let keys = "routes:
  - { path: /quick, upstream: app, timeouts: { response_head: 300ms } }
  - { path: /small, upstream: app, limits: { body: 10 } }";
    let narrows = Setup::web(&backend, keys).start();
    narrows.get("/quick", &[]).assert_proxy_error(504, "http_response_timeout");
    let large = narrows.web().exchange("POST /small HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\n");
    assert_eq!(large.status(), 413);
}

#[test]
fn three_names_on_one_port_reach_three_backends() {
    let backends = ["api", "www", "video"].map(|name| (name, Backend::respond(move |_| ok(name))));
    let mut setup = Setup::new();
    let mut keys = "routes:\n".to_owned();
    for (name, backend) in &backends {
        setup = setup.upstream(name, &[backend]);
        keys += &format!("  - {{ host: {name}.example.com, upstream: {name} }}\n");
    }
    let narrows = setup.listener("web", &keys).start();
    let mut client = narrows.web();
    for (name, _) in &backends {
        let answer = client.exchange(format!("GET / HTTP/1.1\r\nHost: {name}.example.com\r\n\r\n"));
        assert_eq!(answer.text(), *name);
    }
}

#[test]
fn ten_thousand_routes_are_found_one_by_one() {
    let mut keys = "routes:\n".to_owned();
    for number in 0..5000 {
        keys += &format!(
            "  - {{ host: h{number}.example.com, respond: {{ status: 200, body: \"h{number}\" }} }}\n"
        );
        keys += &format!("  - {{ path: /p{number}/*, respond: {{ status: 200, body: \"p{number}\" }} }}\n");
    }
    let narrows = Setup::new().listener("web", &keys).start();
    let mut client = narrows.web();
    for number in (0..5000).step_by(7) {
        let host = client.exchange(format!("GET / HTTP/1.1\r\nHost: h{number}.example.com\r\n\r\n"));
        assert_eq!(host.text(), format!("h{number}"));
        let path = client.exchange(format!("GET /p{number}/x HTTP/1.1\r\nHost: a\r\n\r\n"));
        assert_eq!(path.text(), format!("p{number}"));
    }
    assert_eq!(client.exchange("GET /p50000/x HTTP/1.1\r\nHost: a\r\n\r\n").status(), 404);
}
