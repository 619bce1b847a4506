//! Keys of clients and the endpoints that they stick to, for all workers of the process.
//!
//! The one thing that workers share and write: a client's connections come to any of them. A look takes a lock of one part of the table for the time
//! of a few reads of memory.

use crate::membership::EndpointId;
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Parts with a lock each, in tables that are large enough to be divided.
const PARTS: usize = 16;
/// Tables below this size are one part, so that the least recently used of all makes room.
const DIVIDED_FROM: usize = 4096;
/// Entries whose time is over that one new entry removes.
const REMOVED_AT_ONCE: usize = 2;

/// A bounded table. Every key takes the same memory, however long a stranger made it: a keyed hash of 128 bits is kept instead of its text.
#[derive(Debug)]
pub struct StickTable {
    parts: Box<[Mutex<Part>]>,
    hashers: [RandomState; 2],
    born: Instant,
    expire_ms: u64,
}

/// A key, as the table that made it keeps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct StickKey(u128);

/// An endpoint, as the table that made it keeps it: its identity, and its label for when it leaves and comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StickPlace {
    /// Who it was.
    pub id: EndpointId,
    /// A hash of its label.
    pub label: u64,
}

/// What a key sticks to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stuck {
    /// The endpoint that it was given first.
    pub first: StickPlace,
    /// The one that served it last.
    pub last: StickPlace,
}

impl StickTable {
    /// An empty table of `size` entries at most, each forgotten when it was not used for `expire`.
    pub fn new(size: usize, expire: Duration, now: Instant) -> Self {
        let parts = if size < DIVIDED_FROM { 1 } else { PARTS };
        let limit = |part: usize| size / parts + usize::from(part < size % parts);
        StickTable {
            parts: (0..parts).map(|part| Mutex::new(Part::new(limit(part)))).collect(),
            hashers: [RandomState::new(), RandomState::new()],
            born: now,
            expire_ms: u64::try_from(expire.as_millis()).unwrap_or(u64::MAX),
        }
    }

    /// The key for a text.
    pub fn key(&self, text: &[u8]) -> StickKey {
        let [high, low] = &self.hashers;
        StickKey(u128::from(high.hash_one(text)) << 64 | u128::from(low.hash_one(text)))
    }

    /// What stands for a label in a [`StickPlace`].
    pub fn label(&self, label: &str) -> u64 {
        self.hashers[0].hash_one(label)
    }

    /// What a key sticks to; a key that is found is used.
    pub fn find(&self, key: StickKey, now: Instant) -> Option<Stuck> {
        let now_ms = self.since_birth(now);
        self.part(key).find(key.0, now_ms, self.expire_ms)
    }

    /// Remembers what a key sticks to, unless somebody else has changed it since it was `seen`: of the first requests of a client that run at one time, one
    /// wins and the others follow it. Says whether it is remembered.
    pub fn remember(&self, key: StickKey, seen: Option<Stuck>, stuck: Stuck, now: Instant) -> bool {
        let now_ms = self.since_birth(now);
        let mut part = self.part(key);
        if part.find(key.0, now_ms, self.expire_ms) != seen {
            return false;
        }
        part.remember(key.0, stuck, now_ms, self.expire_ms);
        true
    }

    /// Entries, those included whose time is over and that nobody has looked for since.
    pub fn len(&self) -> usize {
        self.parts.iter().map(|part| lock(part).places.len()).sum()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn part(&self, key: StickKey) -> MutexGuard<'_, Part> {
        lock(&self.parts[key.0 as usize % self.parts.len()])
    }

    fn since_birth(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.born).as_millis()).unwrap_or(u64::MAX)
    }
}

/// No code between lock and unlock can leave a part half changed, so that a panic elsewhere on a thread that held it harms nobody.
fn lock(part: &Mutex<Part>) -> MutexGuard<'_, Part> {
    part.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A part of the table: entries in a slab, chained from the most to the least recently used.
#[derive(Debug)]
struct Part {
    limit: usize,
    places: HashMap<u128, u32>,
    entries: Vec<Entry>,
    free: Vec<u32>,
    newest: u32,
    oldest: u32,
}

#[derive(Debug)]
struct Entry {
    key: u128,
    stuck: Stuck,
    used_ms: u64,
    newer: u32,
    older: u32,
}

/// No entry.
const NONE: u32 = u32::MAX;

impl Part {
    fn new(limit: usize) -> Self {
        Part {
            limit: limit.min(NONE as usize),
            places: HashMap::new(),
            entries: Vec::new(),
            free: Vec::new(),
            newest: NONE,
            oldest: NONE,
        }
    }

    fn find(&mut self, key: u128, now_ms: u64, expire_ms: u64) -> Option<Stuck> {
        let slot = *self.places.get(&key)?;
        if self.is_over(slot, now_ms, expire_ms) {
            self.remove(slot);
            return None;
        }
        self.unchain(slot);
        self.chain(slot);
        let entry = &mut self.entries[slot as usize];
        entry.used_ms = entry.used_ms.max(now_ms);
        Some(entry.stuck)
    }

    fn remember(&mut self, key: u128, stuck: Stuck, now_ms: u64, expire_ms: u64) {
        if let Some(&slot) = self.places.get(&key) {
            self.entries[slot as usize].stuck = stuck;
            return;
        }
        if self.limit == 0 {
            return;
        }
        for _ in 0..REMOVED_AT_ONCE {
            if self.oldest != NONE && self.is_over(self.oldest, now_ms, expire_ms) {
                self.remove(self.oldest);
            }
        }
        if self.places.len() >= self.limit {
            self.remove(self.oldest);
        }
        let entry = Entry { key, stuck, used_ms: now_ms, newer: NONE, older: NONE };
        let slot = match self.free.pop() {
            Some(slot) => {
                self.entries[slot as usize] = entry;
                slot
            }
            None => {
                self.entries.push(entry);
                self.entries.len() as u32 - 1
            }
        };
        self.places.insert(key, slot);
        self.chain(slot);
    }

    fn is_over(&self, slot: u32, now_ms: u64, expire_ms: u64) -> bool {
        now_ms.saturating_sub(self.entries[slot as usize].used_ms) >= expire_ms
    }

    fn remove(&mut self, slot: u32) {
        self.unchain(slot);
        self.places.remove(&self.entries[slot as usize].key);
        self.free.push(slot);
    }

    /// Takes an entry out of the chain.
    fn unchain(&mut self, slot: u32) {
        let Entry { newer, older, .. } = self.entries[slot as usize];
        match newer {
            NONE => self.newest = older,
            newer => self.entries[newer as usize].older = older,
        }
        match older {
            NONE => self.oldest = newer,
            older => self.entries[older as usize].newer = newer,
        }
    }

    /// Puts an entry at the head of the chain.
    fn chain(&mut self, slot: u32) {
        let before = std::mem::replace(&mut self.newest, slot);
        let entry = &mut self.entries[slot as usize];
        (entry.newer, entry.older) = (NONE, before);
        match before {
            NONE => self.oldest = slot,
            before => self.entries[before as usize].newer = slot,
        }
    }
}

#[cfg(test)]
mod tests;
