//! nginx as a backend, and at layer 4 before the proxy.

use std::process::Command;

use crate::connection::Connection;
use crate::deadline::until;
use crate::folder::Folder;
use crate::program::{Program, tool};
use crate::servers::certificates::Identity;
use crate::servers::free_port;

/// Debian keeps layer 4 of nginx in a package of its own, libnginx-mod-stream.
const STREAM_MODULE: &str = "/usr/lib/nginx/modules/ngx_stream_module.so";

/// A running nginx with a configuration of the test.
#[derive(Debug)]
pub struct Nginx {
    program: Program,
    /// Its folder; files go below `www`.
    pub folder: Folder,
    /// The address that it listens on.
    pub address: String,
}

impl Nginx {
    /// Starts it with these directives inside of `server`.
    pub fn start(directives: &str) -> Nginx {
        Nginx::start_at(&format!("127.0.0.1:{}", free_port()), directives)
    }

    /// The same on an address of choice.
    pub fn start_at(address: &str, directives: &str) -> Nginx {
        Nginx::serve(address, "", directives)
    }

    /// Starts it with HTTP/2 by prior knowledge.
    pub fn start_http2(directives: &str) -> Nginx {
        Nginx::serve(&format!("127.0.0.1:{}", free_port()), "http2", directives)
    }

    /// Starts it with TLS and these further words for `listen`, such as `http2`.
    pub fn start_tls(identity: &Identity, listen: &str, directives: &str) -> Nginx {
        let Identity { certificate, key } = identity;
        let directives = format!("ssl_certificate {certificate}; ssl_certificate_key {key}; {directives}");
        Nginx::serve(&format!("127.0.0.1:{}", free_port()), &format!("ssl {listen}"), &directives)
    }

    /// Starts it in front of an upstream with these directives.
    pub fn balancing(upstream: &str) -> Nginx {
        let address = format!("127.0.0.1:{}", free_port());
        Nginx::serve_http(
            &address,
            "",
            "location / { proxy_pass http://app; }",
            &format!("upstream app {{ {upstream} }}"),
        )
    }

    /// Starts it so that every connection must begin with a PROXY protocol header.
    pub fn start_behind_proxy_protocol(directives: &str) -> Nginx {
        Nginx::serve(&format!("127.0.0.1:{}", free_port()), "proxy_protocol", directives)
    }

    /// Sends it a signal such as `STOP`.
    #[track_caller]
    pub fn signal(&self, signal: &str) {
        self.program.signal(signal);
    }

    /// Logs every request in a format of its own; see [`log`](Self::log).
    pub fn logging(format: &str, escape: &str, directives: &str) -> Nginx {
        let address = format!("127.0.0.1:{}", free_port());
        let folder = Folder::new();
        let log = folder.join("access.log");
        let configuration = format!(
            "http {{ log_format own escape={escape} '{format}'; access_log {log} own;
                 server {{ listen {address}; {directives} }} }}"
        );
        Nginx::run(folder, &address, &configuration)
    }

    /// What it logged so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("access.log")).unwrap_or_default()
    }

    fn serve(address: &str, listen: &str, directives: &str) -> Nginx {
        Nginx::serve_http(address, listen, directives, "")
    }

    fn serve_http(address: &str, listen: &str, directives: &str, beside: &str) -> Nginx {
        let folder = Folder::new();
        folder.write("www/index.html", "nginx says hello");
        let here = folder.path().display();
        let configuration = format!(
            "http {{
                 access_log off; client_body_temp_path {here}/body; proxy_temp_path {here}/proxy;
                 fastcgi_temp_path {here}/fastcgi; uwsgi_temp_path {here}/uwsgi; scgi_temp_path {here}/scgi;
                 keepalive_requests 1000000; client_max_body_size 0;
                 server {{ listen {address} {listen}; root {here}/www; {directives} }}
                 {beside}
             }}"
        );
        Nginx::run(folder, address, &configuration)
    }

    /// Passes connections at layer 4 to `server`, with these further directives.
    pub fn stream(server: &dyn std::fmt::Display, directives: &str) -> Nginx {
        let address = format!("127.0.0.1:{}", free_port());
        let configuration =
            format!("stream {{ server {{ listen {address}; proxy_pass {server}; {directives} }} }}");
        Nginx::run(Folder::new(), &address, &format!("load_module {STREAM_MODULE};\n{configuration}"))
    }

    fn run(folder: Folder, address: &str, configuration: &str) -> Nginx {
        let here = folder.path().display();
        let general = format!(
            "daemon off; master_process off; pid {here}/pid; error_log {here}/error.log;
             worker_rlimit_nofile 4096;
             events {{ worker_connections 2048; }}"
        );
        let path = folder.write("nginx.conf", format!("{configuration}\n{general}"));
        let program = Program::start(Command::new(tool("nginx")).args(["-c", &path, "-p", &folder.join("")]));
        until("nginx listens", || Connection::try_connect(address).is_ok());
        Nginx { program, folder, address: address.to_owned() }
    }
}

impl std::fmt::Display for Nginx {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.address)
    }
}
