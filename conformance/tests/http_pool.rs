//! Connections to upstreams: used again where that is safe, replaced where it is not.

use narrows_conformance::backend::{Refusing, Silent, ok};
use narrows_conformance::servers::free_port;
use narrows_conformance::{Backend, Narrows, Setup, until};

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const POST: &str = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi";

fn with_connections(backend: &Backend, keys: &str) -> Narrows {
    Setup::web(backend, "").upstream_with("app", &[backend], &format!("connections: {keys}")).start()
}

#[test]
fn one_upstream_connection_serves_many_clients() {
    let backend = Backend::saying("hello");
    let narrows = Setup::web(&backend, "").start();
    for _ in 0..5 {
        assert_eq!(narrows.web().exchange(GET).text(), "hello");
    }
    assert_eq!((backend.connections(), backend.requests().len()), (1, 5));
}

#[test]
fn a_connection_that_the_upstream_ends_is_not_used_again() {
    let backend = Backend::script(|mut connection, _| {
        connection.request();
        connection.send("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi");
    });
    let narrows = Setup::web(&backend, "").start();
    let mut client = narrows.web();
    for _ in 0..3 {
        let answer = client.exchange(GET);
        assert_eq!(answer.text(), "hi");
        assert!(!answer.lists("connection", "close"), "the upstream's end is not the client's");
    }
    assert_eq!(backend.connections(), 3);
}

#[test]
fn no_idle_connection_is_kept_when_none_is_wanted() {
    let backend = Backend::saying("hello");
    let narrows = with_connections(&backend, "{ idle: 0 }");
    for _ in 0..3 {
        assert_eq!(narrows.web().exchange(GET).text(), "hello");
    }
    assert_eq!(backend.connections(), 3);
    backend.wait_for_end(2);
}

#[test]
fn idle_connections_above_the_limit_are_closed() {
    let backend = Backend::saying("hello");
    let narrows = with_connections(&backend, "{ idle: 1 }");
    let mut clients = [narrows.web(), narrows.web(), narrows.web()];
    clients
        .iter_mut()
        .for_each(|client| client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n"));
    until("all three are under way", || backend.connections() == 3);
    for client in &mut clients {
        client.send("hi");
        assert_eq!(client.response("POST").text(), "hello");
    }
    let ended = || (0..3).filter(|number| backend.record(*number).end.is_some()).count();
    until("two of three connections are closed", || ended() == 2);
    assert_eq!(narrows.web().exchange(GET).text(), "hello");
    assert_eq!(backend.connections(), 3, "the third one is used again");
}

#[test]
fn idle_connections_are_closed_after_a_while() {
    let backend = Backend::saying("hello");
    let narrows = with_connections(&backend, "{ idle_timeout: 300ms }");
    assert_eq!(narrows.web().exchange(GET).text(), "hello");
    backend.wait_for_end(0);
    assert_eq!(narrows.web().exchange(GET).text(), "hello");
    assert_eq!(backend.connections(), 2);
}

#[test]
fn a_connection_serves_no_more_requests_than_allowed() {
    let backend = Backend::saying("hello");
    let narrows = with_connections(&backend, "{ requests: 2 }");
    for _ in 0..5 {
        assert_eq!(narrows.web().exchange(GET).text(), "hello");
    }
    assert_eq!(backend.connections(), 3);
}

#[test]
fn a_connection_gets_no_older_than_allowed() {
    let backend = Backend::saying("hello");
    let narrows = with_connections(&backend, "{ age: 300ms }");
    let mut client = narrows.web();
    until("an old connection is replaced", || {
        assert_eq!(client.exchange(GET).text(), "hello");
        backend.connections() > 1
    });
    assert!(backend.requests().len() > 2, "a young one is used again");
}

/// A backend whose first connection dies when its second request arrives, without a byte of an answer.
fn dying_backend() -> Backend {
    Backend::script(|mut connection, number| {
        let mut requests = 0;
        while connection.next_request().is_some() {
            requests += 1;
            if number == 0 && requests == 2 {
                return connection.reset();
            }
            if connection.try_send(ok("hello")).is_err() {
                return;
            }
        }
    })
}

#[test]
fn a_reused_connection_that_dies_is_replaced_for_a_repeatable_request() {
    for method in ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"] {
        let backend = dying_backend();
        let narrows = Setup::web(&backend, "").start();
        let mut client = narrows.web();
        assert_eq!(client.exchange(GET).text(), "hello");
        let answer = client.exchange(format!("{method} / HTTP/1.1\r\nHost: a\r\n\r\n"));
        assert_eq!(answer.status(), 200, "the race of the upstream must not reach the user: {method}");
        assert_eq!((backend.connections(), backend.requests().len()), (2, 3), "{method}");
    }
}

#[test]
fn a_reused_connection_that_dies_is_not_replaced_for_a_post() {
    let backend = dying_backend();
    let narrows = Setup::web(&backend, "").start();
    let mut client = narrows.web();
    assert_eq!(client.exchange(GET).text(), "hello");
    let answer = client.exchange(POST);
    answer.assert_proxy_error(502, "connection_terminated");
    assert_eq!(backend.requests().len(), 2, "a POST that may have been seen is not sent twice");
}

#[test]
fn a_connection_that_the_upstream_closed_while_idle_is_not_even_tried() {
    let backend = Backend::script(|mut connection, _| {
        connection.request();
        connection.send(ok("hello"));
    });
    let narrows = Setup::web(&backend, "").start();
    let mut client = narrows.web();
    for number in 0..20 {
        assert_eq!(client.exchange(POST).status(), 200, "request {number}");
        backend.wait_for_script(number);
    }
}

#[test]
fn the_next_endpoint_takes_over_when_one_refuses() {
    let (backend, refusing) = (Backend::saying("hello"), Refusing::new());
    let narrows = Setup::web(&backend, "").upstream("app", &[&refusing, &backend]).start();
    for _ in 0..6 {
        assert_eq!(narrows.web().exchange(POST).text(), "hello", "nothing was sent: any request may go on");
    }
    assert_eq!(backend.requests().len(), 6);
}

#[test]
fn the_next_endpoint_takes_over_when_one_is_silent() {
    let (backend, silent) = (Backend::saying("hello"), Silent::new());
    let narrows =
        Setup::web(&backend, "timeouts: { connect: 300ms }").upstream("app", &[&silent, &backend]).start();
    for _ in 0..2 {
        assert_eq!(narrows.web().exchange(POST).text(), "hello");
    }
}

#[test]
fn no_endpoint_left_is_an_answer_with_a_cause() {
    let refusing = [Refusing::new(), Refusing::new()];
    let narrows = Setup::web(&refusing[0], "").upstream("app", &[&refusing[0], &refusing[1]]).start();
    let answer = narrows.get("/", &[]);
    assert!([502, 503].contains(&answer.status()), "{}", answer.start_line);
    answer.assert_proxy_error(answer.status(), "connection_refused");
    assert_eq!(narrows.web().exchange(POST).status(), answer.status());
}

#[test]
fn retries_have_a_limit() {
    let refusing = [Refusing::new(), Refusing::new()];
    let backend = Backend::saying("hello");
    let narrows = Setup::web(&backend, "")
        .upstream_with("app", &[&refusing[0], &refusing[1], &backend], "retries: 0")
        .start();
    let statuses = (0..6).map(|_| narrows.get("/", &[]).status()).collect::<Vec<_>>();
    assert!(statuses.iter().any(|status| *status != 200), "without retries a refusal is seen: {statuses:?}");
    assert!(statuses.contains(&200), "{statuses:?}");
}

#[test]
fn round_robin_follows_the_weights_smoothly() {
    let (light, heavy) = (Backend::saying("light"), Backend::saying("heavy"));
    let yaml = format!(
        "listeners:\n  web: {{ bind: \"127.0.0.1:0\", upstream: app }}\nupstreams:\n  app:\n    endpoints: [\"{light}\", \
         {{ address: \"{heavy}\", weight: 3 }}]\n"
    );
    let narrows = Narrows::start(&yaml);
    let answers = (0..40).map(|_| narrows.get("/", &[]).text()).collect::<Vec<_>>();
    assert_eq!(answers.iter().filter(|text| *text == "heavy").count(), 30);
    for window in answers.windows(4) {
        assert!(window.iter().any(|text| text == "light"), "smooth: {answers:?}");
    }
}

#[test]
fn least_request_prefers_the_endpoint_with_fewer_running_requests() {
    let (stuck, quick) =
        (Backend::script(|mut connection, _| drop(connection.read_to_end())), Backend::saying("quick"));
    let narrows =
        Setup::web(&quick, "").upstream_with("app", &[&stuck, &quick], "balance: least-request").start();
    let mut client = narrows.web();
    client.send(GET);
    until("the first request arrived", || stuck.connections() + quick.requests().len() == 1);
    if stuck.connections() == 0 {
        assert_eq!(client.response("GET").text(), "quick", "equals take turns");
        client.send(GET);
        until("the second request arrived", || stuck.connections() == 1);
    }
    for _ in 0..10 {
        assert_eq!(narrows.web().exchange(GET).text(), "quick");
    }
    assert_eq!(stuck.connections(), 1);
}

#[test]
fn names_are_resolved_and_unix_sockets_reached() {
    let folder = narrows_conformance::Folder::new();
    let socket = format!("unix:{}", folder.join("app"));
    let _backend = Backend::respond_at(&socket, |_| ok("by path"));
    let narrows = Setup::web(&socket, "").start();
    assert_eq!(narrows.get("/", &[]).text(), "by path");
    let backend = Backend::saying("by name");
    let named = backend.address().replace("127.0.0.1", "localhost");
    let narrows = Setup::web(&named, "").start();
    assert_eq!(narrows.get("/", &[]).text(), "by name");
}

#[test]
fn an_endpoint_that_comes_back_is_used_again() {
    let (address, two) = (format!("127.0.0.1:{}", free_port()), Backend::saying("two"));
    let narrows = Setup::web(&two, "").upstream("app", &[&address, &two]).start();
    for _ in 0..4 {
        assert_eq!(narrows.get("/", &[]).text(), "two");
    }
    let _one = Backend::respond_at(&address, |_| ok("one"));
    until("the endpoint is used again", || narrows.get("/", &[]).text() == "one");
}
