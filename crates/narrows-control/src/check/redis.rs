//! Redis: `PING`, with `AUTH` before it where a password is given.

use super::dialogue::Dialogue;
use super::failure::Failure;

const NAME: &str = "Redis";

/// Asks, and wants `+PONG`. A server that loads its data or wants a password says `-` and why.
pub(super) async fn ask(dialogue: &mut Dialogue, password: &str) -> Result<(), Failure> {
    let mut commands = Vec::new();
    if !password.is_empty() {
        commands.extend_from_slice(format!("*2\r\n$4\r\nAUTH\r\n${}\r\n", password.len()).as_bytes());
        commands.extend_from_slice(password.as_bytes());
        commands.extend_from_slice(b"\r\n");
    }
    commands.extend_from_slice(b"*1\r\n$4\r\nPING\r\n");
    dialogue.send(&commands).await?;
    if !password.is_empty() {
        expect_word(dialogue, b"+OK").await?;
    }
    expect_word(dialogue, b"+PONG").await
}

async fn expect_word(dialogue: &mut Dialogue, word: &[u8]) -> Result<(), Failure> {
    let line = dialogue.until(|received, _| line(received)).await?;
    dialogue.take(line.len() + 2);
    match line.first() {
        _ if line == word => Ok(()),
        Some(b'-') => Err(Failure::said(NAME, &line[1..])),
        _ => Err(Failure::Malformed(NAME)),
    }
}

/// The first line, without its end; `None` until it is whole.
fn line(received: &[u8]) -> Result<Option<Vec<u8>>, Failure> {
    if received.first().is_some_and(|first| !matches!(first, b'+' | b'-')) {
        return Err(Failure::Malformed(NAME));
    }
    let end = received.windows(2).position(|pair| pair == b"\r\n");
    Ok(end.map(|end| received[..end].to_vec()))
}
