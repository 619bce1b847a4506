//! `grpc.health.v1.Health/Check`. Its two messages have one field each, which is written and read by hand.

use super::dialogue::Dialogue;
use super::failure::Failure;
use super::http::{body, head};
use super::subject::Subject;
use narrows_wire::http1::Method;

const NAME: &str = "gRPC";
/// The value of `HealthCheckResponse.ServingStatus` of a server that is well.
const SERVING: u64 = 1;

/// Asks for the state of a service, or of the whole server when it has no name.
pub(super) async fn ask(dialogue: &mut Dialogue, service: &str, subject: &Subject) -> Result<(), Failure> {
    let message = request(service);
    let head_bytes = format!(
        "POST /grpc.health.v1.Health/Check HTTP/1.1\r\nHost: {}\r\nContent-Type: application/grpc\r\n\
         TE: trailers\r\nUser-Agent: narrows-health-check\r\nContent-Length: {}\r\n\r\n",
        subject.host(),
        message.len()
    );
    dialogue.send(&[head_bytes.as_bytes(), &message].concat()).await?;
    let head = head(dialogue, Method::Post).await?;
    if head.status != 200 {
        return Err(Failure::Status(head.status));
    }
    let is_grpc = head.field("content-type").is_some_and(|value| value.starts_with(b"application/grpc"));
    if !is_grpc {
        return Err(Failure::Malformed(NAME));
    }
    // A call that failed at once has its trailers in the head.
    if let Some(status) = head.field("grpc-status") {
        return judge_status(status, head.field("grpc-message")).and(Err(Failure::Malformed(NAME)));
    }
    let body = body(dialogue, &head).await?;
    let status = trailer(&body.trailers, b"grpc-status").ok_or(Failure::Malformed(NAME))?;
    judge_status(status, trailer(&body.trailers, b"grpc-message"))?;
    match response(&body.bytes) {
        Some(SERVING) => Ok(()),
        Some(2) => Err(Failure::said(NAME, b"NOT_SERVING")),
        Some(3) => Err(Failure::said(NAME, b"SERVICE_UNKNOWN")),
        Some(_) => Err(Failure::said(NAME, b"UNKNOWN")),
        None => Err(Failure::Malformed(NAME)),
    }
}

/// `HealthCheckRequest { service = 1 }` behind its gRPC header.
fn request(service: &str) -> Vec<u8> {
    let mut message = Vec::new();
    if !service.is_empty() {
        message.push(0x0a);
        let mut length = service.len();
        while length >= 0x80 {
            message.push(length as u8 | 0x80);
            length >>= 7;
        }
        message.push(length as u8);
        message.extend_from_slice(service.as_bytes());
    }
    let mut framed = vec![0];
    framed.extend_from_slice(&u32::try_from(message.len()).unwrap_or(u32::MAX).to_be_bytes());
    framed.extend(message);
    framed
}

/// The status in `HealthCheckResponse { status = 1 }` behind its gRPC header; 0 where it is absent, `None` when this is no such message.
fn response(body: &[u8]) -> Option<u64> {
    let (header, message) = body.split_first_chunk::<5>()?;
    let length = u32::from_be_bytes([header[1], header[2], header[3], header[4]]) as usize;
    // Compressed messages were not asked for.
    if header[0] != 0 || message.len() != length {
        return None;
    }
    let mut rest = message;
    let mut status = 0;
    while !rest.is_empty() {
        let tag = varint(&mut rest)?;
        match tag & 7 {
            0 => {
                let value = varint(&mut rest)?;
                if tag >> 3 == 1 {
                    status = value;
                }
            }
            1 => rest = rest.get(8..)?,
            2 => {
                let length = usize::try_from(varint(&mut rest)?).ok()?;
                rest = rest.get(length..)?;
            }
            5 => rest = rest.get(4..)?,
            _ => return None,
        }
    }
    Some(status)
}

/// Takes a number of up to 64 bits from the front.
fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let (first, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

fn judge_status(status: &[u8], message: Option<&[u8]>) -> Result<(), Failure> {
    if status == b"0" {
        return Ok(());
    }
    let mut said = b"status ".to_vec();
    said.extend_from_slice(status);
    if let Some(message) = message.filter(|message| !message.is_empty()) {
        said.extend_from_slice(b", ");
        said.extend_from_slice(message);
    }
    Err(Failure::said(NAME, &said))
}

/// The value of a field in a trailer section.
fn trailer<'a>(section: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    section.split(|byte| *byte == b'\n').find_map(|line| {
        let colon = line.iter().position(|byte| *byte == b':')?;
        line[..colon].eq_ignore_ascii_case(name).then(|| line[colon + 1..].trim_ascii())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_request_is_the_protobuf_that_libraries_write() {
        assert_eq!(request(""), [0, 0, 0, 0, 0]);
        assert_eq!(request("ab"), [0, 0, 0, 0, 4, 0x0a, 2, b'a', b'b']);
        let long = request(&"x".repeat(300));
        assert_eq!(long[..8], [0, 0, 0, 1, 47, 0x0a, 0xac, 2]);
    }

    #[test]
    fn the_response_is_read_with_unknown_fields_and_refused_when_broken() {
        assert_eq!(response(&[0, 0, 0, 0, 2, 8, 1]), Some(SERVING));
        assert_eq!(response(&[0, 0, 0, 0, 0]), Some(0));
        assert_eq!(response(&[0, 0, 0, 0, 6, 0x12, 2, 9, 9, 8, 2]), Some(2));
        for broken in [
            &[][..],
            &[0, 0, 0, 0, 2, 8],
            &[1, 0, 0, 0, 2, 8, 1],
            &[0, 0, 0, 0, 2, 8, 0x80],
            &[0, 0, 0, 0, 3, 0x12, 9, 9],
            &[0, 0, 0, 0, 2, 0x0f, 1],
            &[0, 0, 0, 0, 12, 8, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1],
        ] {
            assert_eq!(response(broken), None, "{broken:?}");
        }
    }

    #[test]
    fn trailers_are_found_by_name() {
        let section = b"Grpc-Status: 5\r\ngrpc-message:unknown service\r\n\r\n";
        assert_eq!(trailer(section, b"grpc-status"), Some(&b"5"[..]));
        assert_eq!(trailer(section, b"grpc-message"), Some(&b"unknown service"[..]));
        assert_eq!(trailer(section, b"grpc"), None);
    }
}
