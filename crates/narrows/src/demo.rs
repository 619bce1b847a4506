//! `narrows demo`: small servers and the proxy in front of them, on loopback.

mod backends;
mod guide;

use crate::load::{complete, show};
use crate::serving::{Beginning, Serving};
use std::path::Path;
use std::process::ExitCode;

pub(crate) const HELP: &str =
    "The demo needs nothing but this program and writes no file. It starts small servers and the proxy
on 127.0.0.1, prints a line for each thing to try, and stops with Ctrl-C.

Examples:
  narrows demo
  narrows demo --print-config > narrows.yaml    its configuration, a tutorial to change
  narrows demo --port-offset 1000               when a port is taken";

/// The configuration that the demo runs.
const CONFIGURATION: &str = include_str!("../../../examples/demo.yaml");

/// The servers that answer HTTP, as `upstreams` in the configuration names their ports.
const HTTP_SERVERS: [(u16, &str); 6] = [
    (9101, "api-v1"),
    (9102, "api-v2"),
    (9103, "web-1"),
    (9104, "web-2"),
    (9105, "video"),
    (9106, "video-beta"),
];
/// The server that sends lines back.
const LINE_SERVER: u16 = 9107;
/// Where the proxy listens: at layer 7, at layer 4, and over TLS.
const PROXY: [u16; 3] = [8080, 9090, 8443];

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Print the configuration that the demo runs, and end
    #[arg(long)]
    print_config: bool,
    /// Add this to every port of the demo
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u16).range(..=56000))]
    port_offset: u16,
}

pub(crate) fn demo(arguments: &Arguments) -> ExitCode {
    let offset = arguments.port_offset;
    let configuration = with_offset(CONFIGURATION, offset);
    if arguments.print_config {
        return crate::print(&configuration);
    }
    match start(&configuration, offset) {
        Ok(serving) => {
            crate::print(&guide::text(PROXY.map(|port| port + offset), offset));
            serving.until_stopped()
        }
        Err(message) => {
            crate::fail(&format!("demo: {message}"));
            let other = if offset > 55000 { 0 } else { offset + 1000 };
            crate::fail(&format!("to use other ports: narrows demo --port-offset {other}"))
        }
    }
}

/// Starts the servers, then the proxy.
fn start(configuration: &str, offset: u16) -> Result<Serving, String> {
    let mut loaded = narrows_config::load_text("demo.yaml", configuration, Path::new(""));
    let ready = complete(&mut loaded);
    show(&loaded.diagnostics);
    let ready = ready.ok_or("the configuration of the demo is wrong")?;
    for (port, name) in HTTP_SERVERS {
        backends::start_http(port + offset, name).map_err(|error| error.to_string())?;
    }
    backends::start_lines(LINE_SERVER + offset).map_err(|error| error.to_string())?;
    Serving::start(ready, Beginning::default(), &mut None)
}

/// The configuration with the port of every loopback address moved.
fn with_offset(configuration: &str, offset: u16) -> String {
    const HOST: &str = "127.0.0.1:";
    let mut pieces = configuration.split(HOST);
    let mut moved = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let end = piece.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(piece.len());
        let (port, rest) = piece.split_at(end);
        moved.push_str(HOST);
        match port.parse::<u16>().ok().and_then(|port| port.checked_add(offset)) {
            Some(port) => moved.push_str(&port.to_string()),
            None => moved.push_str(port),
        }
        moved.push_str(rest);
    }
    moved
}

#[cfg(test)]
mod tests;
