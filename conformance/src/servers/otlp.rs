//! An OpenTelemetry collector: grpcio and opentelemetry-proto from PyPI, which read what the proxy sends with the classes that everybody's tools use.

use crate::deadline::until;
use crate::folder::Folder;
use crate::program::Program;
use crate::servers::certificates::Identity;
use crate::servers::free_port;
use crate::servers::python::python;
use serde_json::Value;
use std::process::Command;

const COLLECTOR: &str = r#"
import base64, http.server, json, ssl, sys, threading
from concurrent import futures
import grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as traces
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2 as logs

how, port, answers = sys.argv[1], int(sys.argv[2]), sys.argv[3].split(",")
identity = sys.argv[4:6]
lock = threading.Lock()

def value(any):
    kind = any.WhichOneof("value")
    if kind is None:
        return None
    if kind == "kvlist_value":
        return table(any.kvlist_value.values)
    if kind == "array_value":
        return [value(one) for one in any.array_value.values]
    return getattr(any, kind)

def table(pairs):
    return {pair.key: value(pair.value) for pair in pairs}

def tell(what, **members):
    with lock:
        print(json.dumps(dict(what=what, **members)), flush=True)

def take(request, headers):
    headers = {name.lower(): text for name, text in headers if isinstance(text, str)}
    for one in getattr(request, "resource_spans", []):
        for scope in one.scope_spans:
            for span in scope.spans:
                tell("span", trace=span.trace_id.hex(), id=span.span_id.hex(), parent=span.parent_span_id.hex(),
                     name=span.name, kind=span.kind, flags=span.flags, state=span.trace_state,
                     began=span.start_time_unix_nano, ended=span.end_time_unix_nano,
                     attributes=table(span.attributes), status=span.status.code, message=span.status.message,
                     resource=table(one.resource.attributes), headers=headers)
    for one in getattr(request, "resource_logs", []):
        for scope in one.scope_logs:
            for record in scope.log_records:
                tell("log", trace=record.trace_id.hex(), span=record.span_id.hex(), body=value(record.body),
                     severity=record.severity_text, attributes=table(record.attributes),
                     resource=table(one.resource.attributes), headers=headers)

def next_answer():
    with lock:
        return answers.pop(0) if len(answers) > 1 else answers[0]

def over_grpc():
    def method(kind, answer):
        def call(request, context):
            wanted = next_answer()
            tell("request", answer=wanted)
            if wanted != "ok":
                context.abort(getattr(grpc.StatusCode, wanted), "as it was told")
            take(request, context.invocation_metadata())
            return answer()
        return grpc.unary_unary_rpc_method_handler(
            call, request_deserializer=kind.FromString, response_serializer=lambda one: one.SerializeToString())
    server = grpc.server(futures.ThreadPoolExecutor(4))
    server.add_generic_rpc_handlers((
        grpc.method_handlers_generic_handler("opentelemetry.proto.collector.trace.v1.TraceService",
            {"Export": method(traces.ExportTraceServiceRequest, traces.ExportTraceServiceResponse)}),
        grpc.method_handlers_generic_handler("opentelemetry.proto.collector.logs.v1.LogsService",
            {"Export": method(logs.ExportLogsServiceRequest, logs.ExportLogsServiceResponse)}),
    ))
    address = f"127.0.0.1:{port}"
    if identity:
        certificate, key = (open(path, "rb").read() for path in identity)
        bound = server.add_secure_port(address, grpc.ssl_server_credentials([(key, certificate)]))
    else:
        bound = server.add_insecure_port(address)
    assert bound == port
    server.start()
    print("collecting", flush=True)
    server.wait_for_termination()

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        kinds = {"/v1/traces": (traces.ExportTraceServiceRequest, traces.ExportTraceServiceResponse),
                 "/v1/logs": (logs.ExportLogsServiceRequest, logs.ExportLogsServiceResponse)}
        kind, answer = kinds[self.path]
        assert self.headers["content-type"] == "application/x-protobuf"
        wanted = next_answer()
        tell("request", answer=wanted)
        sent = b""
        if wanted == "ok":
            take(kind.FromString(body), self.headers.items())
            sent = answer().SerializeToString()
        self.send_response(200 if wanted == "ok" else int(wanted))
        self.send_header("content-type", "application/x-protobuf")
        self.send_header("content-length", str(len(sent)))
        self.end_headers()
        self.wfile.write(sent)

    def log_message(self, *_):
        pass

def over_http():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
    if identity:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*identity)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    print("collecting", flush=True)
    server.serve_forever()

{"grpc": over_grpc, "http": over_http}[how]()
"#;

/// A collector that keeps what it is sent.
#[derive(Debug)]
pub struct Collector {
    program: Option<Program>,
    folder: Folder,
    how: &'static str,
    /// Where it listens.
    pub port: u16,
    identity: Vec<String>,
}

impl Collector {
    /// Starts one that is spoken to with `grpc` or `http`.
    #[track_caller]
    pub fn start(how: &'static str) -> Collector {
        Collector::answering(how, "ok")
    }

    /// Starts one that gives these answers one after the other, and the last of them from then on: `ok`, a gRPC status or one of HTTP.
    #[track_caller]
    pub fn answering(how: &'static str, answers: &str) -> Collector {
        let mut collector = Collector::absent(how);
        collector.run(answers);
        collector
    }

    /// Starts one with TLS.
    #[track_caller]
    pub fn start_tls(how: &'static str, identity: &Identity) -> Collector {
        let mut collector = Collector::absent(how);
        collector.identity = vec![identity.certificate.clone(), identity.key.clone()];
        collector.run("ok");
        collector
    }

    /// One that is not there yet: nobody listens at its port.
    pub fn absent(how: &'static str) -> Collector {
        Collector { program: None, folder: Folder::new(), how, port: free_port(), identity: Vec::new() }
    }

    /// It comes, or comes back.
    #[track_caller]
    pub fn run(&mut self, answers: &str) {
        self.program = None;
        let script = self.folder.write("collector.py", COLLECTOR);
        let port = self.port.to_string();
        let mut command = Command::new(python());
        command.arg(script).args([self.how, &port, answers]).args(&self.identity);
        let mut program = Program::start(&mut command);
        program.wait_for("collecting", |text| text.contains("collecting\n"));
        self.program = Some(program);
    }

    /// It goes away, with what it has kept.
    pub fn stop(&mut self) {
        self.program = None;
    }

    /// The key `telemetry` of a configuration that sends to it.
    pub fn telemetry(&self, further: &str) -> String {
        let scheme = if self.identity.is_empty() { "http" } else { "https" };
        let Collector { port, how, .. } = self;
        format!(
            "telemetry: {{ otlp: {{ endpoint: \"{scheme}://localhost:{port}\", protocol: {how}{further} }} }}\n"
        )
    }

    fn told(&self, what: &str) -> Vec<Value> {
        let output = self.program.as_ref().map(Program::output).unwrap_or_default();
        let whole = output.rsplit_once('\n').map_or("", |(whole, _)| whole);
        let told = whole.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        told.filter(|told| told["what"] == what).collect()
    }

    /// The spans that it has.
    pub fn spans(&self) -> Vec<Value> {
        self.told("span")
    }

    /// The log records that it has.
    pub fn logs(&self) -> Vec<Value> {
        self.told("log")
    }

    /// How many requests it was sent.
    pub fn requests(&self) -> usize {
        self.told("request").len()
    }

    /// Waits until it has so many spans.
    #[track_caller]
    pub fn wait_for_spans(&self, count: usize) -> Vec<Value> {
        until("the spans are there", || self.spans().len() >= count);
        self.spans()
    }

    /// What it printed, for messages.
    pub fn output(&self) -> String {
        self.program.as_ref().map(Program::output).unwrap_or_default()
    }
}
