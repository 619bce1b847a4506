use super::*;
use crate::chance::Chance;
use crate::seeds::for_each_seed;

const RULES: AdaptiveConcurrency =
    AdaptiveConcurrency { minimum: 4, maximum: 1000, baseline: Duration::from_secs(60) };

/// A server that answers `capacity` requests at one time, each after `service`; the others queue up there.
struct Server {
    capacity: usize,
    service: Duration,
    /// When each of its places is free.
    places: Vec<Duration>,
}

impl Server {
    fn new(capacity: usize, service: Duration) -> Self {
        Server { capacity, service, places: vec![Duration::ZERO; capacity] }
    }

    /// When a request that comes at `now` is answered.
    fn take(&mut self, now: Duration, random: &Chance) -> Duration {
        let place = (0..self.capacity).min_by_key(|at| self.places[*at]).expect("it has a place");
        let chance = 0.8 + 0.4 * (random.below(1000) as f64 / 1000.0);
        let end = self.places[place].max(now) + self.service.mul_f64(chance);
        self.places[place] = end;
        end
    }
}

/// What a run of `length` did.
#[derive(Default)]
struct Told {
    shed: u64,
    admitted: u64,
    longest: Duration,
}

/// Requests that come every `every`, for `length` from `start` on.
fn load(
    limiter: &Concurrency,
    server: &mut Server,
    random: &Chance,
    (start, length): (Duration, Duration),
    every: Duration,
) -> Told {
    let mut running: Vec<(Duration, Duration)> = Vec::new();
    let mut told = Told::default();
    let mut now = start;
    while now < start + length {
        now += every.mul_f64(0.5 + random.below(1000) as f64 / 1000.0);
        running.sort_unstable_by_key(|(end, _)| std::cmp::Reverse(*end));
        while let Some((end, began)) = running.pop_if(|(end, _)| *end <= now) {
            limiter.answered(end - began, end);
            limiter.left();
            told.longest = told.longest.max(end - began);
        }
        assert!(limiter.limit() >= limiter.rules.minimum && limiter.limit() <= limiter.rules.maximum);
        if limiter.enter() {
            told.admitted += 1;
            running.push((server.take(now, random), now));
        } else {
            told.shed += 1;
        }
        assert_eq!(limiter.running() as usize, running.len());
    }
    for (end, began) in running {
        limiter.answered(end - began, end);
        limiter.left();
    }
    told
}

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_load_that_the_upstream_can_take_is_not_shed() {
    for_each_seed(3, |seed| {
        let limiter = Concurrency::new(RULES, Duration::ZERO);
        let mut server = Server::new(40, Duration::from_millis(20));
        let random = &Chance::new(seed);
        // 2,000 a second could be answered, 600 come: 12 run at one time.
        let every = Duration::from_micros(1_667);
        let told = load(&limiter, &mut server, random, (Duration::ZERO, SECOND * 30), every);
        assert_eq!(told.shed, 0);
    });
}

#[test]
fn an_overload_is_shed_and_what_is_admitted_is_answered_soon() {
    for_each_seed(3, |seed| {
        let limiter = Concurrency::new(RULES, Duration::ZERO);
        let mut server = Server::new(30, Duration::from_millis(20));
        let random = &Chance::new(seed);
        // 1,500 a second can be answered. It begins calmly, then 4,000 come.
        load(&limiter, &mut server, random, (Duration::ZERO, SECOND * 5), Duration::from_millis(2));
        load(&limiter, &mut server, random, (SECOND * 5, SECOND * 10), Duration::from_micros(250));
        let told =
            load(&limiter, &mut server, random, (SECOND * 15, SECOND * 10), Duration::from_micros(250));
        let answered = told.admitted as f64 / 10.0;
        assert!(answered > 1_300.0, "the server is kept busy: {answered} a second");
        assert!(told.shed > 20_000, "{} shed", told.shed);
        assert!(told.longest < Duration::from_millis(120), "longest {:?}", told.longest);
    });
}

#[test]
fn an_upstream_that_has_become_slower_for_good_gets_its_limit_back() {
    for_each_seed(3, |seed| {
        let limiter = Concurrency::new(RULES, Duration::ZERO);
        let random = &Chance::new(seed);
        let every = Duration::from_millis(2);
        load(
            &limiter,
            &mut Server::new(100, Duration::from_millis(10)),
            random,
            (Duration::ZERO, SECOND * 10),
            every,
        );
        // Ten times as slow, and room for all: 50 run at one time.
        let slower = &mut Server::new(100, Duration::from_millis(100));
        let before = load(&limiter, slower, random, (SECOND * 10, SECOND * 40), every);
        assert!(before.shed > 0, "it looks like an overload");
        load(&limiter, slower, random, (SECOND * 50, SECOND * 40), every);
        let after = load(&limiter, slower, random, (SECOND * 90, SECOND * 20), every);
        assert!(after.shed * 20 < after.admitted, "{} of {} shed", after.shed, after.admitted);
    });
}

#[test]
fn the_limit_stays_between_its_bounds() {
    let rules = AdaptiveConcurrency { minimum: 3, maximum: 5, baseline: SECOND };
    for_each_seed(50, |seed| {
        let limiter = Concurrency::new(rules, Duration::ZERO);
        let random = &Chance::new(seed);
        let service = Duration::from_micros(1 + random.below(50_000));
        let server = &mut Server::new(1 + random.below(10) as usize, service);
        let every = Duration::from_micros(200 + random.below(5_000));
        load(&limiter, server, random, (Duration::ZERO, SECOND * 4), every);
    });
}
