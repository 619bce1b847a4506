//! Upstreams: what each is on its own. What depends on who uses it is checked in `usage`.

use super::Lowering;
use crate::code::Code;
use crate::diagnostic::Finding;
use crate::endpoints::{Complaint, read_endpoints};
use crate::model::{self, ProxyProtocolVersion, Upstream};
use crate::shape::OrOff;
use crate::source::Place;
use crate::tree::Text;
use narrows_plan::{Address, PoolLimits, Resolver, WhenDown, defaults};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// The port of DNS servers.
const DNS_PORT: u16 = 53;

/// The shortest interval, timeout or window that makes sense: deadlines are looked at ten times a second.
const SHORTEST: Duration = Duration::from_millis(100);

impl Lowering<'_> {
    pub(super) fn upstream(&mut self, name: &Text, written: &Upstream) -> narrows_plan::Upstream {
        let mut upstream = narrows_plan::Upstream::new(&name.text, self.reporter.sources.origin(name.place));
        upstream.endpoints = self.endpoints(written.endpoints.as_ref().map_or(&[], |endpoints| &endpoints.0));
        upstream.endpoint_file = written.endpoint_file.as_ref().map(|file| self.endpoint_file(file));
        if !written.has("endpoints") && !written.has("endpoint_file") {
            let message = format!("the upstream `{}` has no endpoints", name.text);
            let help = "write `endpoints: [\"10.0.0.1:8080\"]`, or `endpoint_file: endpoints.yaml`";
            self.reporter.report(Finding::error(Code::NoEndpoints, name.place, message).help(help));
        }
        self.warn_weightless(written, &upstream);
        upstream.pool = pool(written);
        upstream.proxy_protocol = written.proxy_protocol.map(|version| match version {
            ProxyProtocolVersion::V1 => narrows_plan::ProxyProtocolVersion::V1,
            ProxyProtocolVersion::V2 => narrows_plan::ProxyProtocolVersion::V2,
        });
        self.upstream_security(written, &mut upstream);
        if let Some(resolver) = &written.resolver {
            upstream.resolver = self.resolver(resolver);
            let asks = |address: &Address| matches!(address, Address::Name(..) | Address::Service(_));
            let has_names = upstream.endpoints.iter().any(|endpoint| asks(&endpoint.address));
            if !has_names && !written.has("endpoint_file") && !upstream.endpoints.is_empty() {
                let message = "no endpoint here is a name or a service, so nobody is asked";
                self.reporter.defer(Finding::warning(Code::NoEffect, written.key("resolver"), message));
            }
        }
        upstream.balancing = self.balancing(written, &upstream);
        upstream.stickiness =
            written.stickiness.as_ref().and_then(|text| self.stickiness(text)).map(Box::new);
        upstream.health =
            written.health.as_ref().and_then(|health| self.health(health, &upstream)).map(Box::new);
        upstream.agent = written.agent.as_ref().and_then(|agent| self.agent(agent, &upstream)).map(Box::new);
        upstream.passive = self.passive(written.passive.as_ref());
        upstream.slow_start = written.slow_start.and_then(OrOff::on).map(|duration| duration.0);
        if let Some(retries) = &written.retries {
            upstream.retry = self.retries(retries);
        }
        upstream.limits = self.upstream_limits(written, &upstream);
        upstream.breaker = self.breaker(written.breaker.as_ref());
        upstream.concurrency = self.concurrency(written.adaptive_concurrency.as_ref());
        upstream.when_down = match written.when_down {
            None | Some(model::WhenDown::Keep) => WhenDown::Keep,
            Some(model::WhenDown::Close) => WhenDown::Close,
        };
        upstream
    }

    /// The path of a file of endpoints. That it cannot be used now is no error: it is read again while the process runs.
    fn endpoint_file(&mut self, file: &Text) -> std::path::PathBuf {
        let path = self.folder.join(&file.text);
        if let Err(Complaint { at, text }) = read_endpoints(&path) {
            let line = at.map_or(String::new(), |(line, column)| format!("line {line}, column {column}: "));
            let message = format!("the endpoints of this file cannot be used now: {line}{text}");
            let help = "the file is watched: its endpoints are taken as soon as it can be read";
            self.reporter.report(Finding::warning(Code::EndpointFile, file.place, message).help(help));
        }
        path
    }

    fn warn_weightless(&mut self, written: &Upstream, upstream: &narrows_plan::Upstream) {
        let endpoints = &upstream.endpoints;
        if endpoints.is_empty() || written.has("endpoint_file") || endpoints.iter().any(|one| one.weight > 0)
        {
            return;
        }
        let message = "all weights of this upstream are 0: its endpoints get only what sticks to them";
        let help = "give one of them a weight above 0";
        self.reporter.defer(Finding::warning(Code::NoWeight, written.key("endpoints"), message).help(help));
    }

    fn resolver(&mut self, written: &model::Resolver) -> Resolver {
        let mut resolver = Resolver::default();
        let servers = written.servers.iter().flat_map(|servers| &servers.0);
        resolver.servers = servers.filter_map(|server| self.dns_server(server)).collect();
        let default = Resolver::default();
        resolver.timeout = self.at_least(SHORTEST, written.timeout, written.key("timeout"), default.timeout);
        resolver.retry = self.at_least(SHORTEST, written.retry, written.key("retry"), default.retry);
        if let Some(minimum) = written.minimum_ttl {
            resolver.minimum_ttl = minimum.0;
        }
        if let Some(maximum) = written.maximum_ttl {
            let place = written.key("maximum_ttl");
            resolver.maximum_ttl = self.at_least(SHORTEST, Some(maximum), place, defaults::DNS_MAXIMUM_TTL);
        }
        if resolver.minimum_ttl > resolver.maximum_ttl {
            let (key, other) = if written.has("minimum_ttl") {
                ("minimum_ttl", "maximum_ttl")
            } else {
                ("maximum_ttl", "minimum_ttl")
            };
            let message = format!(
                "`minimum_ttl` ({}) is longer than `maximum_ttl` ({})",
                model::time(resolver.minimum_ttl),
                model::time(resolver.maximum_ttl)
            );
            let mut finding = Finding::error(Code::NumberOutOfRange, written.key(key), message);
            if written.has(other) {
                finding = finding.label(written.key(other), format!("`{other}` is here"));
            }
            self.reporter.report(finding);
        }
        resolver.family = match written.family {
            None | Some(model::AddressFamily::PreferIpv4) => narrows_plan::AddressFamily::PreferIpv4,
            Some(model::AddressFamily::PreferIpv6) => narrows_plan::AddressFamily::PreferIpv6,
            Some(model::AddressFamily::Ipv4) => narrows_plan::AddressFamily::Ipv4,
            Some(model::AddressFamily::Ipv6) => narrows_plan::AddressFamily::Ipv6,
            Some(model::AddressFamily::All) => narrows_plan::AddressFamily::All,
        };
        resolver.every_address = written.addresses != Some(model::Addresses::First);
        resolver
    }

    fn dns_server(&mut self, text: &Text) -> Option<SocketAddr> {
        let bare = text.text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(&text.text);
        let address = bare.parse::<IpAddr>().map(|address| SocketAddr::new(address, DNS_PORT));
        let address = address.or_else(|_| text.text.parse::<SocketAddr>());
        match address {
            Ok(address) if address.port() != 0 => Some(address),
            _ => {
                let message = format!("`{}` is not the address of a DNS server", text.text);
                let help =
                    "write an IP address, with a port when it is not 53: `10.0.0.53`, `10.0.0.53:5353`";
                self.reporter.report(Finding::error(Code::BadAddress, text.place, message).help(help));
                None
            }
        }
    }

    /// A duration that makes no sense below `least`.
    pub(super) fn at_least(
        &mut self,
        least: Duration,
        written: Option<crate::shape::Duration>,
        place: Place,
        default: Duration,
    ) -> Duration {
        let Some(crate::shape::Duration(duration)) = written else { return default };
        if duration < least {
            let message = format!("this must be at least {}", model::time(least));
            self.reporter.report(Finding::error(Code::BadDuration, place, message));
            return default;
        }
        duration
    }

    /// The same where deadlines are looked at ten times a second.
    pub(super) fn some_time(
        &mut self,
        written: Option<crate::shape::Duration>,
        place: Place,
        default: Duration,
    ) -> Duration {
        self.at_least(SHORTEST, written, place, default)
    }

    /// An IP address that something else than the traffic goes to.
    pub(super) fn ip_address(&mut self, text: &Text) -> Option<IpAddr> {
        let address = text.text.parse::<IpAddr>();
        if address.is_err() {
            let message = format!("`{}` is not an IP address", text.text);
            let help = "write an address without a port, `10.0.0.1` or `fd00::1`; the port has a key of its own, `port`";
            self.reporter.report(Finding::error(Code::BadAddress, text.place, message).help(help));
        }
        address.ok()
    }

    /// Reports a key that has no effect.
    pub(super) fn refuse_useless(&mut self, place: Place, message: impl Into<String>, help: &str) {
        self.reporter.report(Finding::error(Code::NoEffect, place, message).help(help));
    }
}

fn pool(written: &Upstream) -> PoolLimits {
    let mut pool = PoolLimits::default();
    let Some(connections) = &written.connections else { return pool };
    if let Some(idle) = connections.idle {
        pool.idle = usize::try_from(idle.number).unwrap_or(usize::MAX);
    }
    if let Some(timeout) = connections.idle_timeout {
        pool.idle_timeout = timeout.on().map(|duration| duration.0);
    }
    if let Some(requests) = connections.requests {
        pool.requests = u32::try_from(requests.number).ok().filter(|requests| *requests > 0);
    }
    pool.age = connections.age.and_then(OrOff::on).map(|duration| duration.0);
    pool
}

/// A number that its shape keeps within 32 bits.
pub(super) fn short<const LEAST: u64, const MOST: u64>(number: crate::shape::Number<LEAST, MOST>) -> u32 {
    u32::try_from(number.number).unwrap_or(u32::MAX)
}
