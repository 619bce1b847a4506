//! QUIC peers: aioquic, from PyPI, in the virtual environment that `cargo xtask test` makes.

use std::process::Command;

use crate::folder::Folder;
use crate::program::{Program, output_of};
use crate::servers::certificates;
use crate::servers::websocket::python;

/// Answers each stream with its name, the number of the connection and what it heard.
const SERVER: &str = r#"
import asyncio, itertools, sys
from aioquic.asyncio import QuicConnectionProtocol, serve
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.events import StreamDataReceived

name, certificate, key = sys.argv[1:]
numbers = itertools.count()

class Answering(QuicConnectionProtocol):
    def __init__(self, *arguments, **named):
        super().__init__(*arguments, **named)
        self.number = next(numbers)

    def quic_event_received(self, event):
        if isinstance(event, StreamDataReceived):
            answer = f"{name} {self.number} ".encode() + event.data
            self._quic.send_stream_data(event.stream_id, answer, end_stream=event.end_stream)
            self.transmit()

async def main():
    configuration = QuicConfiguration(is_client=False, alpn_protocols=["h3", "other"])
    configuration.load_cert_chain(certificate, key)
    from aioquic.quic.packet import QuicProtocolVersion
    configuration.supported_versions = [QuicProtocolVersion.VERSION_1, QuicProtocolVersion.VERSION_2]
    server = await serve("127.0.0.1", 0, configuration=configuration, create_protocol=Answering)
    print("listening on", server._transport.get_extra_info("sockname")[1], flush=True)
    await asyncio.get_running_loop().create_future()

asyncio.run(main())
"#;

/// Connects, asks, and between questions moves to another address after the steps of the command line.
const CLIENT: &str = r#"
import asyncio, socket, ssl, sys
from dataclasses import replace
from aioquic.asyncio import QuicConnectionProtocol, connect
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnection
from aioquic.quic.packet import QuicProtocolVersion

port, name, alpn, version, extra = int(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4], int(sys.argv[5])
steps = sys.argv[6:]

if extra:
    # A long extension, as post-quantum key shares are: the hello takes several datagrams.
    plain = QuicConnection._initialize
    def with_extra(self, peer):
        plain(self, peer)
        self.tls.handshake_extensions.append((0xfe77, bytes(extra)))
    QuicConnection._initialize = with_extra

class Onward(asyncio.DatagramProtocol):
    def __init__(self, inner):
        self.inner = inner
    def datagram_received(self, data, address):
        self.inner.datagram_received(data, address)

async def ask(client, text):
    reader, writer = await client.create_stream()
    writer.write(text.encode())
    writer.write_eof()
    return (await asyncio.wait_for(reader.read(), 10)).decode()

async def move(client, address):
    client._transport.close()
    # aioquic itself speaks IPv4 through a socket of IPv6.
    moved = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    moved.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    moved.bind(("::ffff:" + address, 0, 0, 0))
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(lambda: Onward(client), sock=moved)
    client._transport = transport

def second(client, configuration, name, port):
    # Another connection through the same socket; each ignores what is for the other.
    other = QuicConnectionProtocol(QuicConnection(configuration=replace(configuration, server_name=name)))
    other.connection_made(client._transport)
    own = client.datagram_received
    def both(data, address):
        own(data, address)
        other.datagram_received(data, address)
    client.datagram_received = both
    other.connect(("::ffff:127.0.0.1", port, 0, 0))
    return other

async def main():
    versions = {"1": QuicProtocolVersion.VERSION_1, "2": QuicProtocolVersion.VERSION_2}
    configuration = QuicConfiguration(is_client=True, alpn_protocols=[alpn], server_name=name)
    configuration.verify_mode = ssl.CERT_NONE
    configuration.supported_versions = [versions[version]]
    configuration.original_version = versions[version]
    async with connect("127.0.0.1", port, configuration=configuration) as client:
        for number, step in enumerate(["ask", *steps]):
            if step == "rename":
                client.change_connection_id()
            elif step.startswith("move:"):
                await move(client, step.removeprefix("move:"))
            elif step.startswith("second:"):
                other = second(client, configuration, step.removeprefix("second:"), port)
                await asyncio.wait_for(other.wait_connected(), 10)
                for turn in range(3):
                    print(await ask(other, f"second#{turn}"), await ask(client, f"first#{turn}"), flush=True)
                continue
            print(await ask(client, f"{step}#{number}"), flush=True)

asyncio.run(main())
"#;

/// A running QUIC server.
#[derive(Debug)]
pub struct QuicServer {
    _program: Program,
    _folder: Folder,
    /// The address that it listens on.
    pub address: String,
}

impl QuicServer {
    /// Starts it; it answers with this name.
    pub fn start(name: &str) -> QuicServer {
        let folder = Folder::new();
        let (certificate, key) = certificates::self_signed(&folder, name);
        let script = folder.write("server.py", SERVER);
        let mut program = Program::start(Command::new(python()).args([&script, name, &certificate, &key]));
        program.wait_for("listening on", |text| text.contains("listening on") && text.ends_with('\n'));
        let output = program.output();
        let port = output.split_whitespace().last().expect("a port was printed");
        QuicServer { _program: program, _folder: folder, address: format!("127.0.0.1:{port}") }
    }
}

impl std::fmt::Display for QuicServer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.address)
    }
}

/// A QUIC client that asks once and again after each step.
#[derive(Debug, Clone, Copy)]
pub struct QuicClient<'a> {
    /// Server name.
    pub name: &'a str,
    /// Application protocol.
    pub alpn: &'a str,
    /// 1 or 2.
    pub version: u32,
    /// Bytes that make the client hello longer.
    pub extra: usize,
}

impl<'a> QuicClient<'a> {
    /// Version 1, `h3`.
    pub fn new(name: &'a str) -> QuicClient<'a> {
        QuicClient { name, alpn: "h3", version: 1, extra: 0 }
    }

    /// Connects and returns the answers, one for the beginning and one for each step: `stay`, `rename` (another connection id of the server),
    /// `move:ADDRESS` (another socket). `second:NAME` makes a second connection through the same socket and gives three lines, in which each has
    /// answered.
    #[track_caller]
    pub fn run(&self, port: u16, steps: &[&str]) -> Vec<String> {
        let folder = Folder::new();
        let script = folder.write("client.py", CLIENT);
        let QuicClient { name, alpn, version, extra } = *self;
        let (port, version, extra) = (port.to_string(), version.to_string(), extra.to_string());
        let mut command = Command::new(python());
        command.args([script.as_str(), &port, name, alpn, &version, &extra]);
        output_of(command.args(steps)).lines().map(str::to_owned).collect()
    }
}
