//! Endpoints that are addresses of this process, from which traffic would come back.

use super::Lowering;
use super::addresses::read_endpoint;
use crate::code::Code;
use crate::diagnostic::Finding;
use crate::model::Configuration;
use crate::shape::TextOr;
use narrows_plan::{Action, Address, Bind, Listener, Plan, Protocol, UpstreamId};
use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::path::PathBuf;

/// Listeners by what an endpoint says of them: the port or path, and whether datagrams come there.
struct Listening<'p> {
    sockets: HashMap<(u16, bool), Vec<(IpAddr, usize)>>,
    paths: HashMap<&'p PathBuf, usize>,
}

impl<'p> Listening<'p> {
    fn new(plan: &'p Plan) -> Self {
        let mut listening = Listening { sockets: HashMap::new(), paths: HashMap::new() };
        for (index, listener) in plan.listeners.iter().enumerate() {
            for (bind, _) in &listener.binds {
                match bind {
                    Bind::Socket(address) if address.port() == 0 => {}
                    Bind::Socket(address) => {
                        let key = (address.port(), is_udp(listener));
                        listening.sockets.entry(key).or_default().push((address.ip(), index));
                    }
                    Bind::Unix(path) => drop(listening.paths.insert(path, index)),
                }
            }
        }
        listening
    }

    /// The listener that takes what is sent to an address.
    fn at(&self, address: &Address, udp: bool) -> Option<usize> {
        let (wanted, port): (&[IpAddr], u16) = match address {
            Address::Unix(path) => return self.paths.get(path).copied().filter(|_| !udp),
            Address::Socket(address) => (&[address.ip()], address.port()),
            Address::Name(host, port) if &**host == "localhost" => (&LOCALHOST, *port),
            Address::Name(..) | Address::Service(_) => return None,
        };
        let binds = self.sockets.get(&(port, udp))?;
        let takes = |bound: IpAddr| wanted.iter().any(|wanted| takes(bound, *wanted));
        binds.iter().find(|(bound, _)| takes(*bound)).map(|(_, index)| *index)
    }
}

/// What `localhost` is.
const LOCALHOST: [IpAddr; 2] =
    [IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), IpAddr::V6(std::net::Ipv6Addr::LOCALHOST)];

/// Whether a socket that is bound to one address takes what is sent to the other, as far as can be known: which addresses this machine has
/// is not asked.
fn takes(bound: IpAddr, sent: IpAddr) -> bool {
    // What is sent to the unspecified address goes to this machine.
    let sent = match sent {
        IpAddr::V4(address) if address.is_unspecified() => LOCALHOST[0],
        IpAddr::V6(address) if address.is_unspecified() => LOCALHOST[1],
        other => other,
    };
    let is_of_family = bound.is_ipv6() || sent.is_ipv4();
    bound == sent || bound.is_unspecified() && is_of_family && sent.is_loopback()
}

fn is_udp(listener: &Listener) -> bool {
    matches!(listener.protocol, Protocol::Udp(_))
}

/// Where a listener sends its traffic; copies are not answered, but come back all the same.
fn targets(listener: &Listener) -> HashSet<UpstreamId> {
    match &listener.protocol {
        Protocol::Tcp(tcp) => tcp.routes.iter().map(|route| route.upstream).chain(tcp.fallback).collect(),
        Protocol::Udp(udp) => udp.routes.iter().map(|route| route.upstream).chain(udp.fallback).collect(),
        Protocol::Http(http) => {
            let mut targets = HashSet::new();
            for route in http.routes.iter().chain(http.fallback.as_deref()) {
                match &route.action {
                    Action::Upstream(id) => drop(targets.insert(*id)),
                    Action::Split(split) => targets.extend(split.shares.iter().map(|(id, _)| *id)),
                    Action::Respond(_) | Action::Redirect(_) | Action::Status => {}
                }
                targets.extend(route.mirrors.iter().map(|mirror| mirror.upstream));
            }
            targets
        }
    }
}

impl Lowering<'_> {
    /// Warns of endpoints from which traffic comes back to the listener that sent it. One listener in front of another is fine.
    pub(super) fn warn_loops(&mut self, files: &[(Configuration, PathBuf)], plan: &Plan) {
        let listening = Listening::new(plan);
        let mut next: Vec<HashSet<usize>> = vec![HashSet::new(); plan.listeners.len()];
        // Who sends to an endpoint: upstream, address, listener that is there, listener that sends.
        let mut sent: Vec<(UpstreamId, &Address, usize, usize)> = Vec::new();
        for (sender, listener) in plan.listeners.iter().enumerate() {
            for id in targets(listener) {
                let Some(upstream) = plan.upstreams.get(id.0 as usize) else { continue };
                for endpoint in &upstream.endpoints {
                    if let Some(there) = listening.at(&endpoint.address, is_udp(listener)) {
                        next[sender].insert(there);
                        sent.push((id, &endpoint.address, there, sender));
                    }
                }
            }
        }
        let mut reached: HashMap<usize, HashSet<usize>> = HashMap::new();
        let mut loops: HashMap<(UpstreamId, &Address), usize> = HashMap::new();
        for (id, address, there, sender) in sent {
            if reached.entry(there).or_insert_with(|| reach(&next, there)).contains(&sender) {
                loops.insert((id, address), there);
            }
        }
        if loops.is_empty() {
            return;
        }
        let upstreams = files.iter().flat_map(|(file, _)| &file.upstreams).flat_map(|all| &all.entries);
        for (name, written) in upstreams {
            let Some((id, _)) = self.names.get(&name.text).copied() else { continue };
            for endpoint in written.endpoints.iter().flat_map(|endpoints| &endpoints.0) {
                let text = match endpoint {
                    TextOr::Short(text) => text,
                    TextOr::Long(table) => match &table.address {
                        Some(text) => text,
                        None => continue,
                    },
                };
                let Ok(address) = read_endpoint(&text.text) else { continue };
                let Some(listener) = loops.get(&(id, &address)).and_then(|there| plan.listeners.get(*there))
                else {
                    continue;
                };
                let message = format!(
                    "traffic goes in a circle: `{}` is the listener `{}` of this process, from which it comes here again",
                    text.text, listener.name
                );
                let help = "write the address of the server that is meant";
                self.reporter.defer(Finding::warning(Code::Loop, text.place, message).help(help));
            }
        }
    }
}

/// Where traffic comes to from a listener, itself included.
fn reach(next: &[HashSet<usize>], from: usize) -> HashSet<usize> {
    let mut reached = HashSet::from([from]);
    let mut open = vec![from];
    while let Some(one) = open.pop() {
        open.extend(next[one].iter().copied().filter(|there| reached.insert(*there)));
    }
    reached
}
