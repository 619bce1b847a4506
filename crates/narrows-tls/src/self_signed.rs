//! A certificate for development, made at start.

use crate::material::{Identity, Problem, ProblemKind};
use crate::session::provider;
use narrows_plan::Origin;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::CertifiedKey;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

const DAY: Duration = Duration::from_secs(24 * 3600);

/// Makes a certificate for `localhost` and the loopback addresses that nobody has signed but itself. It is valid from yesterday, for clocks that
/// are slow, for a year.
pub(crate) fn make(origin: Origin) -> Result<Identity, Problem> {
    let names = ["localhost", "*.localhost", "127.0.0.1", "::1"].map(str::to_owned);
    let failed = |error: &dyn std::fmt::Display| {
        Problem::new(origin, ProblemKind::Unreadable, format!("cannot make a certificate: {error}"))
    };
    let mut parameters = rcgen::CertificateParams::new(names).map_err(|error| failed(&error))?;
    parameters.distinguished_name = rcgen::DistinguishedName::new();
    parameters.distinguished_name.push(rcgen::DnType::CommonName, "localhost");
    let yesterday = SystemTime::now() - DAY;
    (parameters.not_before, parameters.not_after) = (yesterday.into(), (yesterday + 365 * DAY).into());
    let key = rcgen::KeyPair::generate().map_err(|error| failed(&error))?;
    let certificate = parameters.self_signed(&key).map_err(|error| failed(&error))?;
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let signing = provider().key_provider.load_private_key(key).map_err(|error| failed(&error))?;
    let certified = CertifiedKey::new(vec![certificate.der().clone()], signing);
    Ok(Identity { key: Arc::new(certified), names: vec!["localhost".into(), "*.localhost".into()] })
}
