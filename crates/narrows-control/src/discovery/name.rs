//! The addresses of a name: which families are asked for, and what of the answers is used.

use super::answer::Answer;
use super::stub::StubResolver;
use narrows_plan::AddressFamily;
use std::net::IpAddr;
use std::time::Duration;

/// The addresses of a host in ascending order, so that an answer in another order is the same. `before` is
/// the last good answer: of two families, the one that failed keeps what it had; where only one address is
/// wanted, it stays as long as it is in the answer. Cancel safe.
pub(super) async fn addresses(stub: &StubResolver, host: &str, before: &[IpAddr]) -> Answer<Vec<IpAddr>> {
    let answer = match stub.settings.family {
        AddressFamily::Ipv4 => stub.addresses(host, false).await,
        AddressFamily::Ipv6 => stub.addresses(host, true).await,
        AddressFamily::PreferIpv4 => preferred(stub, host, false).await,
        AddressFamily::PreferIpv6 => preferred(stub, host, true).await,
        AddressFamily::All => {
            let (v4, v6) = tokio::join!(stub.addresses(host, false), stub.addresses(host, true));
            let of = |is_ipv6: bool| before.iter().filter(move |one| one.is_ipv6() == is_ipv6).copied();
            both((v4, of(false).collect()), (v6, of(true).collect()), stub.settings.retry)
        }
    };
    let Answer::Found { mut what, ttl } = answer else { return answer };
    what.sort_unstable();
    what.dedup();
    if !stub.settings.every_address {
        let stays = before.first().filter(|address| what.contains(address)).copied();
        let first = stays.or(what.first().copied());
        what = first.into_iter().collect();
    }
    Answer::Found { what, ttl }
}

/// One family, and the other one when it is certain that there is nothing in the first.
async fn preferred(stub: &StubResolver, host: &str, prefers_ipv6: bool) -> Answer<Vec<IpAddr>> {
    match stub.addresses(host, prefers_ipv6).await {
        Answer::Nothing { why, ttl } => match stub.addresses(host, !prefers_ipv6).await {
            Answer::Nothing { why: other, ttl: holds } => {
                let why = if why == other { why } else { "the name has no address" };
                Answer::Nothing { why, ttl: ttl.min(holds) }
            }
            // The preferred family may come before the other one goes.
            Answer::Found { what, ttl: holds } => {
                Answer::Found { what, ttl: holds.min(ttl.unwrap_or(stub.settings.retry)) }
            }
            failed => failed,
        },
        answer => answer,
    }
}

/// The answers for both families, each with what was known of it, as one.
fn both(
    (one, known_one): (Answer<Vec<IpAddr>>, Vec<IpAddr>),
    (other, known_other): (Answer<Vec<IpAddr>>, Vec<IpAddr>),
    retry: Duration,
) -> Answer<Vec<IpAddr>> {
    match (one, other) {
        (Answer::Found { mut what, ttl }, Answer::Found { what: more, ttl: holds }) => {
            what.extend(more);
            Answer::Found { what, ttl: ttl.min(holds) }
        }
        (Answer::Found { what, ttl }, Answer::Nothing { ttl: holds, .. })
        | (Answer::Nothing { ttl: holds, .. }, Answer::Found { what, ttl }) => {
            Answer::Found { what, ttl: ttl.min(holds.unwrap_or(retry)) }
        }
        (Answer::Found { mut what, ttl }, Answer::Failed { .. }) => {
            what.extend(known_other);
            Answer::Found { what, ttl: ttl.min(retry) }
        }
        (Answer::Failed { .. }, Answer::Found { mut what, ttl }) => {
            what.extend(known_one);
            Answer::Found { what, ttl: ttl.min(retry) }
        }
        (Answer::Failed { why }, _) | (_, Answer::Failed { why }) => Answer::Failed { why },
        (Answer::Nothing { why, ttl }, Answer::Nothing { why: other, ttl: holds }) => {
            let why = if why == other { why } else { "the name has no address" };
            Answer::Nothing { why, ttl: ttl.min(holds) }
        }
    }
}

#[cfg(test)]
mod tests;
