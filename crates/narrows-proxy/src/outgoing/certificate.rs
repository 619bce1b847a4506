//! What tells an upstream about the client's certificate.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use narrows_plan::CertificateHeaders;
use narrows_tls::ClientCertificate;
use std::io::Write;

/// Longest chain that is told, certificates.
const CHAIN: usize = 10;

/// Appends the fields that are asked for.
pub(super) fn write_certificate(client: &ClientCertificate, headers: CertificateHeaders, out: &mut Vec<u8>) {
    if headers.client_cert {
        write_client_cert(client, out);
    }
    if headers.xfcc {
        write_xfcc(client, out);
    }
}

/// `Client-Cert` and `Client-Cert-Chain` (RFC 9440 section 2): byte sequences of structured fields.
fn write_client_cert(client: &ClientCertificate, out: &mut Vec<u8>) {
    let mut chain = client.chain.iter().take(CHAIN).map(|one| format!(":{}:", STANDARD.encode(one)));
    if let Some(own) = chain.next() {
        let _ = write!(out, "Client-Cert: {own}\r\n");
    }
    let rest: Vec<String> = chain.collect();
    if !rest.is_empty() {
        let _ = write!(out, "Client-Cert-Chain: {}\r\n", rest.join(", "));
    }
}

/// `X-Forwarded-Client-Cert`, its pairs as Envoy names them.
fn write_xfcc(client: &ClientCertificate, out: &mut Vec<u8>) {
    let _ = write!(out, "X-Forwarded-Client-Cert: Hash={};Subject=\"", client.fingerprint);
    for byte in client.subject.bytes() {
        match byte {
            b'"' | b'\\' => out.extend([b'\\', byte]),
            0x20..=0x7e => out.push(byte),
            _ => drop(write!(out, "%{byte:02X}")),
        }
    }
    out.push(b'"');
    for (key, names) in [("URI", &client.uris), ("DNS", &client.dns_names)] {
        for name in names {
            let _ = write!(out, ";{key}=");
            for byte in name.bytes() {
                match byte {
                    b';' | b',' | b'"' | b'\\' | 0..=0x20 | 0x7f.. => drop(write!(out, "%{byte:02X}")),
                    _ => out.push(byte),
                }
            }
        }
    }
    out.extend_from_slice(b"\r\n");
}
