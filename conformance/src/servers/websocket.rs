//! WebSocket peers: Python's `websockets`, from PyPI, in a virtual environment that `cargo xtask test` makes.

use std::process::Command;

use crate::folder::Folder;
use crate::program::Program;
use crate::servers::certificates::Identity;
pub use crate::servers::python::python;

const ECHO: &str = r#"
import asyncio, ssl, sys, websockets

async def echo(socket):
    async for message in socket:
        await socket.send(message)

context = None
if len(sys.argv) > 1:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[1], sys.argv[2])

async def serve():
    async with websockets.serve(echo, "127.0.0.1", 0, max_size=None, ssl=context) as server:
        print("listening on", server.sockets[0].getsockname()[1], flush=True)
        await asyncio.get_running_loop().create_future()

asyncio.run(serve())
"#;

/// A WebSocket server that sends every message back.
#[derive(Debug)]
pub struct WebSocketEcho {
    _program: Program,
    _folder: Folder,
    /// The address that it listens on.
    pub address: String,
}

impl WebSocketEcho {
    /// Starts it.
    pub fn start() -> WebSocketEcho {
        WebSocketEcho::run(&[])
    }

    /// Starts it with TLS.
    pub fn start_tls(identity: &Identity) -> WebSocketEcho {
        WebSocketEcho::run(&[&identity.certificate, &identity.key])
    }

    fn run(arguments: &[&str]) -> WebSocketEcho {
        let folder = Folder::new();
        let script = folder.write("echo.py", ECHO);
        let mut program = Program::start(Command::new(python()).arg(script).args(arguments));
        program.wait_for("listening on", |text| text.contains("listening on") && text.ends_with('\n'));
        let output = program.output();
        let port = output.split_whitespace().last().expect("a port was printed");
        WebSocketEcho { _program: program, _folder: folder, address: format!("127.0.0.1:{port}") }
    }
}

impl std::fmt::Display for WebSocketEcho {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.address)
    }
}
