//! TLS services, played by `openssl s_server`, and the client `openssl s_client`.

use std::io::Write;
use std::process::{Command, Stdio};

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

/// What `openssl s_client` prints (both streams) when it connects to `address`, sends `input` and reads until the
/// server ends the connection. Lines that begin with R or Q are commands.
#[track_caller]
pub fn s_client(address: &str, options: &[&str], input: &str) -> String {
    let mut child = Command::new(tool("openssl"))
        .args(["s_client", "-connect", address])
        .args(options)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("openssl starts");
    // An input that ends makes openssl leave at once, so that it stays open.
    let mut pipe = child.stdin.take().expect("a pipe");
    let _ = pipe.write_all(input.as_bytes());
    let output = child.wait_with_output().expect("openssl ends");
    drop(pipe);
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn address(text: &str) -> Option<String> {
    let line = text.lines().find_map(|line| line.strip_prefix("ACCEPT "))?;
    text.contains('\n').then(|| line.trim().to_owned())
}
