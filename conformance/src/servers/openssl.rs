//! TLS services, played by `openssl s_server`.

use std::process::Command;

use crate::folder::Folder;
use crate::program::{Program, tool};
use crate::servers::certificates;

/// A TLS server that has a certificate for one name and serves one file, `/name`, which holds that name.
#[derive(Debug)]
pub struct TlsService {
    program: Program,
    _folder: Folder,
    /// The address that it listens on.
    pub address: String,
    /// The path of its certificate.
    pub certificate: String,
}

impl TlsService {
    /// Starts it for `name`; `protocols` is its ALPN offer, such as `h2,http/1.1`.
    pub fn start(name: &str, protocols: &str) -> TlsService {
        let folder = Folder::new();
        let (certificate, key) = certificates::self_signed(&folder, name);
        folder.write("name", name);
        let mut program = Program::start(
            Command::new(tool("openssl"))
                .args(["s_server", "-accept", "127.0.0.1:0", "-cert", &certificate, "-key", &key])
                .args(["-alpn", protocols, "-WWW"])
                .current_dir(folder.path()),
        );
        program.wait_for("its address", |text| address(text).is_some());
        let address = address(&program.output()).expect("the address was printed");
        TlsService { program, _folder: folder, address, certificate }
    }

    /// What the server printed, for a failed test.
    pub fn output(&self) -> String {
        self.program.output()
    }
}

impl std::fmt::Display for TlsService {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.address)
    }
}

fn address(text: &str) -> Option<String> {
    let line = text.lines().find_map(|line| line.strip_prefix("ACCEPT "))?;
    text.contains('\n').then(|| line.trim().to_owned())
}
