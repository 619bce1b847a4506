//! What both sides configure alike.

use narrows_plan::TlsPolicy;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::{SupportedProtocolVersion, version};
use std::sync::{Arc, OnceLock};

/// The cryptography: the library's own choice, which is Mozilla's intermediate list without finite-field key exchange, X25519MLKEM768 first.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    Arc::clone(PROVIDER.get_or_init(|| Arc::new(aws_lc_rs::default_provider())))
}

/// The versions of a policy.
pub(crate) fn versions(policy: TlsPolicy) -> &'static [&'static SupportedProtocolVersion] {
    static BOTH: [&SupportedProtocolVersion; 2] = [&version::TLS13, &version::TLS12];
    if policy.allows_tls12() { &BOTH } else { &BOTH[..1] }
}
