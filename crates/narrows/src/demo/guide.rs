//! What the demo prints: a line to type for each thing to see.

/// The guide for a proxy that listens on the ports `web` at layer 7, `lines` at layer 4 and `secure` over TLS.
pub(super) fn text([web, lines, secure]: [u16; 3], offset: u16) -> String {
    let curl = |host: &str, rest: &str| format!("curl -H 'Host: {host}' http://127.0.0.1:{web}{rest}");
    let offset = if offset == 0 { String::new() } else { format!(" --port-offset {offset}") };
    let rows = [
        ("a name and a path decide: api.example.com/v1/", curl("api.example.com", "/v1/users")),
        ("the same name, another path, a response header added", curl("api.example.com", "/v2/users -i")),
        ("two endpoints, the second gets two of three; ask again", curl("www.example.com", "/")),
        ("a redirect with a captured name", curl("www.example.com", "/old/news -i")),
        ("an answer of the proxy's own", curl("www.example.com", "/health")),
        ("how the endpoints are: health checks, requests, failures", curl("www.example.com", "/upstreams")),
        ("a stream, sent on as it comes", curl("video.example.com", "/film -N")),
        (
            "a condition on a header: the same for testers",
            curl("video.example.com", "/film -N -H 'x-beta: 1'"),
        ),
        ("nothing is configured for that name: Proxy-Status says why", curl("nobody.example.com", "/ -i")),
        ("layer 4: type a line, it comes back; `quit` ends", format!("curl telnet://127.0.0.1:{lines}")),
        (
            "HTTPS and HTTP/2, with a certificate that nobody but itself has signed",
            format!("curl -k https://127.0.0.1:{secure}/ -i"),
        ),
        (
            "why a request goes where it goes",
            format!(
                "narrows demo --print-config{offset} | narrows explain - GET http://video.example.com:{web}/film -H 'x-beta: 1'"
            ),
        ),
    ];
    let mut text = format!(
        "\nNarrows serves http://127.0.0.1:{web} and https://127.0.0.1:{secure} (layer 7) and tcp 127.0.0.1:{lines} (layer 4). Ctrl-C stops it.\n\n"
    );
    for (what, line) in rows {
        text.push_str(&format!("  # {what}\n  {line}\n"));
    }
    text.push('\n');
    text
}
