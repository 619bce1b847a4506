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
    /// Endpoints of each server, with a number made from the address. The addresses of one name are one server, as in NGINX.
    servers: Box<[Box<[(u64, u32)]>]>,
}

impl Ring {
    pub(super) fn new(members: &[&Member]) -> Self {
        let mut numbers: HashMap<(&str, String), usize> = HashMap::new();
        let mut servers: Vec<(u32, u32, Vec<(u64, u32)>)> = Vec::new();
        for (endpoint, member) in (0..).zip(members).filter(|(_, member)| member.weight > 0) {
            let (host, port) = host_and_port(member);
            let base = crc32::update(crc32::update(crc32::START, host.as_bytes()), b"\0");
            let base = crc32::update(base, port.as_bytes());
            let number = *numbers.entry((host, port)).or_insert(servers.len());
            if number == servers.len() {
                servers.push((base, 0, Vec::new()));
            }
            let (_, weight, endpoints) = &mut servers[number];
            *weight = member.weight.max(*weight);
            endpoints.push((hash_text(&member.label), endpoint));
        }
        let total: u64 = servers.iter().map(|(_, weight, _)| u64::from(*weight) * POINTS).sum();
        let mut points = Vec::with_capacity(total.min(MOST_POINTS) as usize);
        for (number, (base, weight, _)) in (0..).zip(&servers) {
            let wanted = u64::from(*weight) * POINTS;
            let count = if total > MOST_POINTS { (wanted * MOST_POINTS / total).max(1) } else { wanted };
            let mut previous = 0_u32;
            for _ in 0..count {
                previous = crc32::finish(crc32::update(*base, &previous.to_le_bytes()));
                points.push((previous, number));
            }
        }
        // Where two servers share a point, NGINX leaves it to whichever its sort puts first; here it is the one that is configured first.
        points.sort_unstable();
        points.dedup_by_key(|(point, _)| *point);
        let servers = servers.into_iter().map(|(_, _, endpoints)| endpoints.into_boxed_slice()).collect();
        Ring { points: points.into(), servers }
    }

    pub(super) fn find(&self, hash: u32, accepts: &mut impl FnMut(usize) -> bool) -> Option<usize> {
        let first = self.points.partition_point(|(point, _)| *point < hash);
        let (before, after) = self.points.split_at(first);
        let mut last = None;
        for &(_, server) in after.iter().chain(before) {
            if last.replace(server) == Some(server) {
                continue;
            }
            let endpoints = &self.servers[server as usize];
            let found = match **endpoints {
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
