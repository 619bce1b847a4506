//! The places of a service (DNS SRV, RFC 2782).

use super::answer::Answer;
use super::name;
use super::place::Place;
use super::stub::StubResolver;
use hickory_proto::rr::rdata::SRV;
use hickory_proto::rr::{Name, RData, RecordType};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use tokio::task::JoinSet;

/// Targets that are looked up at most: each costs questions whenever the service is looked up, and strangers
/// write the list.
const TARGETS: usize = 1000;

/// What is known of the targets of a service: their last good answers.
pub(super) type Targets = BTreeMap<Name, Vec<IpAddr>>;

/// The places of a service, in a stable order. A target whose look-up fails keeps the addresses of its last
/// good answer, as long as the service names it. A service that says of itself that it is not there (its only
/// target is the root) has been found, with no place. Cancel safe.
pub(super) async fn places(
    stub: &Rc<StubResolver>,
    service: &str,
    known: &mut Targets,
) -> Answer<Vec<Place>> {
    let Some(name) = full(service) else {
        return Answer::Failed { why: "it is no name for DNS".to_owned() };
    };
    let (records, mut ttl) = match stub.look_up(name, RecordType::SRV).await {
        Answer::Found { what, ttl } => (what.into_iter().filter_map(record).collect::<Vec<_>>(), ttl),
        Answer::Nothing { why, ttl } => return Answer::Nothing { why, ttl },
        Answer::Failed { why } => return Answer::Failed { why },
    };
    let mut targets: Vec<&Name> =
        records.iter().map(|record| &record.target).filter(|target| !target.is_root()).collect();
    targets.sort_unstable();
    targets.dedup();
    targets.truncate(TARGETS);
    if targets.is_empty() {
        known.clear();
        return Answer::Found { what: Vec::new(), ttl };
    }
    known.retain(|target, _| targets.binary_search(&target).is_ok());
    let mut why = None;
    let (mut looked_up, mut order) = (JoinSet::new(), HashMap::new());
    for target in targets {
        let (stub, host) = (Rc::clone(stub), target.to_ascii());
        let before = known.get(target).cloned().unwrap_or_default();
        let task = looked_up.spawn_local(async move { name::addresses(&stub, &host, &before).await });
        order.insert(task.id(), target.clone());
    }
    while let Some(ended) = looked_up.join_next_with_id().await {
        let (id, answer) = match ended {
            Ok(ended) => ended,
            Err(error) => (error.id(), Answer::Failed { why: "the answer could not be read".to_owned() }),
        };
        let Some(target) = order.remove(&id) else { continue };
        let (reason, again) = match answer {
            Answer::Found { what, ttl: holds } => {
                known.insert(target, what);
                ttl = ttl.min(holds);
                continue;
            }
            Answer::Nothing { why, ttl } => (why.to_owned(), ttl.unwrap_or(stub.settings.retry)),
            Answer::Failed { why } => (why, stub.settings.retry),
        };
        ttl = ttl.min(again);
        if !known.contains_key(&target) {
            why = Some(format!("target {}: {reason}", target.to_ascii()));
        }
    }
    match (known.is_empty(), why) {
        (true, Some(why)) => Answer::Failed { why },
        _ => Answer::Found { what: arrange(&records, known), ttl },
    }
}

/// The places of the records, the first priority first.
fn arrange(records: &[SRV], known: &Targets) -> Vec<Place> {
    let mut priorities: Vec<u16> = records.iter().map(|record| record.priority).collect();
    priorities.sort_unstable();
    priorities.dedup();
    let mut places = Vec::new();
    for (rank, priority) in (0..).zip(priorities) {
        let group: Vec<&SRV> =
            records.iter().filter(|record| record.priority == priority && !record.target.is_root()).collect();
        // A weight of 0 is "a very small chance" beside others and an equal share among its like; 1 is
        // exactly what the selection of RFC 2782 gives it.
        let divisor = group.iter().fold(0, |divisor, record| common_divisor(divisor, record.weight.max(1)));
        for record in group {
            for address in known.get(&record.target).into_iter().flatten() {
                let weight = u32::from(record.weight.max(1) / divisor.max(1));
                let address = SocketAddr::new(*address, record.port);
                places.push(Place { priority: rank, address, weight });
            }
        }
    }
    places.sort_unstable();
    // Two records for one place: the better priority counts, and of that the first.
    let mut seen = HashSet::new();
    places.retain(|place| seen.insert(place.address));
    places
}

/// Euclid's; what is divided by it stays in proportion.
fn common_divisor(mut one: u16, mut other: u16) -> u16 {
    while other != 0 {
        (one, other) = (other, one % other);
    }
    one
}

fn record(data: RData) -> Option<SRV> {
    match data {
        RData::SRV(record) => Some(record),
        _ => None,
    }
}

fn full(service: &str) -> Option<Name> {
    let mut name = Name::from_ascii(service).ok()?;
    name.set_fqdn(true);
    Some(name)
}

#[cfg(test)]
mod tests;
