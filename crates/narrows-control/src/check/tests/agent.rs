//! The line of an agent.

use super::harness::*;
use crate::check::{Failure, agent_line};
use narrows_plan::AgentCheck;
use std::io::Write;

fn line_of(server: &Server, send: &str) -> String {
    let agent = AgentCheck {
        port: server.address.port(),
        address: None,
        send: send.into(),
        interval: LONG,
        timeout: LONG,
    };
    let subject = subject(server.address);
    let result = run(|deadlines| async move { agent_line(&subject, &agent, &deadlines.watch()).await });
    result.unwrap_or_else(|failure: Failure| format!("failed: {failure}"))
}

#[test]
fn an_agent_says_a_line_when_it_is_asked_or_by_itself() {
    let server = Server::dialogue(&[(b"app\n", b"up 50%\nmore")]);
    assert_eq!(line_of(&server, "app\n"), "up 50%");
    server.done();
    let server = Server::dialogue(&[(b"", b"drain")]);
    assert_eq!(line_of(&server, ""), "drain");
    server.done();
    let server = Server::playing(|_| {});
    assert_eq!(line_of(&server, ""), "failed: the connection ended before the answer");
    server.done();
    let server = Server::playing(|stream| while stream.write_all(&[b'x'; 1000]).is_ok() {});
    assert_eq!(line_of(&server, ""), "failed: the answer is too long");
    server.done();
}
