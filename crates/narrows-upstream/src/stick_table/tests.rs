use super::*;
use proptest::prelude::*;
use std::sync::Arc;

const SECOND: Duration = Duration::from_secs(1);

fn place(id: u64) -> StickPlace {
    StickPlace { id: EndpointId(id), label: id }
}

fn stuck(id: u64) -> Stuck {
    Stuck { first: place(id), last: place(id) }
}

/// A table of one key after another: keys are numbers.
struct Bench {
    table: StickTable,
    born: Instant,
}

impl Bench {
    fn new(size: usize, expire: Duration) -> Self {
        let born = Instant::now();
        Bench { table: StickTable::new(size, expire, born), born }
    }

    fn find(&self, key: u64, at: u64) -> Option<Stuck> {
        self.table.find(self.table.key(&key.to_be_bytes()), self.born + SECOND * at as u32)
    }

    fn remember(&self, key: u64, seen: Option<Stuck>, id: u64, at: u64) -> bool {
        let key = self.table.key(&key.to_be_bytes());
        self.table.remember(key, seen, stuck(id), self.born + SECOND * at as u32)
    }
}

#[test]
fn a_key_is_found_until_it_was_not_used_for_long() {
    let bench = Bench::new(10, SECOND * 5);
    assert_eq!(bench.find(1, 0), None);
    assert!(bench.remember(1, None, 7, 0));
    assert_eq!(bench.find(1, 4), Some(stuck(7)));
    assert_eq!(bench.find(1, 8), Some(stuck(7)), "each use begins its time anew");
    assert_eq!(bench.find(1, 13), None);
    assert!(bench.table.is_empty());
}

#[test]
fn the_least_recently_used_makes_room() {
    let bench = Bench::new(2, SECOND * 100);
    assert!(bench.remember(1, None, 1, 0));
    assert!(bench.remember(2, None, 2, 1));
    assert_eq!(bench.find(1, 2), Some(stuck(1)));
    assert!(bench.remember(3, None, 3, 3));
    assert_eq!((bench.find(1, 4), bench.find(2, 4)), (Some(stuck(1)), None));
    assert_eq!(bench.table.len(), 2);
}

#[test]
fn of_two_that_saw_nothing_the_first_wins() {
    let bench = Bench::new(10, SECOND * 100);
    assert!(bench.remember(1, None, 1, 0));
    assert!(!bench.remember(1, None, 2, 0));
    assert_eq!(bench.find(1, 0), Some(stuck(1)));
    assert!(bench.remember(1, Some(stuck(1)), 2, 0));
    assert_eq!(bench.find(1, 0), Some(stuck(2)));
}

#[test]
fn a_table_without_room_remembers_nothing() {
    let bench = Bench::new(0, SECOND * 100);
    bench.remember(1, None, 1, 0);
    assert_eq!(bench.find(1, 0), None);
}

#[test]
fn all_threads_agree_on_one_winner_for_each_key() {
    const KEYS: u64 = 500;
    let table = Arc::new(StickTable::new(10_000, SECOND * 100, Instant::now()));
    let threads: Vec<_> = (0..4)
        .map(|thread| {
            let table = Arc::clone(&table);
            std::thread::spawn(move || {
                let won = |number: &u64| {
                    let key = table.key(&number.to_be_bytes());
                    table.remember(key, None, stuck(thread), Instant::now())
                };
                (0..KEYS).filter(won).count() as u64
            })
        })
        .collect();
    let won: u64 = threads.into_iter().map(|thread| thread.join().unwrap()).sum();
    assert_eq!((won, table.len() as u64), (KEYS, KEYS));
}

#[derive(Debug, Clone)]
enum Deed {
    Find(u64),
    Remember(u64, u64),
    Wait(u64),
}

fn deeds() -> impl Strategy<Value = Vec<Deed>> {
    let deed = prop_oneof![
        (0..40_u64).prop_map(Deed::Find),
        (0..40_u64, 0..5_u64).prop_map(|(key, id)| Deed::Remember(key, id)),
        (0..4_u64).prop_map(Deed::Wait),
    ];
    proptest::collection::vec(deed, 0..300)
}

proptest! {
    /// Against the plainest table that there is: a list, the most recently used last.
    #[test]
    fn a_table_is_never_larger_than_its_size_and_never_returns_what_is_over(size in 0..20_usize, deeds in deeds()) {
        const EXPIRE: u64 = 10;
        let bench = Bench::new(size, SECOND * EXPIRE as u32);
        let mut model: Vec<(u64, Stuck, u64)> = Vec::new();
        let mut now = 0;
        for deed in deeds {
            let look = |model: &mut Vec<(u64, Stuck, u64)>, key: u64| {
                let entry = model.remove(model.iter().position(|entry| entry.0 == key)?);
                if now - entry.2 >= EXPIRE {
                    return None;
                }
                model.push((entry.0, entry.1, now));
                Some(entry.1)
            };
            match deed {
                Deed::Find(key) => prop_assert_eq!(bench.find(key, now), look(&mut model, key)),
                Deed::Remember(key, id) => {
                    let seen = look(&mut model, key);
                    prop_assert!(bench.remember(key, seen, id, now));
                    match model.last_mut().filter(|_| seen.is_some()) {
                        Some(last) => last.1 = stuck(id),
                        None => model.push((key, stuck(id), now)),
                    }
                    // What is over is removed two at a time, before anything that is not.
                    if model.len() > size {
                        model.remove(0);
                    }
                }
                Deed::Wait(seconds) => now += seconds,
            }
            prop_assert!(bench.table.len() <= size);
        }
    }

    #[test]
    fn a_divided_table_keeps_its_size_too(size in DIVIDED_FROM..DIVIDED_FROM + 50) {
        let bench = Bench::new(size, SECOND * 10);
        for key in 0..2 * size as u64 {
            bench.remember(key, None, key, 0);
        }
        prop_assert!(bench.table.len() <= size);
        prop_assert!(bench.table.len() > size * 9 / 10);
    }
}
