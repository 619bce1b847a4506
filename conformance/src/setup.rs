//! Configurations, written by name instead of by indentation.

use std::fmt::{Display, Write};
use std::process::Command;

use crate::folder::Folder;
use crate::narrows::{Narrows, binary};
use crate::servers::certificates::Identity;

/// A configuration in the making. Listeners are bound to a free port of 127.0.0.1 unless their keys say more.
#[derive(Debug, Default)]
pub struct Setup {
    metrics: Option<String>,
    settings: Vec<String>,
    listeners: Vec<(String, String)>,
    upstreams: Vec<(String, String)>,
    files: Vec<(String, String)>,
    workers: Option<usize>,
}

impl Setup {
    /// Nothing yet.
    pub fn new() -> Setup {
        Setup::default()
    }

    /// The usual one: listener `web` (HTTP) in front of the upstream `app` with one endpoint. `keys` are further
    /// keys of the listener, YAML that starts at the first column.
    pub fn web(app: &impl Display, keys: &str) -> Setup {
        Setup::new().upstream("app", &[app]).listener("web", &format!("upstream: app\n{keys}"))
    }

    /// HTTPS: the usual one with a certificate.
    pub fn https(app: &impl Display, identity: &Identity, keys: &str) -> Setup {
        Setup::https_with(app, identity, "", keys)
    }

    /// HTTPS with further keys of `tls`, and further keys of the listener.
    pub fn https_with(app: &impl Display, identity: &Identity, tls: &str, keys: &str) -> Setup {
        Setup::web(app, &format!("{}{keys}", tls_keys(&[identity], tls)))
    }

    /// Layer 4: listener `tcp` in front of the upstream `app` with one endpoint.
    pub fn tcp(app: &impl Display, keys: &str) -> Setup {
        let keys = format!("protocol: tcp\nupstream: app\n{keys}");
        Setup::new().upstream("app", &[app]).listener("tcp", &keys)
    }

    /// Datagrams: listener `udp` in front of the upstream `app` with one endpoint.
    pub fn udp(app: &impl Display, keys: &str) -> Setup {
        let keys = format!("protocol: udp\nupstream: app\n{keys}");
        Setup::new().upstream("app", &[app]).listener("udp", &keys)
    }

    /// Adds a listener.
    pub fn listener(mut self, name: &str, keys: &str) -> Setup {
        self.listeners.push((name.to_owned(), keys.to_owned()));
        self
    }

    /// Adds an upstream.
    pub fn upstream(self, name: &str, endpoints: &[&dyn Display]) -> Setup {
        self.upstream_with(name, endpoints, "")
    }

    /// Adds an upstream with further keys; replaces one of the same name.
    pub fn upstream_with(self, name: &str, endpoints: &[&dyn Display], keys: &str) -> Setup {
        let endpoints =
            endpoints.iter().map(|endpoint| format!("\"{endpoint}\"")).collect::<Vec<_>>().join(", ");
        self.upstream_keys(name, &format!("endpoints: [{endpoints}]\n{keys}"))
    }

    /// Adds an upstream of which all keys are given; replaces one of the same name.
    pub fn upstream_keys(mut self, name: &str, keys: &str) -> Setup {
        self.upstreams.retain(|(other, _)| other != name);
        self.upstreams.push((name.to_owned(), keys.to_owned()));
        self
    }

    /// Adds an upstream with all its keys, the endpoints among them.
    pub fn upstream_written(mut self, name: &str, keys: &str) -> Setup {
        self.upstreams.push((name.to_owned(), keys.to_owned()));
        self
    }

    /// Adds an upstream whose endpoints are asked in this order: each is a backup of those before it. Replaces one of the same name.
    pub fn upstream_in_order(mut self, name: &str, endpoints: &[&dyn Display], keys: &str) -> Setup {
        let one = |(priority, endpoint)| format!("  - {{ address: \"{endpoint}\", priority: {priority} }}\n");
        let endpoints = endpoints.iter().enumerate().map(one).collect::<String>();
        self.upstreams.retain(|(other, _)| other != name);
        self.upstreams.push((name.to_owned(), format!("endpoints:\n{endpoints}{keys}")));
        self
    }

    /// Adds keys to `settings`.
    pub fn settings(mut self, keys: &str) -> Setup {
        self.settings.push(keys.to_owned());
        self
    }

    /// Puts a file beside the configuration.
    pub fn file(mut self, name: &str, content: &str) -> Setup {
        self.files.push((name.to_owned(), content.to_owned()));
        self
    }

    /// Adds the listener `status`, for [`Narrows::state_of`].
    pub fn telling_status(self) -> Setup {
        self.listener("status", "routes:\n  - { path: /*, status: upstreams }")
    }

    /// Tells the metrics at an address of their own, for [`Narrows::metrics`]; `keys` are further ones of `metrics`.
    pub fn metrics(mut self, keys: &str) -> Setup {
        self.metrics = Some(format!("bind: \"127.0.0.1:0\"\n{keys}"));
        self
    }

    /// Runs this many workers instead of one.
    pub fn workers(mut self, workers: usize) -> Setup {
        self.workers = Some(workers);
        self
    }

    /// The configuration as YAML.
    pub fn yaml(&self) -> String {
        let mut yaml = String::new();
        if !self.settings.is_empty() {
            yaml.push_str("settings:\n");
            self.settings.iter().for_each(|keys| indented(&mut yaml, 2, keys));
        }
        if let Some(keys) = &self.metrics {
            yaml.push_str("metrics:\n");
            indented(&mut yaml, 2, keys);
        }
        yaml.push_str("listeners:\n");
        for (name, keys) in &self.listeners {
            let _ = writeln!(yaml, "  {name}:");
            if !keys.lines().any(|line| line.starts_with("bind:")) {
                indented(&mut yaml, 4, "bind: \"127.0.0.1:0\"");
            }
            indented(&mut yaml, 4, keys);
        }
        if !self.upstreams.is_empty() {
            yaml.push_str("upstreams:\n");
        }
        for (name, keys) in &self.upstreams {
            let _ = writeln!(yaml, "  {name}:");
            indented(&mut yaml, 4, keys);
        }
        yaml
    }

    /// Starts the proxy and waits until it is ready.
    #[track_caller]
    pub fn start(&self) -> Narrows {
        let workers = self.workers.unwrap_or(1).to_string();
        Narrows::start_in(self.folder(), &self.yaml(), &["--workers", &workers])
    }

    /// Starts it with a limit on open files.
    #[track_caller]
    pub fn start_with_open_files(&self, limit: usize) -> Narrows {
        let mut command = Command::new("sh");
        let script = format!("ulimit -n {limit}; exec \"$0\" \"$@\"");
        command.args(["-c", &script]).arg(binary()).args(["run", "--workers", "1"]);
        Narrows::start_with(command, self.folder(), &self.yaml())
    }

    fn folder(&self) -> Folder {
        let folder = Folder::new();
        for (name, content) in &self.files {
            folder.write(name, content);
        }
        folder
    }
}

/// The key `tls` of a listener with these certificates, and further keys below it.
pub fn tls_keys(identities: &[&Identity], further: &str) -> String {
    let mut yaml = "tls:\n  certificates:\n".to_owned();
    for identity in identities {
        let _ = writeln!(yaml, "    - {}", identity.yaml());
    }
    indented(&mut yaml, 2, further);
    yaml
}

fn indented(yaml: &mut String, columns: usize, text: &str) {
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        let _ = writeln!(yaml, "{:columns$}{line}", "");
    }
}
