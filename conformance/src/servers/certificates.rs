//! Certificates for the tests, made by OpenSSL.

use std::process::Command;

use crate::folder::Folder;
use crate::program::{output_of, tool};

/// Makes a self-signed certificate for a name; returns the paths of the certificate and of its key.
pub fn self_signed(folder: &Folder, name: &str) -> (String, String) {
    let (certificate, key) = (folder.join(&format!("{name}.pem")), folder.join(&format!("{name}.key")));
    output_of(
        Command::new(tool("openssl"))
            .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"])
            .args(["-days", "2", "-subj", &format!("/CN={name}")])
            .args(["-addext", &format!("subjectAltName=DNS:{name}")])
            .args(["-keyout", &key, "-out", &certificate]),
    );
    (certificate, key)
}
