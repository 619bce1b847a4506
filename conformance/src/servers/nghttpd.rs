//! nghttpd, the HTTP/2 server of nghttp2, as a backend.

use std::process::Command;

use crate::connection::Connection;
use crate::deadline::until;
use crate::folder::Folder;
use crate::program::{Program, tool};
use crate::servers::certificates::Identity;
use crate::servers::free_port;

/// A running nghttpd that serves the files of its folder and speaks nothing but HTTP/2.
#[derive(Debug)]
pub struct Nghttpd {
    _program: Program,
    /// Its folder.
    pub folder: Folder,
    /// The address that it listens on.
    pub address: String,
}

impl Nghttpd {
    /// Starts it without TLS; it expects prior knowledge. `options` are its own, such as `--trailer`.
    pub fn start(options: &[&str]) -> Nghttpd {
        Nghttpd::run(&[&["--no-tls"], options].concat(), &[])
    }

    /// Starts it with TLS.
    pub fn start_tls(identity: &Identity, options: &[&str]) -> Nghttpd {
        Nghttpd::run(options, &[&identity.key, &identity.certificate])
    }

    fn run(options: &[&str], identity: &[&str]) -> Nghttpd {
        let folder = Folder::new();
        folder.write("index.html", "nghttpd says hello");
        let port = free_port().to_string();
        let address = format!("127.0.0.1:{port}");
        let program = Program::start(
            Command::new(tool("nghttpd"))
                .args(["-a", "127.0.0.1", "-d", &folder.join("")])
                .args(options)
                .arg(&port)
                .args(identity),
        );
        until("nghttpd listens", || Connection::try_connect(&address).is_ok());
        Nghttpd { _program: program, folder, address }
    }
}

impl std::fmt::Display for Nghttpd {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.address)
    }
}
