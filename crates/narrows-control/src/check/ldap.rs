//! LDAP (RFC 4511): an anonymous bind gets an answer.

use super::dialogue::Dialogue;
use super::failure::Failure;

const NAME: &str = "LDAP";
/// LDAPMessage 1: BindRequest, version 3, no name, simple authentication with no password.
const BIND: [u8; 14] = [0x30, 12, 2, 1, 1, 0x60, 7, 2, 1, 3, 4, 0, 0x80, 0];
/// LDAPMessage 2: UnbindRequest.
const UNBIND: [u8; 7] = [0x30, 5, 2, 1, 2, 0x42, 0];

/// Asks to be bound. A server that refuses anonymous users is well; one that is busy, unavailable or lost is not.
pub(super) async fn ask(dialogue: &mut Dialogue) -> Result<(), Failure> {
    dialogue.send(&BIND).await?;
    let code = dialogue.until(|received, _| bind_result(received)).await?;
    // Success; then: stronger authentication, confidentiality, a SASL step or other credentials are wanted; unwilling.
    if !matches!(code, 0 | 7 | 8 | 13 | 14 | 48 | 49 | 53) {
        return Err(Failure::said(NAME, format!("result {code}").as_bytes()));
    }
    dialogue.leave_with(UNBIND);
    Ok(())
}

/// The result code of the BindResponse; `None` until the message is whole.
fn bind_result(received: &[u8]) -> Result<Option<u8>, Failure> {
    let Some(message) = element(0x30, received)? else { return Ok(None) };
    let read = || -> Result<u8, Option<Failure>> {
        let whole = |tag, bytes| element(tag, bytes).map_err(Some)?.ok_or(None);
        let id = whole(2, message.content)?;
        let response = whole(0x61, id.rest)?;
        let code = whole(0x0a, response.content)?;
        match *code.content {
            [code] => Ok(code),
            _ => Err(None),
        }
    };
    // What a whole message has in it cannot be cut off.
    read().map(Some).map_err(|failure| failure.unwrap_or(Failure::Malformed(NAME)))
}

struct Element<'a> {
    content: &'a [u8],
    rest: &'a [u8],
}

/// The element of this tag (BER, definite length) at the front; `None` until it is whole.
fn element(tag: u8, bytes: &[u8]) -> Result<Option<Element<'_>>, Failure> {
    let Some((&first, rest)) = bytes.split_first() else { return Ok(None) };
    if first != tag {
        return Err(Failure::Malformed(NAME));
    }
    let Some((&length, mut rest)) = rest.split_first() else { return Ok(None) };
    let mut length = usize::from(length);
    if length >= 0x80 {
        let count = length & 0x7f;
        if !(1..=4).contains(&count) {
            return Err(Failure::Malformed(NAME));
        }
        let Some((digits, behind)) = rest.split_at_checked(count) else { return Ok(None) };
        length = digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit));
        rest = behind;
    }
    Ok(rest.split_at_checked(length).map(|(content, rest)| Element { content, rest }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bind_responses_are_understood_however_they_are_cut() {
        let table: [(&[u8], Result<u8, &str>); 6] = [
            (&[0x30, 12, 2, 1, 1, 0x61, 7, 0x0a, 1, 0, 4, 0, 4, 0], Ok(0)),
            (&[0x30, 0x84, 0, 0, 0, 16, 2, 1, 1, 0x61, 0x84, 0, 0, 0, 7, 0x0a, 1, 53, 4, 0, 4, 0], Ok(53)),
            (b"HTTP/1.1", Err("not an answer of LDAP")),
            (&[0x30, 0x80, 1], Err("not an answer of LDAP")),
            (&[0x30, 3, 2, 1, 1], Err("not an answer of LDAP")),
            (&[0x30, 8, 2, 1, 1, 0x61, 3, 0x0a, 1, 7], Ok(7)),
        ];
        for (bytes, expected) in table {
            let seen = (0..=bytes.len()).find_map(|end| bind_result(&bytes[..end]).transpose());
            let seen = seen.unwrap_or_else(|| panic!("{bytes:?} was never whole"));
            assert_eq!(seen.map_err(|failure| failure.to_string()), expected.map_err(str::to_owned));
        }
    }
}
