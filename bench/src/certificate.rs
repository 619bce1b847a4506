//! The certificates of the proxies, made at the start of a campaign.

use std::fs;
use std::path::{Path, PathBuf};

use rcgen::{CertificateParams, DnType, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256, RsaKeySize};

use crate::workload::Key;

const NAMES: [&str; 6] = [
    "api.example.com",
    "www.example.com",
    "example.com",
    "video.example.com",
    "*.video.example.com",
    "grpc.example.com",
];

/// The files of both certificates.
pub(crate) struct Certificates {
    ecdsa: Files,
    rsa: Files,
}

/// One certificate and its key.
pub(crate) struct Files {
    /// PEM.
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
    /// Certificate and key in one file, as HAProxy wants them.
    pub(crate) both: PathBuf,
    pub(crate) der: PathBuf,
}

impl Certificates {
    /// Makes keys and self-signed certificates, and writes them to `directory`.
    pub(crate) fn make(directory: &Path) -> anyhow::Result<Self> {
        let ecdsa = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let rsa = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048)?;
        Ok(Self { ecdsa: write(&ecdsa, directory, "ecdsa")?, rsa: write(&rsa, directory, "rsa")? })
    }

    pub(crate) fn of(&self, key: Key) -> &Files {
        match key {
            Key::EcdsaP256 => &self.ecdsa,
            Key::Rsa2048 => &self.rsa,
        }
    }
}

impl Files {
    /// What stands for the files in a configuration.
    pub(crate) fn names(&self) -> Vec<(String, String)> {
        [("CERTIFICATE", &self.certificate), ("KEY", &self.key), ("CERTIFICATE_AND_KEY", &self.both)]
            .map(|(name, path)| (name.to_owned(), path.display().to_string()))
            .to_vec()
    }
}

fn write(key: &KeyPair, directory: &Path, name: &str) -> anyhow::Result<Files> {
    let mut params = CertificateParams::new(NAMES.map(str::to_owned))?;
    params.distinguished_name.push(DnType::CommonName, "narrows-bench");
    let certificate = params.self_signed(key)?;
    let path = |end: &str| directory.join(format!("{name}.{end}"));
    let files =
        Files { certificate: path("pem"), key: path("key"), both: path("both.pem"), der: path("der") };
    fs::write(&files.certificate, certificate.pem())?;
    fs::write(&files.key, key.serialize_pem())?;
    fs::write(&files.both, certificate.pem() + &key.serialize_pem())?;
    fs::write(&files.der, certificate.der())?;
    Ok(files)
}
