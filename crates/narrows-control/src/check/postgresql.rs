//! PostgreSQL (protocol 3.0): a startup message, and the server's first word to it.

use super::dialogue::Dialogue;
use super::failure::Failure;

const NAME: &str = "PostgreSQL";
/// Asks the server to end the session.
const TERMINATE: [u8; 5] = [b'X', 0, 0, 0, 4];

/// Begins a session. A server that lets in, asks for a password or refuses this user or database is well.
pub(super) async fn ask(dialogue: &mut Dialogue, user: &str, database: &str) -> Result<(), Failure> {
    dialogue.send(&startup(user, database)).await?;
    match dialogue.until(|received, _| answer(received)).await? {
        Answer::Open => dialogue.leave_with(TERMINATE),
        // What is no password is noted as a failure; the end of the connection is not.
        Answer::WantsPassword => dialogue.leave_quietly(),
        Answer::RefusesLogin => dialogue.leave_with(""),
    }
    Ok(())
}

/// What a server that is well says.
#[derive(Debug, PartialEq, Eq)]
enum Answer {
    Open,
    WantsPassword,
    RefusesLogin,
}

fn startup(user: &str, database: &str) -> Vec<u8> {
    let mut parameters = vec![0, 3, 0, 0];
    let database = if database.is_empty() { user } else { database };
    for text in ["user", user, "database", database, "application_name", "narrows-health-check"] {
        parameters.extend_from_slice(text.as_bytes());
        parameters.push(0);
    }
    parameters.push(0);
    let length = u32::try_from(parameters.len() + 4).unwrap_or(u32::MAX);
    [&length.to_be_bytes()[..], &parameters].concat()
}

/// The first message of the server; `None` until it is whole.
fn answer(received: &[u8]) -> Result<Option<Answer>, Failure> {
    let Some((&kind, rest)) = received.split_first() else { return Ok(None) };
    if !matches!(kind, b'R' | b'E') {
        return Err(Failure::Malformed(NAME));
    }
    let Some((length, rest)) = rest.split_first_chunk::<4>() else { return Ok(None) };
    let Some(length) = (u32::from_be_bytes(*length) as usize).checked_sub(4) else {
        return Err(Failure::Malformed(NAME));
    };
    let Some(body) = rest.get(..length) else { return Ok(None) };
    if kind == b'R' {
        let is_open = body.get(..4).ok_or(Failure::Malformed(NAME))? == [0; 4];
        return Ok(Some(if is_open { Answer::Open } else { Answer::WantsPassword }));
    }
    let (mut code, mut message) = (&b""[..], &b""[..]);
    for field in body.split(|byte| *byte == 0) {
        match field.split_first() {
            Some((b'C', text)) => code = text,
            Some((b'M', text)) => message = text,
            _ => {}
        }
    }
    // Invalid authorisation, no such database, no right to connect to it.
    if code.starts_with(b"28") || matches!(code, b"3D000" | b"42501") {
        return Ok(Some(Answer::RefusesLogin));
    }
    Err(Failure::said(NAME, &[code, message].join(&b' ')))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(code: &str) -> Vec<u8> {
        let body = format!("SFATAL\0C{code}\0Mno\tway\0\0");
        [&b"E"[..], &(body.len() as u32 + 4).to_be_bytes(), body.as_bytes()].concat()
    }

    #[test]
    fn the_startup_message_is_that_of_the_protocol() {
        let message = startup("a", "");
        assert_eq!(message[..4], (message.len() as u32).to_be_bytes());
        assert!(message[4..].starts_with(b"\0\x03\0\0user\0a\0database\0a\0") && message.ends_with(b"\0\0"));
    }

    #[test]
    fn first_words_are_understood_however_they_are_cut() {
        let table = [
            (b"R\0\0\0\x08\0\0\0\0S\0".to_vec(), Ok(Answer::Open)),
            (b"R\0\0\0\x0c\0\0\0\x05salt".to_vec(), Ok(Answer::WantsPassword)),
            (error("28P01"), Ok(Answer::RefusesLogin)),
            (error("3D000"), Ok(Answer::RefusesLogin)),
            (error("57P03"), Err("PostgreSQL: 57P03 no way")),
            (error("53300"), Err("PostgreSQL: 53300 no way")),
            (b"HTTP/1.1 400 Bad Request".to_vec(), Err("not an answer of PostgreSQL")),
            (b"R\0\0\0\x03".to_vec(), Err("not an answer of PostgreSQL")),
            (b"R\0\0\0\x05\0".to_vec(), Err("not an answer of PostgreSQL")),
        ];
        for (bytes, expected) in table {
            let seen = (0..=bytes.len()).find_map(|end| answer(&bytes[..end]).transpose());
            let seen = seen.unwrap_or_else(|| panic!("{bytes:?} was never whole"));
            assert_eq!(seen.map_err(|failure| failure.to_string()), expected.map_err(str::to_owned));
        }
    }
}
