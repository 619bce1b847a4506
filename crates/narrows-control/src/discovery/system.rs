//! What the system is configured with: `/etc/resolv.conf` and `/etc/hosts`, and when they change.

use super::stamp::Stamp;
use std::cell::RefCell;
use std::collections::HashMap;
use std::io::Read;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use tokio::sync::watch;

/// Servers that are asked, as many as the C library asks.
const SERVERS: usize = 3;
/// Domains that are tried, as many as the C library tries.
const SEARCH: usize = 32;
/// The C library's limit on `ndots`.
const DOTS: usize = 15;
/// A file is read up to here.
const LARGEST: u64 = 16 << 20;
/// The port of DNS.
const PORT: u16 = 53;

/// How the system looks up names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SystemNames {
    /// Who is asked.
    pub(super) servers: Vec<SocketAddr>,
    /// Domains that are tried behind a name.
    pub(super) search: Vec<String>,
    /// A name with at least as many dots is tried as it is first.
    pub(super) dots: usize,
    /// Names that are known, in lower case.
    pub(super) hosts: HashMap<String, Vec<IpAddr>>,
}

/// The two files, read again when they change.
#[derive(Debug)]
pub(super) struct System {
    resolver_path: PathBuf,
    hosts_path: PathBuf,
    stamps: RefCell<[Option<Stamp>; 2]>,
    names: watch::Sender<Rc<SystemNames>>,
}

impl System {
    /// The files of this system.
    pub(super) fn new() -> Rc<Self> {
        System::at("/etc/resolv.conf".as_ref(), "/etc/hosts".as_ref())
    }

    /// Files at other places.
    pub(super) fn at(resolver: &Path, hosts: &Path) -> Rc<Self> {
        let stamps = RefCell::new([Stamp::of(resolver), Stamp::of(hosts)]);
        let names = watch::channel(Rc::new(SystemNames::read(resolver, hosts))).0;
        Rc::new(System { resolver_path: resolver.to_owned(), hosts_path: hosts.to_owned(), stamps, names })
    }

    /// What they say.
    pub(super) fn names(&self) -> Rc<SystemNames> {
        Rc::clone(&self.names.borrow())
    }

    /// To be told when they say something else.
    pub(super) fn watch(&self) -> watch::Receiver<Rc<SystemNames>> {
        self.names.subscribe()
    }

    /// Reads them again if they have changed.
    pub(super) fn look(&self) {
        let stamps = [Stamp::of(&self.resolver_path), Stamp::of(&self.hosts_path)];
        if self.stamps.replace(stamps) != stamps {
            let renewed = SystemNames::read(&self.resolver_path, &self.hosts_path);
            self.names.send_if_modified(|names| {
                let is_new = **names != renewed;
                if is_new {
                    *names = Rc::new(renewed);
                }
                is_new
            });
        }
    }
}

impl SystemNames {
    fn read(resolver: &Path, hosts: &Path) -> Self {
        SystemNames::parse(&text(resolver), &text(hosts))
    }

    /// Never fails: what cannot be understood is passed over, as everywhere.
    pub(super) fn parse(resolver: &str, hosts: &str) -> Self {
        let mut names =
            SystemNames { servers: Vec::new(), search: Vec::new(), dots: 1, hosts: HashMap::new() };
        for line in resolver.lines() {
            let mut words = line.split_whitespace();
            match words.next() {
                // An address with a zone, fe80::1%eth0, is passed over.
                Some("nameserver") => {
                    names.servers.extend(
                        words
                            .next()
                            .and_then(|word| word.parse::<IpAddr>().ok())
                            .map(|address| SocketAddr::new(address, PORT)),
                    );
                }
                // The last line of these counts.
                Some("search" | "domain") => {
                    let words = words.take_while(|word| !word.starts_with(['#', ';']));
                    names.search = words.take(SEARCH).map(str::to_owned).collect();
                }
                Some("options") => {
                    let mut dots =
                        words.filter_map(|word| word.strip_prefix("ndots:")?.parse::<usize>().ok());
                    names.dots = dots.next_back().map_or(names.dots, |dots| dots.min(DOTS));
                }
                _ => {}
            }
        }
        names.servers.truncate(SERVERS);
        if names.servers.is_empty() {
            names.servers.push((Ipv4Addr::LOCALHOST, PORT).into());
        }
        for line in hosts.lines() {
            let line = line.split('#').next().unwrap_or_default();
            let mut words = line.split_whitespace();
            let Some(address) = words.next().and_then(|word| word.parse::<IpAddr>().ok()) else { continue };
            for name in words {
                let name = name.trim_end_matches('.').to_ascii_lowercase();
                names.hosts.entry(name).or_default().push(address);
            }
        }
        names
    }
}

fn text(path: &Path) -> String {
    let mut bytes = Vec::new();
    if let Ok(file) = std::fs::File::open(path) {
        // What was read until a failure is used.
        let _ = file.take(LARGEST).read_to_end(&mut bytes);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests;
