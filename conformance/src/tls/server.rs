//! A TLS server for scripted backends.

use std::sync::Arc;

use rustls::server::WebPkiClientVerifier;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::{certificates, key, provider, roots};
use crate::connection::Connection;
use crate::servers::certificates::Identity;
use crate::transport::Transport;

/// Who a scripted backend is over TLS.
#[derive(Debug, Clone)]
pub struct TlsServer(Arc<ServerConfig>);

impl TlsServer {
    /// Shows this certificate and chooses from these application protocols.
    pub fn new(identity: &Identity, protocols: &[&str]) -> TlsServer {
        TlsServer::build(identity, protocols, None)
    }

    /// The same, and asks the client for a certificate of this authority.
    pub fn demanding(identity: &Identity, protocols: &[&str], authority: &str) -> TlsServer {
        TlsServer::build(identity, protocols, Some(authority))
    }

    /// Shakes hands on a connection that arrived; the error is in the connection's record too.
    pub fn accept(&self, connection: Connection) -> Result<Connection, String> {
        connection.upgraded(|mut socket| {
            let mut session = ServerConnection::new(Arc::clone(&self.0)).expect("a server");
            while session.is_handshaking() {
                if let Err(error) = session.complete_io(&mut socket) {
                    let _ = session.write_tls(&mut socket);
                    return Err(error.to_string());
                }
            }
            Ok(Transport::Server(Box::new(StreamOwned::new(session, socket))))
        })
    }

    fn build(identity: &Identity, protocols: &[&str], clients: Option<&str>) -> TlsServer {
        let provider = Arc::new(provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(rustls::ALL_VERSIONS)
            .expect("versions");
        let builder = match clients {
            None => builder.with_no_client_auth(),
            Some(authority) => builder.with_client_cert_verifier(
                WebPkiClientVerifier::builder_with_provider(Arc::new(roots(authority)), provider)
                    .build()
                    .expect("a verifier"),
            ),
        };
        let mut configuration = builder
            .with_single_cert(certificates(&identity.certificate), key(identity))
            .expect("the key fits the certificate");
        configuration.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        TlsServer(Arc::new(configuration))
    }
}
