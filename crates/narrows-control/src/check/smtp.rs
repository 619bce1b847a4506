//! SMTP (RFC 5321): the greeting and `EHLO` get 2xx.

use super::dialogue::Dialogue;
use super::failure::Failure;

const NAME: &str = "SMTP";

/// Waits for the greeting, introduces itself and leaves.
pub(super) async fn ask(dialogue: &mut Dialogue, hello: &str) -> Result<(), Failure> {
    expect_success(dialogue).await?;
    dialogue.send(format!("EHLO {hello}\r\n").as_bytes()).await?;
    expect_success(dialogue).await?;
    dialogue.leave_with("QUIT\r\n");
    Ok(())
}

async fn expect_success(dialogue: &mut Dialogue) -> Result<(), Failure> {
    let reply = dialogue.until(|received, _| reply(received)).await?;
    dialogue.take(reply.length);
    match reply.last_line.first() {
        Some(b'2') => Ok(()),
        _ => Err(Failure::said(NAME, &reply.last_line)),
    }
}

/// A reply of one or more lines.
#[derive(Debug, PartialEq, Eq)]
struct Reply {
    last_line: Vec<u8>,
    length: usize,
}

/// The first reply; `None` until its last line, the one without a hyphen behind the code, is whole.
fn reply(received: &[u8]) -> Result<Option<Reply>, Failure> {
    let mut length = 0;
    loop {
        let rest = &received[length..];
        let is_code = rest.iter().take(3).all(u8::is_ascii_digit);
        let is_separated = rest.get(3).is_none_or(|byte| matches!(byte, b' ' | b'-' | b'\r' | b'\n'));
        if !is_code || !is_separated {
            return Err(Failure::Malformed(NAME));
        }
        let Some(end) = rest.iter().position(|byte| *byte == b'\n') else { return Ok(None) };
        length += end + 1;
        match rest.get(3) {
            Some(b'-') => {}
            Some(_) if end >= 3 => {
                return Ok(Some(Reply { last_line: rest[..end].trim_ascii_end().to_vec(), length }));
            }
            _ => return Err(Failure::Malformed(NAME)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_are_understood_however_they_are_cut() {
        let table = [
            ("220 mail ESMTP\r\n", Ok("220 mail ESMTP")),
            ("250-mail\r\n250-SIZE 1\r\n250 HELP\r\n", Ok("250 HELP")),
            ("250\r\n", Ok("250")),
            ("554-no\r\n554 never\r\n", Ok("554 never")),
            ("220", Err("")),
            ("hello\r\n", Err("not an answer of SMTP")),
            ("22\r\n", Err("not an answer of SMTP")),
            ("220x\r\n", Err("not an answer of SMTP")),
        ];
        for (text, expected) in table {
            let seen = (0..=text.len()).find_map(|end| reply(&text.as_bytes()[..end]).transpose());
            let seen = match seen {
                None => Err(String::new()),
                Some(Ok(reply)) => {
                    assert_eq!(reply.length, text.len());
                    Ok(String::from_utf8(reply.last_line).unwrap())
                }
                Some(Err(failure)) => Err(failure.to_string()),
            };
            assert_eq!(seen.as_deref().map_err(String::as_str), expected, "{text:?}");
        }
    }
}
