//! gRPC peers: Python's `grpcio`, with generic handlers, so that messages are bytes and nothing is generated.

use std::process::Command;

use crate::folder::Folder;
use crate::program::Program;
use crate::servers::certificates::Identity;
use crate::servers::python::{python, python_prints};

const SERVER: &str = r#"
import sys, threading, time
from concurrent import futures
import grpc

def say(*words):
    print(*words, flush=True)

def echo(request, context):
    told = [(name, value) for name, value in context.invocation_metadata() if name.startswith("x-")]
    context.send_initial_metadata(told)
    context.set_trailing_metadata((("x-trailing", "after"), ("x-bytes-bin", b"\x00\xff")))
    return request

def fail(request, context):
    context.set_trailing_metadata((("x-trailing", "failed"),))
    context.abort(grpc.StatusCode.FAILED_PRECONDITION, "not so: 100 % ä")

def count(request, context):
    for number in range(int(request)):
        yield str(number).encode()

def total(requests, context):
    return str(sum(len(request) for request in requests)).encode()

def talk(requests, context):
    for request in requests:
        yield b"you said " + request

def remaining(request, context):
    return str(context.time_remaining()).encode()

def wait(request, context):
    ended = threading.Event()
    context.add_callback(ended.set)
    say("waiting")
    ended.wait(60)
    say("cancelled" if not context.is_active() else "still active")
    return b""

def wait_stream(request, context):
    context.add_callback(lambda: say("cancelled"))
    yield b"first"
    threading.Event().wait(60)

def peer(request, context):
    return "\n".join(f"{name}: {value}" for name, value in context.invocation_metadata()).encode()

def methods(name):
    unary, stream = grpc.unary_unary_rpc_method_handler, grpc.unary_stream_rpc_method_handler
    return grpc.method_handlers_generic_handler(name, {
        "Echo": unary(echo), "Fail": unary(fail), "Remaining": unary(remaining), "Wait": unary(wait),
        "Metadata": unary(peer), "Count": stream(count), "WaitStream": stream(wait_stream),
        "Total": grpc.stream_unary_rpc_method_handler(total),
        "Talk": grpc.stream_stream_rpc_method_handler(talk),
    })

options = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
server = grpc.server(futures.ThreadPoolExecutor(max_workers=32), options=options)
server.add_generic_rpc_handlers((methods("test.Service"), methods("test.Other")))
if len(sys.argv) > 1:
    certificate, key = (open(path, "rb").read() for path in sys.argv[1:3])
    port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([(key, certificate)]))
else:
    port = server.add_insecure_port("127.0.0.1:0")
server.start()
say("listening on", port)
server.wait_for_termination()
"#;

const CLIENT: &str = r#"
import grpc, sys, threading, time
OPTIONS = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1), ("grpc.enable_retries", 0),
           ("grpc.use_local_subchannel_pool", 1), ("grpc.enable_http_proxy", 0)]

def plain(address):
    return grpc.insecure_channel(address, options=OPTIONS)

def secure(address, authority, name):
    credentials = grpc.ssl_channel_credentials(open(authority, "rb").read())
    return grpc.secure_channel(address, credentials, options=OPTIONS + [("grpc.ssl_target_name_override", name)])

def unary(name, service="test.Service"): return channel.unary_unary(f"/{service}/{name}")
def server_stream(name): return channel.unary_stream(f"/test.Service/{name}")
def client_stream(name): return channel.stream_unary(f"/test.Service/{name}")
def both(name): return channel.stream_stream(f"/test.Service/{name}")

def failure(call, *arguments, **named):
    try:
        result = call(*arguments, timeout=named.pop("timeout", 20), **named)
        if not isinstance(result, bytes): result = list(result)
    except grpc.RpcError as error:
        return error
    raise SystemExit(f"no failure but {result!r}")
"#;

/// A gRPC server with the services `test.Service` and `test.Other`, whose methods are alike:
/// `Echo`, `Fail`, `Remaining`, `Wait`, `Metadata`, `Count`, `WaitStream`, `Total`, `Talk`.
#[derive(Debug)]
pub struct GrpcServer {
    program: Program,
    _folder: Folder,
    /// The address that it listens on.
    pub address: String,
}

impl GrpcServer {
    /// Starts it without TLS.
    pub fn start() -> GrpcServer {
        GrpcServer::run(&[])
    }

    /// Starts it with TLS.
    pub fn start_tls(identity: &Identity) -> GrpcServer {
        GrpcServer::run(&[&identity.certificate, &identity.key])
    }

    /// What it printed: `waiting` when `Wait` began, `cancelled` when the client gave it up.
    pub fn output(&self) -> String {
        self.program.output()
    }

    /// Its process number.
    pub fn pid(&self) -> u32 {
        self.program.pid()
    }

    fn run(arguments: &[&str]) -> GrpcServer {
        let folder = Folder::new();
        let script = folder.write("server.py", SERVER);
        let mut program = Program::start(Command::new(python()).arg(script).args(arguments));
        program.wait_for("listening on", |text| text.contains("listening on") && text.ends_with('\n'));
        let output = program.output();
        let port = output.split_whitespace().last().expect("a port was printed");
        GrpcServer { program, _folder: folder, address: format!("127.0.0.1:{port}") }
    }
}

impl std::fmt::Display for GrpcServer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.address)
    }
}

/// What a client program prints. `channel` is an expression, `plain("ADDRESS")` or `secure(...)`; the program has
/// it as `channel`, and the functions `unary`, `server_stream`, `client_stream`, `both` and `failure`.
#[track_caller]
pub fn grpc_client(channel: &str, program: &str) -> String {
    python_prints(&format!("{CLIENT}\nchannel = {channel}\n{program}"))
}
