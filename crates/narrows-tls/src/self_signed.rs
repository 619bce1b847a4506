//! A certificate for development, made at start.

use crate::material::{Identity, Problem, ProblemKind};
use crate::session::provider;
use narrows_plan::Origin;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::CertifiedKey;
use std::sync::Arc;

/// Makes a certificate for `localhost` and the loopback addresses that nobody has signed but itself.
pub(crate) fn make(origin: Origin) -> Result<Identity, Problem> {
    let names = ["localhost", "*.localhost", "127.0.0.1", "::1"].map(str::to_owned);
    let failed = |error: &dyn std::fmt::Display| {
        Problem::new(origin, ProblemKind::Unreadable, format!("cannot make a certificate: {error}"))
    };
    let made = rcgen::generate_simple_self_signed(names).map_err(|error| failed(&error))?;
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let signing = provider().key_provider.load_private_key(key).map_err(|error| failed(&error))?;
    let certified = CertifiedKey::new(vec![made.cert.der().clone()], signing);
    Ok(Identity { key: Arc::new(certified), names: vec!["localhost".into(), "*.localhost".into()] })
}
