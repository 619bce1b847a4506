//! Asking DNS servers for names: which server, in which order, how often.

use super::answer::{Answer, Reading, read};
use super::system::{System, SystemNames};
use super::transport::{AskError, ask};
use hickory_proto::op::Query;
use hickory_proto::rr::{Name, RData, RecordType};
use narrows_plan::Resolver;
use std::cell::Cell;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;
use tokio::sync::Semaphore;

/// Questions under way at one time; each has a socket.
const UNDER_WAY: usize = 256;
/// How often a server that does not answer is asked.
const ROUNDS: usize = 2;
/// Questions for one name, one alias after another.
const ALIASES: usize = 8;

/// A stub resolver: it asks servers that do the work. One for each different [`Resolver`] of the plan.
#[derive(Debug)]
pub(super) struct StubResolver {
    /// What is configured.
    pub(super) settings: Resolver,
    system: Rc<System>,
    /// Who answered last is asked first.
    first: Cell<usize>,
    room: Semaphore,
}

impl StubResolver {
    pub(super) fn new(settings: Resolver, system: Rc<System>) -> Rc<Self> {
        Rc::new(StubResolver { settings, system, first: Cell::new(0), room: Semaphore::new(UNDER_WAY) })
    }

    /// The system's files; without effect on a resolver with servers of its own.
    pub(super) fn system(&self) -> Option<&Rc<System>> {
        self.settings.servers.is_empty().then_some(&self.system)
    }

    /// Looks up the addresses of a host in one family: `localhost`, then the system's list of hosts, then the
    /// servers. Those are asked for each name that `host` may stand for, until one of them has an address.
    /// Cancel safe.
    pub(super) async fn addresses(&self, host: &str, wants_ipv6: bool) -> Answer<Vec<IpAddr>> {
        let local = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
        let names = self.system().map(|system| system.names());
        let known = names.as_ref().and_then(|names| names.hosts.get(&local));
        if let Some(known) = known {
            return of_family(known, wants_ipv6);
        }
        if local == "localhost" || local.ends_with(".localhost") {
            return of_family(&[Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()], wants_ipv6);
        }
        let kind = if wants_ipv6 { RecordType::AAAA } else { RecordType::A };
        let mut nothing: Option<Answer<_>> = None;
        let mut failed = None;
        for name in candidates(host, names.as_deref()) {
            match self.look_up(name, kind).await {
                Answer::Found { what, ttl } => {
                    let address = |data: RData| match data {
                        RData::A(address) => Some(IpAddr::V4(address.0)),
                        RData::AAAA(address) => Some(IpAddr::V6(address.0)),
                        _ => None,
                    };
                    return Answer::Found { what: what.into_iter().filter_map(address).collect(), ttl };
                }
                Answer::Nothing { why, ttl } => nothing = Some(Answer::Nothing { why, ttl }),
                Answer::Failed { why } => failed = Some(Answer::Failed { why }),
            }
        }
        // A name is missing only when every answer says so.
        failed.or(nothing).unwrap_or_else(|| Answer::Failed { why: "it is no name for DNS".to_owned() })
    }

    /// Looks up one full name. Cancel safe.
    pub(super) async fn look_up(&self, name: Name, kind: RecordType) -> Answer<Vec<RData>> {
        let mut question = Query::query(name, kind);
        let mut alias_holds = Duration::MAX;
        for _ in 0..ALIASES {
            match self.ask_servers(&question).await {
                Reading::Alias { name, ttl } => {
                    alias_holds = alias_holds.min(ttl);
                    question = Query::query(name, kind);
                }
                Reading::Answer(Answer::Found { what, ttl }) => {
                    return Answer::Found { what, ttl: ttl.min(alias_holds) };
                }
                Reading::Answer(answer) => return answer,
            }
        }
        Answer::Failed { why: "the name is an alias of an alias, without end".to_owned() }
    }

    /// Asks one server after another, beginning with the one that answered last, until one knows; those that
    /// are silent once more.
    async fn ask_servers(&self, question: &Query) -> Reading {
        let _room = self.room.acquire().await;
        let names = self.system().map(|system| system.names());
        let servers: &[SocketAddr] =
            names.as_ref().map_or(&*self.settings.servers, |names| names.servers.as_slice());
        let mut waiting: Vec<usize> = (0..servers.len()).collect();
        waiting.rotate_left(self.first.get() % servers.len().max(1));
        let mut why = String::new();
        for _ in 0..ROUNDS {
            let mut silent = Vec::new();
            for index in waiting {
                let server = servers[index];
                let reading = match ask(server, question, self.settings.timeout).await {
                    Ok(message) => read(&message, question),
                    Err(error) => {
                        if matches!(error, AskError::TimedOut) {
                            silent.push(index);
                        }
                        why = format!("DNS server {server}: {error}");
                        continue;
                    }
                };
                match reading {
                    Reading::Answer(Answer::Failed { why: reason }) => {
                        why = format!("DNS server {server}: {reason}");
                    }
                    reading => {
                        self.first.set(index);
                        return reading;
                    }
                }
            }
            waiting = silent;
        }
        Reading::Answer(Answer::Failed { why })
    }
}

/// The addresses of a host that is known without asking.
fn of_family(known: &[IpAddr], wants_ipv6: bool) -> Answer<Vec<IpAddr>> {
    let what: Vec<_> = known.iter().filter(|address| address.is_ipv6() == wants_ipv6).copied().collect();
    if what.is_empty() {
        let why = if wants_ipv6 { "the name has no IPv6 address" } else { "the name has no IPv4 address" };
        return Answer::Nothing { why, ttl: Some(Duration::MAX) };
    }
    Answer::Found { what, ttl: Duration::MAX }
}

/// The full names that a host may stand for, the likeliest first. What is no name for DNS (a label of more
/// than 63 bytes) is left out.
fn candidates(host: &str, names: Option<&SystemNames>) -> Vec<Name> {
    let full = |text: &str| {
        let mut name = Name::from_ascii(text).ok()?;
        name.set_fqdn(true);
        Some(name)
    };
    let as_it_is = full(host);
    let Some(names) = names.filter(|_| !host.ends_with('.')) else {
        return as_it_is.into_iter().collect();
    };
    let searched =
        names.search.iter().filter_map(|domain| full(&format!("{host}.{}", domain.trim_start_matches('.'))));
    let dots = host.bytes().filter(|byte| *byte == b'.').count();
    if dots >= names.dots {
        as_it_is.into_iter().chain(searched).collect()
    } else {
        searched.chain(as_it_is).collect()
    }
}

#[cfg(test)]
mod tests;
