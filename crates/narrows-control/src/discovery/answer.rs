//! What a message of a DNS server says about a question.

use hickory_proto::op::{Message, Query, ResponseCode};
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};
use std::time::Duration;

/// Aliases that are followed within one message.
const ALIASES: usize = 16;

/// The outcome of a look-up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer<T> {
    /// There is something.
    Found {
        /// What there is.
        what: T,
        /// How long it holds.
        ttl: Duration,
    },
    /// It is certain that there is nothing.
    Nothing {
        /// For people: `there is no such name`.
        why: &'static str,
        /// How long that holds, where the server says so.
        ttl: Option<Duration>,
    },
    /// Nobody knows.
    Failed {
        /// For people.
        why: String,
    },
}

/// What one message says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reading {
    /// All there is to say.
    Answer(Answer<Vec<RData>>),
    /// The name is an alias of another one, of which the message says nothing.
    Alias {
        /// The other name.
        name: Name,
        /// How long that holds.
        ttl: Duration,
    },
}

/// Reads a message that belongs to `question`. Names of records are compared, so that what was not asked for
/// is passed over.
pub(super) fn read(message: &Message, question: &Query) -> Reading {
    let code = message.metadata.response_code;
    if !matches!(code, ResponseCode::NoError | ResponseCode::NXDomain) {
        return failed(match code {
            ResponseCode::ServFail => "SERVFAIL",
            ResponseCode::Refused => "REFUSED",
            ResponseCode::FormErr => "FORMERR",
            ResponseCode::NotImp => "NOTIMP",
            _ => code.to_str(),
        });
    }
    let mut name = question.name().clone();
    let mut ttl = Duration::MAX;
    let mut aliases = 0;
    loop {
        let of_name = |record: &&Record| record.dns_class == DNSClass::IN && record.name == name;
        let mut records = Vec::new();
        for record in message.answers.iter().filter(of_name) {
            if record.record_type() == question.query_type() {
                ttl = ttl.min(lifetime(record.ttl));
                records.push(record.data.clone());
            }
        }
        if !records.is_empty() {
            return Reading::Answer(Answer::Found { what: records, ttl });
        }
        let alias = message.answers.iter().filter(of_name).find_map(|record| match &record.data {
            RData::CNAME(target) => Some((target.0.clone(), lifetime(record.ttl))),
            _ => None,
        });
        let Some((target, holds)) = alias else { break };
        aliases += 1;
        if aliases > ALIASES {
            return failed("the name is an alias of an alias, without end");
        }
        (name, ttl) = (target, ttl.min(holds));
    }
    let nothing_for = message.authorities.iter().find_map(|record| match &record.data {
        RData::SOA(soa) => Some(lifetime(record.ttl.min(soa.minimum))),
        _ => None,
    });
    let why = match (code, question.query_type()) {
        (ResponseCode::NXDomain, _) => "there is no such name",
        (_, RecordType::SRV) => "the name has no SRV record",
        (_, RecordType::AAAA) => "the name has no IPv6 address",
        _ => "the name has no IPv4 address",
    };
    let nothing = Reading::Answer(Answer::Nothing { why, ttl: nothing_for });
    let is_elsewhere = message.authorities.iter().any(|record| record.record_type() == RecordType::NS);
    match (code, nothing_for, aliases) {
        (ResponseCode::NXDomain, _, _) | (_, Some(_), _) => nothing,
        (_, None, 1..) => Reading::Alias { name, ttl },
        (_, None, 0) if is_elsewhere && !message.metadata.authoritative => {
            failed("the DNS server names other servers instead of asking them")
        }
        _ => nothing,
    }
}

/// RFC 2181 section 8: a TTL with its first bit set is none.
fn lifetime(ttl: u32) -> Duration {
    Duration::from_secs(if ttl > i32::MAX as u32 { 0 } else { ttl.into() })
}

fn failed(why: &str) -> Reading {
    Reading::Answer(Answer::Failed { why: why.to_owned() })
}

#[cfg(test)]
mod tests;
