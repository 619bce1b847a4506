//! MySQL and MariaDB: the greeting, and a login without a password.
//!
//! The handshake is always gone through to its end, also where no user is given: a server blocks a host whose connections break off in the
//! handshake too often (`max_connect_errors`), and from the host of the proxy come all clients.

use super::dialogue::Dialogue;
use super::failure::Failure;

const NAME: &str = "MySQL";
/// COM_QUIT.
const QUIT: [u8; 5] = [1, 0, 0, 0, 1];
/// What the server may say before it is clear whether it lets in.
const STEPS: usize = 8;
/// CLIENT_LONG_PASSWORD, CLIENT_PROTOCOL_41, CLIENT_SECURE_CONNECTION, CLIENT_PLUGIN_AUTH.
const CAPABILITIES: u32 = 1 | 0x200 | 0x8000 | 0x8_0000;

/// Logs in. With a user the server must let it in; without one it is enough that the server refuses nobody's login.
pub(super) async fn ask(dialogue: &mut Dialogue, user: &str) -> Result<(), Failure> {
    let greeting = receive(dialogue).await?;
    match greeting.payload.first() {
        Some(10) => {}
        Some(0xff) => return Err(refusal(&greeting.payload).said()),
        _ => return Err(Failure::Malformed(NAME)),
    }
    send(dialogue, greeting.number, &login(user)).await?;
    for _ in 0..STEPS {
        let packet = receive(dialogue).await?;
        match packet.payload.split_first() {
            Some((0, _)) => {
                dialogue.leave_with(QUIT);
                return Ok(());
            }
            Some((0xff, _)) => {
                let refusal = refusal(&packet.payload);
                if !user.is_empty() || !refusal.is_about_login() {
                    return Err(refusal.said());
                }
                dialogue.leave_with("");
                return Ok(());
            }
            // The server wants another method than the one that was offered.
            Some((0xfe, method)) if !method.is_empty() => {
                // These have a byte where no password is; the others have nothing.
                let has_byte = method.starts_with(b"caching_sha2_password\0")
                    || method.starts_with(b"sha256_password\0");
                send(dialogue, packet.number, if has_byte { &[0] } else { &[] }).await?;
            }
            // caching_sha2_password: the server knows this user, its OK follows.
            Some((1, [3])) => {}
            Some((1, _)) => return Err(Failure::said(NAME, b"the user has a password")),
            _ => return Err(Failure::Malformed(NAME)),
        }
    }
    Err(Failure::Malformed(NAME))
}

/// HandshakeResponse41.
fn login(user: &str) -> Vec<u8> {
    let mut login = CAPABILITIES.to_le_bytes().to_vec();
    login.extend_from_slice(&0x0100_0000_u32.to_le_bytes());
    // utf8mb4_general_ci
    login.push(45);
    login.extend_from_slice(&[0; 23]);
    login.extend_from_slice(user.as_bytes());
    // The end of the name, and a password of no bytes.
    login.extend_from_slice(&[0, 0]);
    login.extend_from_slice(b"mysql_native_password\0");
    login
}

/// One packet of the server.
#[derive(Debug, PartialEq, Eq)]
struct Packet {
    number: u8,
    payload: Vec<u8>,
}

async fn receive(dialogue: &mut Dialogue) -> Result<Packet, Failure> {
    let packet = dialogue.until(|received, _| Ok(packet(received))).await?;
    dialogue.take(4 + packet.payload.len());
    Ok(packet)
}

/// Sends the packet that follows the one of that number.
async fn send(dialogue: &mut Dialogue, after: u8, payload: &[u8]) -> Result<(), Failure> {
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX).to_le_bytes();
    let header = [length[0], length[1], length[2], after.wrapping_add(1)];
    dialogue.send(&[&header, payload].concat()).await
}

/// The first packet; `None` until it is whole.
fn packet(received: &[u8]) -> Option<Packet> {
    let (header, rest) = received.split_first_chunk::<4>()?;
    let length = u32::from_le_bytes([header[0], header[1], header[2], 0]) as usize;
    Some(Packet { number: header[3], payload: rest.get(..length)?.to_vec() })
}

/// What an ERR packet says.
#[derive(Debug, PartialEq, Eq)]
struct Refusal<'a> {
    code: u16,
    /// SQLSTATE; empty before the login.
    state: &'a [u8],
    message: &'a [u8],
}

fn refusal(payload: &[u8]) -> Refusal<'_> {
    let rest = payload.get(1..).unwrap_or_default();
    let (code, rest) = rest.split_first_chunk::<2>().unwrap_or((&[0, 0], rest));
    let (state, message) = match rest.split_first() {
        Some((b'#', marked)) => marked.split_at(marked.len().min(5)),
        _ => (&[][..], rest),
    };
    Refusal { code: u16::from_le_bytes(*code), state, message }
}

impl Refusal<'_> {
    /// Whether the server works and only this user may not come in: access denied, no such method, only with TLS.
    fn is_about_login(&self) -> bool {
        self.state == b"28000" || matches!(self.code, 1045 | 1251 | 1698 | 3159)
    }

    fn said(&self) -> Failure {
        Failure::said(NAME, &[self.code.to_string().as_bytes(), b" ", self.message].concat())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_are_whole_or_awaited() {
        let bytes = [3, 0, 0, 7, 1, 2, 3, 9];
        assert!((0..7).all(|end| packet(&bytes[..end]).is_none()));
        assert_eq!(packet(&bytes), Some(Packet { number: 7, payload: vec![1, 2, 3] }));
    }

    #[test]
    fn refusals_say_what_they_are_about() {
        let denied = refusal(b"\xff\x15\x04#28000Access denied");
        assert!(denied.is_about_login());
        assert_eq!(denied.said().to_string(), "MySQL: 1045 Access denied");
        let full = refusal(b"\xff\x10\x04Too many connections");
        assert!(!full.is_about_login());
        assert_eq!(full.said().to_string(), "MySQL: 1040 Too many connections");
        for cut in [&b""[..], b"\xff", b"\xff\x10", b"\xff\x10\x04#", b"\xff\x10\x04#280"] {
            let _ = refusal(cut).said();
        }
    }
}
