//! Names that nobody else has.

use narrows_upstream::Chance;
use narrows_wire::trace_context::{SpanId, TraceId};

/// Makes names by chance. Each worker has its own: the salt keeps apart what two sequences that meet would make.
#[derive(Debug)]
pub(crate) struct Ids {
    chance: Chance,
    salt: u64,
}

impl Ids {
    /// Another sequence each time.
    pub(crate) fn new() -> Self {
        Ids { chance: Chance::unseeded(), salt: Chance::unseeded().number() }
    }

    /// The name of a trace.
    pub(crate) fn trace(&self) -> TraceId {
        loop {
            let (high, low) = (self.chance.number() ^ self.salt, self.chance.number());
            if let Some(id) = TraceId::new((u128::from(high) << 64 | u128::from(low)).to_be_bytes()) {
                return id;
            }
        }
    }

    /// The name of a span.
    pub(crate) fn span(&self) -> SpanId {
        loop {
            if let Some(id) = SpanId::new((self.chance.number() ^ self.salt).to_be_bytes()) {
                return id;
            }
        }
    }

    /// The name of a request, which begins with the time, so that names sort (UUIDv7, RFC 9562 section 5.7). `unix` in seconds; what is finer is by chance.
    pub(crate) fn request(&self, unix: u64) -> String {
        let (one, two) = (self.chance.number(), self.chance.number() ^ self.salt);
        let milliseconds = unix * 1000 + one % 1000;
        let time = milliseconds & 0xffff_ffff_ffff;
        let high = time << 16 | 0x7000 | (one >> 52);
        let low = 0x8000_0000_0000_0000 | (two >> 2);
        format!(
            "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
            high >> 32,
            high >> 16 & 0xffff,
            high & 0xffff,
            low >> 48,
            low & 0xffff_ffff_ffff
        )
    }
}

#[cfg(test)]
mod tests {
    use super::Ids;

    #[test]
    fn a_request_is_named_by_time_and_chance() {
        let ids = Ids::new();
        let (one, two) = (ids.request(1_700_000_000), ids.request(1_700_000_000));
        assert_ne!(one, two);
        assert!(one.starts_with("018bcfe5-6"), "{one}");
        assert_eq!((one.len(), &one[14..15]), (36, "7"));
        assert!(matches!(&one[19..20], "8" | "9" | "a" | "b"), "{one}");
    }

    #[test]
    fn two_workers_make_different_traces() {
        let (one, two) = (Ids::new(), Ids::new());
        assert_ne!(one.trace(), two.trace());
        assert_ne!(one.trace(), one.trace());
        assert_ne!(one.span(), one.span());
    }
}
