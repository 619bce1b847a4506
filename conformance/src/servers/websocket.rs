//! WebSocket peers: Python's `websockets`, from PyPI, in a virtual environment that `cargo xtask test` makes.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::folder::Folder;
use crate::program::Program;

const ECHO: &str = r#"
import asyncio, websockets

async def echo(socket):
    async for message in socket:
        await socket.send(message)

async def serve():
    async with websockets.serve(echo, "127.0.0.1", 0, max_size=None) as server:
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
        let folder = Folder::new();
        let script = folder.write("echo.py", ECHO);
        let mut program = Program::start(Command::new(python()).arg(script));
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

/// The Python that has `websockets`.
pub fn python() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate is in the workspace");
    let python = root.join("target/conformance-python/bin/python3");
    assert!(python.is_file(), "{} is missing: `cargo xtask test` makes it", python.display());
    python
}
