//! `narrows demo`: small servers and the proxy in front of them, on loopback.

mod backends;

use crate::run;
use std::path::Path;
use std::process::ExitCode;

pub(crate) const HELP: &str = "The demo needs nothing but this program. It starts small servers and the proxy on 127.0.0.1, prints a curl line
for each thing to try, and stops with Ctrl-C. Its configuration is the tutorial:

  narrows demo --print-config > narrows.yaml
  narrows demo --port-offset 1000               when a port is taken";

/// The configuration that the demo runs.
const CONFIGURATION: &str = include_str!("../../../examples/demo.yaml");
/// Every port in it.
const PORTS: [u16; 9] = [8080, 9090, 9101, 9102, 9103, 9104, 9105, 9106, 9107];

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
    let configuration = with_offset(CONFIGURATION, arguments.port_offset);
    if arguments.print_config {
        return crate::print(&configuration);
    }
    let loaded = narrows_config::load_text("demo.yaml", &configuration, Path::new("."));
    let Some(plan) = loaded.plan else {
        run::show(&loaded.diagnostics);
        return ExitCode::FAILURE;
    };
    let port = |port: u16| port + arguments.port_offset;
    let http = [
        (9101, "api-v1"),
        (9102, "api-v2"),
        (9103, "web-1"),
        (9104, "web-2"),
        (9105, "video"),
        (9106, "video-beta"),
    ];
    let started = http
        .into_iter()
        .try_for_each(|(number, name)| backends::start_http(port(number), name))
        .and_then(|()| backends::start_lines(port(9107)));
    if let Err(error) = started {
        eprintln!("narrows: demo: {error} (try: narrows demo --port-offset 1000)");
        return ExitCode::FAILURE;
    }
    crate::print(&guide(port(8080), port(9090)));
    run::serve(plan, None)
}

/// The configuration with every port moved.
fn with_offset(configuration: &str, offset: u16) -> String {
    PORTS.into_iter().fold(configuration.to_owned(), |text, port| {
        text.replace(&format!("127.0.0.1:{port}"), &format!("127.0.0.1:{}", port + offset))
    })
}

fn guide(web: u16, lines: u16) -> String {
    let curl = |host: &str, rest: &str| format!("curl -H 'Host: {host}' http://127.0.0.1:{web}{rest}");
    let rows = [
        ("api.example.com/v1/", curl("api.example.com", "/v1/users")),
        ("api.example.com/v2/", curl("api.example.com", "/v2/users -i")),
        ("www.example.com, two endpoints take turns", curl("www.example.com", "/")),
        ("a redirect with a captured name", curl("www.example.com", "/old/news -i")),
        ("an answer of the proxy's own", curl("www.example.com", "/health")),
        ("video.example.com, a stream in chunks", curl("video.example.com", "/film -N")),
        ("the same for testers", curl("video.example.com", "/film -N -H 'x-beta: 1'")),
        ("raw TCP: type lines, they come back", format!("curl telnet://127.0.0.1:{lines}")),
        (
            "why a request goes where it goes",
            "narrows demo --print-config > demo.yaml && narrows explain demo.yaml GET http://video.example.com/film -H 'x-beta: 1'"
                .to_owned(),
        ),
    ];
    let mut text = format!(
        "Narrows demo: http://127.0.0.1:{web} (layer 7) and tcp 127.0.0.1:{lines} (layer 4). Ctrl-C stops it.\n\n"
    );
    for (what, line) in rows {
        text.push_str(&format!("  # {what}\n  {line}\n"));
    }
    text.push('\n');
    text
}

#[cfg(test)]
mod tests;
