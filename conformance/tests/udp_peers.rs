//! Real clients and servers that speak UDP: DNS, SIP, iperf3.

use std::process::Command;

use narrows_conformance::program::Program;
use narrows_conformance::servers::free_port;
use narrows_conformance::servers::knot::{Knot, dig};
use narrows_conformance::{Folder, Narrows, Setup, output_of, tool, until};

fn dns(knot: &Knot) -> Narrows {
    let keys = "sessions: { answers: 1 }\ntimeouts: { idle: 5s }";
    Setup::udp(knot, keys).settings("access_log: stdout\nlog_format: json").workers(2).start()
}

#[test]
fn dig_gets_answers_small_and_large() {
    let knot = Knot::start();
    let narrows = dns(&knot);
    let port = narrows.port("udp");
    assert_eq!(dig(port, &["+short", "www.example.com"]).trim(), "192.0.2.80");
    assert!(dig(port, &["nowhere.example.com"]).contains("status: NXDOMAIN"));
    let large = dig(port, &["+bufsize=4096", "+ignore", "large.example.com", "TXT"]);
    assert!(large.contains(&"x".repeat(250)) && !large.contains("Truncated"), "{large}");
    let size = large.lines().find_map(|line| line.split_once("MSG SIZE  rcvd: ")).map(|(_, size)| size);
    assert!(size.and_then(|size| size.parse::<u32>().ok()) > Some(2500), "one datagram: {large}");
}

#[test]
fn dnsperf_loses_no_answer() {
    let knot = Knot::start();
    let narrows = dns(&knot);
    let folder = Folder::new();
    let questions = folder.write("questions", "www.example.com A\nns.example.com A\nnowhere.example.com A\n");
    let mut command = Command::new(tool("dnsperf"));
    command.args(["-s", "127.0.0.1", "-p", &narrows.port("udp").to_string(), "-d", &questions]);
    // Twenty sockets with fifty questions in flight: with two hundred knotd itself loses some, without a proxy.
    let report = output_of(command.args(["-c", "20", "-q", "50", "-n", "10000", "-l", "30"]));
    let number = |name: &str| {
        let line = report.lines().find(|line| line.contains(name)).unwrap_or_else(|| panic!("{report}"));
        line.split_whitespace().find_map(|word| word.parse::<u64>().ok()).unwrap_or_else(|| panic!("{line}"))
    };
    assert_eq!((number("Queries completed"), number("Queries lost")), (30_000, 0), "{report}");
    // Every session has ended with its answers, none by its timeout.
    until("all sessions are recorded", || {
        let output = narrows.output();
        let datagrams =
            output.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
        datagrams.filter_map(|record| record["datagrams_sent"].as_u64()).sum::<u64>() == 30_000
    });
    assert!(!narrows.output().contains("fault"), "no session failed");
}

#[test]
fn sipp_makes_calls() {
    let port = free_port();
    let folder = Folder::new();
    let mut server = Command::new(tool("sipp"));
    server.args(["-sn", "uas", "-i", "127.0.0.1", "-p", &port.to_string(), "-nostdin", "-rtcheck", "loose"]);
    let _server = Program::start(server.current_dir(folder.path()));
    until("sipp listens", || std::net::UdpSocket::bind(("127.0.0.1", port)).is_err());
    let narrows = Setup::udp(&format!("127.0.0.1:{port}"), "").start();
    let mut client = Command::new(tool("sipp"));
    client.args([
        "-sn",
        "uac",
        "-i",
        "127.0.0.1",
        "-m",
        "100",
        "-r",
        "100",
        "-d",
        "20",
        "-nostdin",
        "-timeout",
        "40",
    ]);
    client.args(["-timeout_error", "-trace_err"]).arg(narrows.address("udp")).current_dir(folder.path());
    let report = output_of(&mut client);
    let successful = report.lines().rev().find(|line| line.contains("Successful call")).unwrap_or_default();
    assert!(successful.trim_end().ends_with("100"), "{successful}");
}

#[test]
fn iperf3_streams_both_ways_without_loss() {
    let (port, own) = (free_port(), free_port());
    let mut server = Command::new(tool("iperf3"));
    let mut server =
        Program::start(server.args(["-s", "-B", "127.0.0.1", "-p", &port.to_string(), "--forceflush"]));
    server.wait_for("Server listening", |text| text.contains("Server listening"));
    // Its control connection is TCP on the same port.
    let bind = format!("bind: \"127.0.0.1:{own}\"");
    let narrows = Setup::udp(&format!("127.0.0.1:{port}"), &bind)
        .listener("control", &format!("{bind}\nprotocol: tcp\nupstream: app"))
        .start();
    for direction in [&["-l", "1200"][..], &["-l", "1200", "-R"], &["-l", "16384"]] {
        let mut client = Command::new(tool("iperf3"));
        client.args([
            "-c",
            "127.0.0.1",
            "-p",
            &narrows.port("udp").to_string(),
            "-u",
            "-b",
            "80M",
            "-t",
            "1",
        ]);
        // Its own buffers are large, so that what it loses itself on a busy machine is not taken for a loss on the way.
        client.args(["-w", "2M", "-J"]);
        let report: serde_json::Value = serde_json::from_str(&output_of(client.args(direction))).unwrap();
        let sum = &report["end"]["sum"];
        assert!(sum["packets"].as_u64() > Some(300), "{sum}");
        assert_eq!(
            (&sum["lost_packets"], &sum["out_of_order"]),
            (&0.into(), &serde_json::Value::Null),
            "{sum}"
        );
    }
}
