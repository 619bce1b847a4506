//! A ring with the points of NGINX's `hash ... consistent`.

use super::crc32;
use crate::chance::{hash_text, mix};
use crate::membership::Member;
use narrows_plan::Address;
use std::collections::HashMap;

/// Points for each unit of weight.
const POINTS: u64 = 160;
/// Points of a ring at most; with more, each endpoint has fewer than NGINX gives it. 32 MiB.
const MOST_POINTS: u64 = 4 << 20;

/// Each endpoint stands at 160 points for each unit of its weight; a key belongs to the next one. Compatible with Cache::Memcached::Fast
/// and NGINX (1.22): a chain of CRC-32 over `HOST`, a zero byte, `PORT` and the four bytes of the point before, lowest first.
#[derive(Debug)]
pub(crate) struct Ring {
    /// Point and server, in ascending order, each point once.
    points: Box<[(u32, u32)]>,
    /// For each beginning of a hash the first point that may be its own: a look-up reads two lines of memory, not one for each halving.
    starts: Box<[u32]>,
    /// Bits of a hash that come after its beginning.
    rest: u32,
    servers: Box<[Server]>,
}

/// What NGINX calls a server: the addresses of one name are one.
#[derive(Debug)]
struct Server {
    /// The state of the checksum before the first point.
    base: u32,
    weight: u32,
    /// Endpoints, each with a number made from its address.
    endpoints: Vec<(u64, u32)>,
}

impl Ring {
    pub(super) fn new(members: &[&Member]) -> Self {
        Ring::within(MOST_POINTS, members)
    }

    fn within(most: u64, members: &[&Member]) -> Self {
        let mut numbers: HashMap<(&str, String), usize> = HashMap::new();
        let mut servers: Vec<Server> = Vec::new();
        for (endpoint, member) in (0..).zip(members).filter(|(_, member)| member.weight > 0) {
            let (host, port) = host_and_port(member);
            let base = crc32::update(crc32::update(crc32::START, host.as_bytes()), b"\0");
            let base = crc32::update(base, port.as_bytes());
            let number = *numbers.entry((host, port)).or_insert(servers.len());
            if number == servers.len() {
                servers.push(Server { base, weight: 0, endpoints: Vec::new() });
            }
            let server = &mut servers[number];
            server.weight = member.weight.max(server.weight);
            server.endpoints.push((hash_text(&member.label), endpoint));
        }
        let total: u64 = servers.iter().map(|server| u64::from(server.weight) * POINTS).sum();
        let mut points = Vec::with_capacity(total.min(most) as usize);
        for (number, server) in (0..).zip(&servers) {
            let wanted = u64::from(server.weight) * POINTS;
            let count = if total > most { (wanted * most / total).max(1) } else { wanted };
            let mut previous = 0_u32;
            for _ in 0..count {
                previous = crc32::finish(crc32::update(server.base, &previous.to_le_bytes()));
                points.push((previous, number));
            }
        }
        // Where two servers share a point, NGINX leaves it to whichever its sort puts first; here it is the one that is configured first.
        points.sort_unstable();
        points.dedup_by_key(|(point, _)| *point);
        let (starts, rest) = starts(&points);
        Ring { points: points.into(), starts, rest, servers: servers.into() }
    }

    pub(super) fn find(&self, hash: u32, accepts: &mut impl FnMut(usize) -> bool) -> Option<usize> {
        let start = self.starts[(u64::from(hash) >> self.rest) as usize] as usize;
        let later = self.points[start..].iter().position(|(point, _)| *point >= hash);
        let first = later.map_or(self.points.len(), |later| start + later);
        let (before, after) = self.points.split_at(first);
        let mut last = None;
        for &(_, server) in after.iter().chain(before) {
            if last.replace(server) == Some(server) {
                continue;
            }
            let endpoints = &self.servers[server as usize].endpoints;
            let found = match endpoints[..] {
                [(_, endpoint)] => accepts(endpoint as usize).then_some(endpoint),
                _ => best_of(endpoints, hash, accepts),
            };
            if let Some(endpoint) = found {
                return Some(endpoint as usize);
            }
        }
        None
    }
}

/// Where the points of each beginning of a hash start, about eight to each, and how many bits the rest of a hash has.
fn starts(points: &[(u32, u32)]) -> (Box<[u32]>, u32) {
    let bits = (points.len() / 8).max(1).ilog2();
    let rest = u32::BITS - bits;
    let first = |beginning: u64| points.partition_point(|(point, _)| u64::from(*point) >> rest < beginning);
    ((0..1 << bits).map(|beginning| first(beginning) as u32).collect(), rest)
}

/// Among the addresses of one name NGINX takes turns; here the key decides, so that it stays where it is.
fn best_of(endpoints: &[(u64, u32)], hash: u32, accepts: &mut impl FnMut(usize) -> bool) -> Option<u32> {
    let mut best: Option<(u64, u32)> = None;
    for &(seed, endpoint) in endpoints {
        let drawn = mix(seed ^ u64::from(hash));
        if best.is_none_or(|(best, _)| drawn > best) && accepts(endpoint as usize) {
            best = Some((drawn, endpoint));
        }
    }
    best.map(|(_, endpoint)| endpoint)
}

/// What NGINX calls a server: the host as it is written, and the port as text, empty for a Unix socket.
fn host_and_port(member: &Member) -> (&str, String) {
    match &member.address {
        Address::Unix(path) => (path.to_str().unwrap_or(&member.label), String::new()),
        Address::Socket(address) => {
            let port = address.port().to_string();
            let is_name = member.server_name.parse::<std::net::IpAddr>().is_err();
            let written = &member.label[..member.label.len().saturating_sub(port.len() + 1)];
            (if is_name { &*member.server_name } else { written }, port)
        }
        Address::Name(host, port) => (host, port.to_string()),
        Address::Service(name) => (name, String::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::Site;
    use narrows_plan::Balance;

    #[test]
    fn a_ring_has_a_limit_however_heavy_its_endpoints_are() {
        let site = Site::new(Balance::Random, &[65535, 65535, 1]);
        let members: Vec<&Member> = site.members.iter().map(|member| &**member).collect();
        let ring = Ring::within(10_000, &members);
        assert!((9_990..=10_001).contains(&ring.points.len()), "{}", ring.points.len());
        let owned = |server: u32| ring.points.iter().filter(|(_, owner)| *owner == server).count();
        assert!(owned(0).abs_diff(owned(1)) < 20 && owned(2) == 1);
    }
}
