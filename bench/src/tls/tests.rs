use std::path::Path;
use std::sync::Arc;

use rustls::client::ClientConnection;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ServerConfig, ServerConnection};

use super::{Handshake, check, offer};
use crate::certificate::{Certificates, Files};
use crate::workload::Key;

const HTTP1: &[u8] = b"http/1.1";

/// A folder that is removed with this value.
struct Folder(std::path::PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("narrows-bench-test-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a folder");
        Self(path)
    }

    fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn server(files: &Files) -> Arc<ServerConfig> {
    let certificate = CertificateDer::from_pem_file(&files.certificate).expect("a certificate");
    let key = PrivateKeyDer::from_pem_file(&files.key).expect("a key");
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .expect("the key fits");
    config.alpn_protocols = vec![b"h2".to_vec(), HTTP1.to_vec()];
    Arc::new(config)
}

/// Shakes hands in memory, the tickets included.
fn shake(
    client: &Arc<rustls::ClientConfig>,
    server: &Arc<ServerConfig>,
) -> Result<ClientConnection, rustls::Error> {
    let mut client =
        ClientConnection::new(Arc::clone(client), "api.example.com".try_into().expect("a name"))?;
    let mut server = ServerConnection::new(Arc::clone(server))?;
    let mut wire = Vec::new();
    while client.wants_write() || server.wants_write() {
        while client.wants_write() {
            client.write_tls(&mut wire).expect("memory takes all");
        }
        while !wire.is_empty() {
            let count = server.read_tls(&mut wire.as_slice()).expect("memory gives all");
            wire.drain(..count);
            server.process_new_packets()?;
        }
        while server.wants_write() {
            server.write_tls(&mut wire).expect("memory takes all");
        }
        while !wire.is_empty() {
            let count = client.read_tls(&mut wire.as_slice()).expect("memory gives all");
            wire.drain(..count);
            client.process_new_packets()?;
        }
    }
    Ok(client)
}

#[test]
fn a_handshake_without_tickets_is_always_full() {
    let folder = Folder::new("full");
    let certificates = Certificates::make(folder.path()).expect("certificates");
    for key in [Key::EcdsaP256, Key::Rsa2048] {
        let files = certificates.of(key);
        let client = offer(&files.der, HTTP1, false).expect("an offer");
        let server = server(files);
        for _ in 0..2 {
            let connection = shake(&client, &server).expect("a handshake");
            assert_eq!(check(&connection, HTTP1, Handshake::Full), Ok(()));
            assert!(check(&connection, HTTP1, Handshake::Resumed).is_err());
            assert!(check(&connection, b"h2", Handshake::Full).is_err());
        }
    }
}

#[test]
fn a_ticket_makes_the_next_handshake_a_resumed_one() {
    let folder = Folder::new("resumed");
    let certificates = Certificates::make(folder.path()).expect("certificates");
    let files = certificates.of(Key::EcdsaP256);
    let (client, server) = (offer(&files.der, HTTP1, true).expect("an offer"), server(files));
    let first = shake(&client, &server).expect("a handshake");
    assert_eq!(check(&first, HTTP1, Handshake::Full), Ok(()));
    for _ in 0..3 {
        let next = shake(&client, &server).expect("a handshake");
        assert_eq!(check(&next, HTTP1, Handshake::Resumed), Ok(()));
        assert!(check(&next, HTTP1, Handshake::Full).is_err());
    }
}

#[test]
fn another_certificate_is_refused() {
    let folder = Folder::new("other");
    let certificates = Certificates::make(folder.path()).expect("certificates");
    let client = offer(&certificates.of(Key::Rsa2048).der, HTTP1, false).expect("an offer");
    assert!(shake(&client, &server(certificates.of(Key::EcdsaP256))).is_err());
}
