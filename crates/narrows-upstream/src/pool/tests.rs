use super::*;
use crate::EndpointState;
use crate::chance::Chance;
use crate::seeds::for_each_seed;
use crate::tests::Site;
use narrows_plan::Balance;
use narrows_runtime::{Deadlines, Watch};
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;
use tokio::net::UnixStream;

/// A connection that was put back, as the test knows it. Requests tell connections apart: no two have the same number.
#[derive(Debug, Clone, Copy)]
struct Known {
    requests: u32,
    born: Duration,
    since: Duration,
}

/// A pool, the other ends of its connections, and a clock that moves when the test says so.
struct Simulation {
    limits: PoolLimits,
    endpoint: Rc<EndpointState>,
    pool: Pool,
    watch: Watch,
    now: Duration,
    next: u32,
    /// What may be idle, the last put back last. Those that the pool was free to close are here as well.
    idle: Vec<Known>,
    /// The other ends of connections that the server has not closed.
    servers: HashMap<u32, UnixStream>,
    held: Vec<(Connection, Duration)>,
}

impl Simulation {
    fn new(chance: &mut Chance) -> Self {
        let some = |chance: &mut Chance, seconds: u64| {
            (chance.below(3) > 0).then(|| Duration::from_secs(1 + chance.below(seconds)))
        };
        let limits = PoolLimits {
            idle: chance.below(6) as usize,
            idle_timeout: some(chance, 10),
            requests: (chance.below(3) == 0).then(|| 1 + chance.below(60) as u32),
            age: some(chance, 30),
        };
        let endpoint = Site::new(Balance::RoundRobin, &[1]).only_endpoint();
        let (pool, watch) = (Pool::new(limits), Deadlines::new().watch());
        let (now, next) = (Duration::ZERO, 1);
        let (idle, servers, held) = (Vec::new(), HashMap::new(), Vec::new());
        Simulation { limits, endpoint, pool, watch, now, next, idle, servers, held }
    }

    fn tick(&self) -> Tick {
        self.watch.after(self.now)
    }

    fn connect(&mut self) {
        let (ours, theirs) = UnixStream::pair().expect("a pair");
        self.servers.insert(self.next, theirs);
        let connection = Connection {
            stream: Stream::Unix(ours),
            requests: self.next,
            born: self.tick(),
            open: self.endpoint.open(),
        };
        self.next += 1;
        self.held.push((connection, self.now));
    }

    fn put_back(&mut self, index: usize) {
        let (connection, born) = self.held.swap_remove(index);
        let requests = connection.requests;
        let before = self.pool.idle.borrow().len();
        self.pool.put(connection, self.tick());
        let is_kept = self.pool.idle.borrow().len() > before;
        let is_spent = self.limits.requests.is_some_and(|limit| requests >= limit);
        assert_eq!(is_kept, !is_spent && before < self.limits.idle, "{requests} with {before} idle");
        if is_kept {
            self.idle.push(Known { requests, born, since: self.now });
        }
    }

    fn is_usable(&self, known: &Known) -> bool {
        let is_over = |limit: Option<Duration>, since| limit.is_some_and(|limit| self.now - since >= limit);
        self.servers.contains_key(&known.requests)
            && !is_over(self.limits.idle_timeout, known.since)
            && !is_over(self.limits.age, known.born)
    }

    fn take(&mut self) {
        let expected = self.idle.iter().rposition(|known| self.is_usable(known));
        let taken = self.pool.take(self.tick(), true, drop);
        let requests = taken.as_ref().map(|connection| connection.requests);
        assert_eq!(requests, expected.map(|index| self.idle[index].requests), "the last of those that live");
        let Some(connection) = taken else { return self.idle.clear() };
        let known = self.idle[expected.unwrap_or_default()];
        self.idle.truncate(expected.unwrap_or_default());
        self.held.push((connection, known.born));
    }

    fn step(&mut self, chance: &mut Chance) {
        match chance.below(12) {
            0..3 => self.connect(),
            3..6 if !self.held.is_empty() => self.put_back(chance.below(self.held.len() as u64) as usize),
            6 | 7 => self.take(),
            8 => drop(self.servers.remove(&(1 + chance.below(u64::from(self.next)) as u32))),
            9 if chance.below(8) == 0 => {
                self.pool.shed();
                self.idle.clear();
            }
            9 => self.pool.prune(self.tick()),
            _ => self.now += Duration::from_millis(100 * chance.below(30)),
        }
        let idle = self.pool.idle.borrow().len();
        assert!(idle <= self.limits.idle && idle <= self.idle.len());
        assert_eq!(
            self.endpoint.connections() as usize,
            idle + self.held.len(),
            "nothing is lost, nothing leaks"
        );
    }
}

#[test]
fn a_pool_gives_the_last_connection_that_lives_and_loses_none() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let _entered = runtime.enter();
    for_each_seed(200, |seed| {
        let mut chance = Chance::new(seed);
        let mut simulation = Simulation::new(&mut chance);
        (0..300).for_each(|_| simulation.step(&mut chance));
    });
}
