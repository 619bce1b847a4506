//! Certificates for the tests, made by OpenSSL.

use std::process::Command;
use std::sync::Mutex;

use crate::folder::Folder;
use crate::program::{output_of, tool};

/// A certificate and its key, as the paths of PEM files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The certificate.
    pub certificate: String,
    /// The private key.
    pub key: String,
}

impl Identity {
    /// The two keys `cert` and `key` of a configuration, and braces around them.
    pub fn yaml(&self) -> String {
        format!("{{ cert: \"{}\", key: \"{}\" }}", self.certificate, self.key)
    }

    /// A field of the certificate as OpenSSL prints it, such as `-serial` or `-fingerprint -sha256`.
    #[track_caller]
    pub fn printed(&self, options: &[&str]) -> String {
        let mut command = Command::new(tool("openssl"));
        command.args(["x509", "-noout", "-in", &self.certificate]).args(options);
        let text = output_of(&mut command);
        text.trim().rsplit('=').next().unwrap_or_default().to_owned()
    }
}

/// The algorithm of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// ECDSA with P-256.
    Ecdsa,
    /// RSA with 2048 bits.
    Rsa,
}

impl Algorithm {
    fn options(self) -> &'static [&'static str] {
        match self {
            Algorithm::Ecdsa => &["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"],
            Algorithm::Rsa => &["-newkey", "rsa:2048"],
        }
    }
}

/// A certificate authority of one test; its files live as long as it does.
#[derive(Debug)]
pub struct Authority {
    /// The path of its certificate.
    pub certificate: String,
    /// Where everything lies.
    pub folder: Folder,
    identity: Identity,
    issued: Mutex<usize>,
}

impl Authority {
    /// Makes one.
    pub fn new(name: &str) -> Authority {
        let folder = Folder::new();
        let subject = format!("/O=Narrows tests/CN={name}");
        let extensions = "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign,digitalSignature\n\
                          subjectKeyIdentifier=hash";
        let identity = request(&folder, "authority", Algorithm::Ecdsa, &subject, extensions, &[]);
        Authority { certificate: identity.certificate.clone(), folder, identity, issued: Mutex::new(0) }
    }

    /// Issues a certificate with a P-256 key for servers of these DNS names; addresses are written `IP:127.0.0.1`.
    pub fn server(&self, names: &[&str]) -> Identity {
        self.server_with(names, Algorithm::Ecdsa)
    }

    /// The same with a key of choice.
    pub fn server_with(&self, names: &[&str], algorithm: Algorithm) -> Identity {
        let names = names
            .iter()
            .map(|name| if name.contains(':') { (*name).to_owned() } else { format!("DNS:{name}") });
        let names = names.collect::<Vec<_>>().join(",");
        self.issue(algorithm, "/CN=a server of the tests", &format!("subjectAltName={names}"), "serverAuth")
    }

    /// Issues a certificate for a client, with alternative names such as `DNS:x` or `URI:spiffe://x`.
    pub fn client(&self, name: &str, alternatives: &[&str]) -> Identity {
        let names = if alternatives.is_empty() {
            String::new()
        } else {
            format!("subjectAltName={}", alternatives.join(","))
        };
        self.issue(Algorithm::Ecdsa, &format!("/O=Narrows tests/CN={name}"), &names, "clientAuth")
    }

    /// Issues a certificate that ended in 2020.
    pub fn expired(&self, name: &str) -> Identity {
        let valid = self.server(&[name]);
        let request = self.folder.join("expired.csr");
        let configuration = self.database("");
        let extensions = self.folder.write("expired.ext", format!("subjectAltName=DNS:{name}"));
        let mut command = Command::new(tool("openssl"));
        command.args(["req", "-new", "-key", &valid.key, "-subj", &format!("/CN={name}"), "-out", &request]);
        output_of(&mut command);
        let certificate = self.folder.join("expired.pem");
        let mut command = Command::new(tool("openssl"));
        command.args(["ca", "-batch", "-notext", "-config", &configuration, "-in", &request]);
        command.args([
            "-startdate",
            "20200101000000Z",
            "-enddate",
            "20200201000000Z",
            "-extfile",
            &extensions,
        ]);
        command.args(["-out", &certificate]);
        output_of(&mut command);
        Identity { certificate, key: valid.key }
    }

    /// Writes a revocation list with these certificates and returns its path.
    pub fn revocations(&self, revoked: &[&Identity]) -> String {
        let lines = revoked.iter().map(|identity| {
            format!("R\t401231235959Z\t250101000000Z\t{}\tunknown\t/CN=x\n", identity.printed(&["-serial"]))
        });
        let configuration = self.database(&lines.collect::<String>());
        let list = self.folder.join("revoked.crl.pem");
        let mut command = Command::new(tool("openssl"));
        command.args(["ca", "-gencrl", "-config", &configuration, "-crldays", "2", "-out", &list]);
        output_of(&mut command);
        list
    }

    /// Writes an OCSP response that calls a certificate good and returns its path (DER).
    pub fn staple(&self, identity: &Identity) -> String {
        let line = format!("V\t401231235959Z\t\t{}\tunknown\t/CN=x\n", identity.printed(&["-serial"]));
        let index = self.folder.write("ocsp.txt", line);
        let answer = self.folder.join("staple.der");
        let mut command = Command::new(tool("openssl"));
        command.args(["ocsp", "-index", &index, "-CA", &self.certificate, "-issuer", &self.certificate]);
        command.args([
            "-rsigner",
            &self.certificate,
            "-rkey",
            &self.identity.key,
            "-ndays",
            "2",
            "-no_nonce",
        ]);
        command.args(["-cert", &identity.certificate, "-respout", &answer]);
        output_of(&mut command);
        answer
    }

    fn issue(&self, algorithm: Algorithm, subject: &str, names: &str, usage: &str) -> Identity {
        let number = {
            let mut issued = self.issued.lock().expect("no poison");
            *issued += 1;
            *issued
        };
        let extensions = format!(
            "basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature,keyEncipherment\n\
             extendedKeyUsage={usage}\nauthorityKeyIdentifier=keyid\nsubjectKeyIdentifier=hash\n{names}"
        );
        let signer = ["-CA", &self.certificate, "-CAkey", &self.identity.key];
        request(&self.folder, &format!("issued{number}"), algorithm, subject, &extensions, &signer)
    }

    /// Writes what `openssl ca` needs, with these lines as its database.
    fn database(&self, lines: &str) -> String {
        let index = self.folder.write("index.txt", lines);
        let number = self.folder.write("crlnumber", "01\n");
        let new = self.folder.path().display();
        let configuration = format!(
            "[ca]\ndefault_ca=here\n[here]\ndatabase={index}\nnew_certs_dir={new}\ncertificate={}\nprivate_key={}\n\
             default_md=sha256\ndefault_days=2\npolicy=any\nunique_subject=no\nrand_serial=yes\n\
             crlnumber={number}\ncrl_extensions=list\n[list]\nauthorityKeyIdentifier=keyid\n[any]\ncommonName=supplied\n",
            self.certificate, self.identity.key
        );
        self.folder.write("ca.cnf", configuration)
    }
}

/// Makes a self-signed certificate for a name; returns the paths of the certificate and of its key.
pub fn self_signed(folder: &Folder, name: &str) -> (String, String) {
    let extensions = format!("subjectAltName=DNS:{name}\nbasicConstraints=CA:TRUE");
    let identity = request(folder, name, Algorithm::Ecdsa, &format!("/CN={name}"), &extensions, &[]);
    (identity.certificate, identity.key)
}

fn request(
    folder: &Folder,
    file: &str,
    algorithm: Algorithm,
    subject: &str,
    extensions: &str,
    signer: &[&str],
) -> Identity {
    let (certificate, key) = (folder.join(&format!("{file}.pem")), folder.join(&format!("{file}.key")));
    let configuration = format!(
        "[req]\ndistinguished_name=name\nx509_extensions=extensions\n[name]\n[extensions]\n{extensions}\n"
    );
    let configuration = folder.write(&format!("{file}.cnf"), configuration);
    output_of(
        Command::new(tool("openssl"))
            .args(["req", "-x509", "-nodes", "-days", "2", "-config", &configuration, "-subj", subject])
            .args(algorithm.options())
            .args(signer)
            .args(["-keyout", &key, "-out", &certificate]),
    );
    Identity { certificate, key }
}
