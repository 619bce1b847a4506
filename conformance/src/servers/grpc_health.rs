//! The health service of gRPC as its own library serves it.

use std::process::Command;

use crate::folder::Folder;
use crate::program::Program;
use crate::servers::certificates::Identity;
use crate::servers::free_port;
use crate::servers::python::python;

const SERVER: &str = r#"
import sys, time
from concurrent import futures
import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

port, states = sys.argv[1:3]
servicer = health.HealthServicer()
server = grpc.server(futures.ThreadPoolExecutor(max_workers=4), options=[("grpc.so_reuseport", 0)])
health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
if len(sys.argv) > 3:
    certificate, key = (open(path, "rb").read() for path in sys.argv[3:5])
    server.add_secure_port(f"127.0.0.1:{port}", grpc.ssl_server_credentials([(key, certificate)]))
else:
    server.add_insecure_port(f"127.0.0.1:{port}")

def take_over():
    for line in open(states).read().splitlines():
        service, _, state = line.partition("=")
        servicer.set(service, health_pb2.HealthCheckResponse.ServingStatus.Value(state))

take_over()
server.start()
print("serving", flush=True)
while server.wait_for_termination(timeout=0.05):
    take_over()
"#;

/// A running server with `grpc.health.v1.Health`.
#[derive(Debug)]
pub struct GrpcHealth {
    program: Program,
    folder: Folder,
    arguments: Vec<String>,
    /// The address that it listens on.
    pub address: String,
}

impl GrpcHealth {
    /// Starts it without TLS. `states` has a line for each service, such as `greeter.Greeter=SERVING`; no name is the whole server.
    pub fn start(states: &str) -> GrpcHealth {
        GrpcHealth::run(states, &[])
    }

    /// Starts it with TLS.
    pub fn start_tls(states: &str, identity: &Identity) -> GrpcHealth {
        GrpcHealth::run(states, &[&identity.certificate, &identity.key])
    }

    fn run(states: &str, tls: &[&str]) -> GrpcHealth {
        let folder = Folder::new();
        let port = free_port().to_string();
        let mut arguments =
            vec![folder.write("server.py", SERVER), port.clone(), folder.write("states", states)];
        arguments.extend(tls.iter().map(|file| (*file).to_owned()));
        let program = serve(&arguments);
        GrpcHealth { program, folder, arguments, address: format!("127.0.0.1:{port}") }
    }

    /// Makes these the states of the services.
    pub fn set(&self, states: &str) {
        let new = self.folder.write("states.new", states);
        std::fs::rename(new, self.folder.join("states")).expect("a file can be renamed");
    }

    /// Kills it; its port refuses connections then.
    pub fn stop(&mut self) {
        self.program.signal("KILL");
        self.program.wait_for_exit();
    }

    /// Starts it again after [`stop`](GrpcHealth::stop), at the same address.
    pub fn start_again(&mut self) {
        self.program = serve(&self.arguments);
    }

    /// Sends it a signal such as `STOP`.
    pub fn signal(&self, signal: &str) {
        self.program.signal(signal);
    }
}

fn serve(arguments: &[String]) -> Program {
    let mut program = Program::start(Command::new(python()).args(arguments));
    program.wait_for("serving", |text| text.contains("serving"));
    program
}

impl std::fmt::Display for GrpcHealth {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.address)
    }
}
