//! HAProxy, before and behind the proxy.

use std::fmt::Display;
use std::process::Command;

use crate::connection::Connection;
use crate::deadline::until;
use crate::folder::Folder;
use crate::program::{Program, tool};
use crate::servers::free_port;

/// A running HAProxy with one listener of the test.
#[derive(Debug)]
pub struct Haproxy {
    program: Program,
    _folder: Folder,
    /// The address that it listens on.
    pub address: String,
}

impl Haproxy {
    /// Listens with these parameters of `bind` and passes connections in `mode` (`tcp` or `http`) to `server`, which is
    /// an address with parameters.
    pub fn passing(mode: &str, bind: &str, server: &dyn Display) -> Haproxy {
        Haproxy::listening(mode, bind, &format!("server one {server}"))
    }

    /// Listens with these parameters of `bind` and does what `lines` say.
    pub fn listening(mode: &str, bind: &str, lines: &str) -> Haproxy {
        let folder = Folder::new();
        let address = format!("127.0.0.1:{}", free_port());
        let configuration = format!(
            "global\n    maxconn 256\n    log stdout format raw local0\n\
             defaults\n    mode {mode}\n    log global\n    timeout connect 10s\n    timeout client 60s\n    timeout server 60s\n\
             listen test\n    bind {address} {bind}\n    {lines}\n"
        );
        let path = folder.write("haproxy.cfg", configuration);
        let program = Program::start(Command::new(tool("haproxy")).args(["-db", "-f", &path]));
        until("haproxy listens", || Connection::try_connect(&address).is_ok());
        Haproxy { program, _folder: folder, address }
    }

    /// Everything that it printed so far.
    pub fn output(&self) -> String {
        self.program.output()
    }
}

impl Display for Haproxy {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.address)
    }
}
