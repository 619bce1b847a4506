//! gRPC with a real client and a real server, and what the proxy says itself in gRPC's form.

use narrows_conformance::backend::Refusing;
use narrows_conformance::http2::Answer;
use narrows_conformance::servers::certificates::Authority;
use narrows_conformance::servers::grpc::{GrpcServer, grpc_client};
use narrows_conformance::{Backend, Frame, Http2, Narrows, Setup, until};

const FIELDS: [(&str, &str); 2] = [("content-type", "application/grpc"), ("te", "trailers")];

fn setup(server: &impl std::fmt::Display, keys: &str) -> Setup {
    Setup::web(server, keys).upstream_with("app", &[server], "protocol: http2")
}

fn client(narrows: &Narrows, program: &str) -> String {
    grpc_client(&format!("plain('{}')", narrows.address("web")), program)
}

/// What a call without any library gets.
fn call(narrows: &Narrows, path: &str, further: &[(&str, &str)]) -> Answer {
    let mut peer = Http2::connect(narrows.address("web"));
    let stream = peer.open("POST", path, &[&FIELDS, further].concat(), false);
    let _ = peer.try_send(&Frame::data(stream, b"\0\0\0\0\x02hi", true));
    peer.answer(stream)
}

/// The status of a call, in its trailers or, when it has nothing else, in its head.
fn status(answer: &Answer) -> Option<&str> {
    answer.trailer("grpc-status").or(answer.header("grpc-status"))
}

#[test]
fn every_kind_of_call_works() {
    let server = GrpcServer::start();
    let narrows = setup(&server, "").start();
    let program = "
print(unary('Echo')(b'hello'))
print(unary('Echo')(b'') == b'')
print(list(server_stream('Count')(b'5')))
print(client_stream('Total')(iter([b'a', b'bc', b'' , b'x' * 100000])))
print(list(both('Talk')(iter([b'one', b'two']))))
import queue
words = queue.Queue()
answers = both('Talk')(iter(words.get, None))
for word in [b'ping', b'pong', b'x' * 300000]:
    words.put(word)
    assert next(answers) == b'you said ' + word
words.put(None)
print(list(answers), answers.code())
";
    assert_eq!(
        client(&narrows, program),
        "b'hello'\nTrue\n[b'0', b'1', b'2', b'3', b'4']\nb'100003'\n[b'you said one', b'you said two']\n[] StatusCode.OK\n"
    );
}

#[test]
fn large_messages_and_many_calls_pass() {
    let server = GrpcServer::start();
    let narrows = setup(&server, "").workers(2).start();
    let program = "
large = bytes(range(256)) * 20000
assert unary('Echo')(large) == large
assert len(list(server_stream('Count')(b'2000'))) == 2000
calls = [unary('Echo').future(str(number).encode()) for number in range(300)]
print(all(call.result(20) == str(number).encode() for number, call in enumerate(calls)))
";
    assert_eq!(client(&narrows, program), "True\n");
}

#[test]
fn metadata_and_status_pass_both_ways() {
    let server = GrpcServer::start();
    let narrows = setup(&server, "").start();
    let program = "
answer, call = unary('Echo').with_call(b'x', metadata=[('x-asked', 'yes'), ('x-raw-bin', b'\\x00\\x01')])
print(dict(call.initial_metadata()), sorted(dict(call.trailing_metadata()).items()))
seen = unary('Metadata')(b'', metadata=[('x-asked', 'yes')]).decode()
print('x-asked: yes' in seen, 'x-forwarded-for: 127.0.0.1' in seen)
error = failure(unary('Fail'), b'')
print(error.code().name, error.details(), dict(error.trailing_metadata())['x-trailing'])
error = failure(unary('Missing'), b'')
print(error.code().name)
";
    let shown = client(&narrows, program);
    let lines = shown.lines().collect::<Vec<_>>();
    assert!(lines[0].contains("'x-trailing', 'after'") && lines[0].contains("b'\\x00\\xff'"), "{shown}");
    assert_eq!(lines[1], "True True");
    assert_eq!(lines[2], "FAILED_PRECONDITION not so: 100 % ä failed");
    assert_eq!(lines[3], "UNIMPLEMENTED");
}

#[test]
fn a_deadline_reaches_the_server() {
    let server = GrpcServer::start();
    let narrows = setup(&server, "").start();
    let program = "
left = float(unary('Remaining')(b'', timeout=15))
print(0 < left <= 15)
print(failure(unary('Wait'), b'', timeout=0.3).code().name)
";
    assert_eq!(client(&narrows, program), "True\nDEADLINE_EXCEEDED\n");
    until("the server is told", || server.output().contains("cancelled"));
}

#[test]
fn the_proxy_keeps_the_deadline_of_a_call() {
    let backend = Backend::script(|connection, _| {
        if let Some(mut peer) = Http2::accept(connection, &[]) {
            peer.end();
        }
    });
    let narrows = setup(&backend, "").start();
    for timeout in ["300m", "300000u", "1S"] {
        let started = std::time::Instant::now();
        let answer = call(&narrows, "/test.Service/Wait", &[("grpc-timeout", timeout)]);
        assert_eq!((answer.status(), status(&answer)), (200, Some("4")), "{timeout}: {answer:?}");
        assert!(started.elapsed().as_secs() < 5, "{timeout}");
    }
    let narrows = setup(&backend, "timeouts: { response_head: 300ms }").start();
    let answer = call(&narrows, "/test.Service/Wait", &[("grpc-timeout", "1H")]);
    assert_eq!(status(&answer), Some("14"), "the proxy's own deadline comes first: {answer:?}");
}

#[test]
fn a_deadline_ends_a_stream_that_has_begun() {
    let backend = Backend::script(|connection, _| {
        let Some(mut peer) = Http2::accept(connection, &[]) else { return };
        let stream = peer.next_request().expect("a call");
        peer.send(&Frame::headers(
            stream,
            &[(":status", "200"), ("content-type", "application/grpc")],
            false,
        ));
        peer.send(&Frame::data(stream, b"\0\0\0\0\x02hi", false));
        peer.end();
    });
    let narrows = setup(&backend, "").start();
    let started = std::time::Instant::now();
    let answer = call(&narrows, "/test.Service/Count", &[("grpc-timeout", "400m")]);
    assert_eq!(answer.body, b"\0\0\0\0\x02hi");
    assert!(status(&answer) == Some("4") || answer.reset.is_some(), "{answer:?}");
    assert!(started.elapsed().as_secs() < 5);
}

#[test]
fn a_deadline_that_is_none_is_ignored() {
    let server = GrpcServer::start();
    let narrows = setup(&server, "").start();
    for timeout in ["", "1", "S", "1x", "-1S", "999999999S", "1 S", "99999999H"] {
        let answer = call(&narrows, "/test.Service/Echo", &[("grpc-timeout", timeout)]);
        assert_eq!(answer.status(), 200, "{timeout:?}: {answer:?}");
        assert!(status(&answer).is_some(), "{timeout:?}: {answer:?}");
    }
}

#[test]
fn errors_of_the_proxy_have_the_form_of_grpc() {
    let nobody = Refusing::new();
    let keys = "routes:\n  - { path: /test.Service/*, upstream: app }";
    let narrows =
        Setup::new().upstream_with("app", &[&nobody], "protocol: http2").listener("web", keys).start();
    for (path, expected) in [("/test.Service/Echo", "14"), ("/other.Service/Echo", "12")] {
        let answer = call(&narrows, path, &[]);
        assert_eq!((answer.status(), status(&answer)), (200, Some(expected)), "{path}: {answer:?}");
        assert!(
            answer.header("content-type").is_some_and(|kind| kind.starts_with("application/grpc")),
            "{answer:?}"
        );
        assert!(answer.ended && answer.body.is_empty(), "{answer:?}");
    }
    let program = "
error = failure(unary('Echo'), b'')
print(error.code().name, len(error.details()) > 0)
print(failure(unary('Echo', 'test.Other'), b'').code().name)
";
    assert_eq!(client(&narrows, program), "UNAVAILABLE True\nUNIMPLEMENTED\n");
    let plain = Http2::connect(narrows.address("web")).get("/nowhere");
    assert_eq!(plain.status(), 404, "who does not speak gRPC gets HTTP");
}

#[test]
fn a_message_that_is_too_large_is_told_in_grpc() {
    let server = GrpcServer::start();
    let narrows = setup(&server, "limits: { body: 1000 }").start();
    let program = "
print(failure(unary('Echo'), b'x' * 100000).code().name)
print(unary('Echo')(b'small'))
";
    assert_eq!(client(&narrows, program), "RESOURCE_EXHAUSTED\nb'small'\n");
}

#[test]
fn a_cancelled_call_reaches_the_server() {
    let server = GrpcServer::start();
    let narrows = setup(&server, "").start();
    let program = "
call = server_stream('WaitStream')(b'')
assert next(call) == b'first'
call.cancel()
try: next(call)
except grpc.RpcError as error: print(error.code().name)
print(unary('Echo')(b'goes on'))
";
    assert_eq!(client(&narrows, program), "CANCELLED\nb'goes on'\n");
    until("the server is told", || server.output().contains("cancelled"));
}

#[test]
fn a_server_that_dies_is_unavailable() {
    let server = GrpcServer::start();
    let narrows = setup(&server, "").start();
    let program = format!(
        "
import os, signal
call = server_stream('WaitStream')(b'')
assert next(call) == b'first'
os.kill({}, signal.SIGKILL)
try: next(call)
except grpc.RpcError as error: print(error.code().name in ('UNAVAILABLE', 'INTERNAL', 'CANCELLED', 'UNKNOWN'))
print(failure(unary('Echo'), b'').code().name)
",
        server.pid()
    );
    assert_eq!(client(&narrows, &program), "True\nUNAVAILABLE\n");
}

#[test]
fn services_and_methods_are_routed() {
    let (first, second) = (GrpcServer::start(), GrpcServer::start());
    let keys = "routes:
  - { path: /test.Service/*, upstream: first }
  - { path: /test.Service/Count, respond: { status: 503 } }
  - { path: /test.Other/Echo, upstream: second, request_headers: { set: { x-by: second } } }";
    let narrows = Setup::new()
        .upstream_with("first", &[&first], "protocol: http2")
        .upstream_with("second", &[&second], "protocol: http2")
        .listener("web", keys)
        .start();
    let program = "
print(unary('Echo')(b'first'))
answer, call = unary('Echo', 'test.Other').with_call(b'second')
print(answer, dict(call.initial_metadata())['x-by'])
print(failure(server_stream('Count'), b'3').code().name)
print(failure(unary('Fail', 'test.Other'), b'').code().name)
";
    assert_eq!(client(&narrows, program), "b'first'\nb'second' second\nUNAVAILABLE\nUNIMPLEMENTED\n");
}

#[test]
fn calls_pass_through_tls_on_both_sides() {
    let (outside, inside) = (Authority::new("outside"), Authority::new("inside"));
    let server = GrpcServer::start_tls(&inside.server(&["app.internal"]));
    let keys =
        format!("protocol: http2\ntls: {{ ca: \"{}\", server_name: app.internal }}", inside.certificate);
    let narrows = Setup::https(&server, &outside.server(&["example.com"]), "")
        .upstream_with("app", &[&server], &keys)
        .start();
    let channel = format!("secure('{}', '{}', 'example.com')", narrows.address("web"), outside.certificate);
    let program = "
print(unary('Echo')(b'hello'), list(both('Talk')(iter([b'x', b'y']))))
print(failure(unary('Fail'), b'').code().name)
";
    let shown = grpc_client(&channel, program);
    assert_eq!(shown, "b'hello' [b'you said x', b'you said y']\nFAILED_PRECONDITION\n");
}

#[test]
fn a_drain_lets_a_call_finish() {
    let server = GrpcServer::start();
    let mut narrows = setup(&server, "").start();
    let program = format!(
        "
import os, queue, signal
words = queue.Queue()
answers = both('Talk')(iter(words.get, None))
words.put(b'before'); print(next(answers))
os.kill({}, signal.SIGTERM)
time.sleep(0.5)
words.put(b'after'); print(next(answers))
words.put(None); print(list(answers), answers.code().name)
",
        narrows.pid()
    );
    assert_eq!(client(&narrows, &program), "b'you said before'\nb'you said after'\n[] OK\n");
    assert_eq!(narrows.wait_for_exit().code(), Some(0));
}
