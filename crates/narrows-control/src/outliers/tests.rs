use super::*;
use crate::seeds::for_each_seed;
use narrows_plan::{LatencyOutlier, SuccessRate};
use narrows_upstream::Chance;

const TICK: Duration = Duration::from_millis(100);
const NOBODY: [usize; 0] = [];

fn rules() -> PassiveCheck {
    PassiveCheck { failures: Some(5), ..PassiveCheck::default() }
}

/// Endpoints with their failures in a row.
struct Endpoints {
    outliers: Outliers,
    passives: Vec<Passive>,
    failures: Vec<u32>,
    up: Vec<bool>,
    now: Instant,
}

impl Endpoints {
    fn new(rules: PassiveCheck, count: usize) -> Self {
        let now = Instant::now();
        Endpoints {
            outliers: Outliers::new(rules, now),
            passives: (0..count).map(|_| Passive::default()).collect(),
            failures: vec![0; count],
            up: vec![true; count],
            now,
        }
    }

    fn fail(&mut self, index: usize, times: u32) {
        self.failures[index] += times;
        self.passives[index].failed(AttemptFailure::Status(503));
    }

    fn succeed(&mut self, index: usize) {
        if std::mem::take(&mut self.failures[index]) > 0 {
            self.passives[index].recovered();
        }
    }

    fn saw(&mut self, index: usize, attempts: u64, failures: u64, each: Duration) {
        let time = each * (attempts - failures) as u32;
        self.passives[index].saw(Seen { attempts, failures, time });
    }

    /// Lets time pass, tick by tick; who came back.
    fn pass(&mut self, time: Duration) -> Vec<usize> {
        let end = self.now + time;
        let mut back = Vec::new();
        loop {
            let mut judged: Vec<_> = self
                .passives
                .iter_mut()
                .zip(&self.failures)
                .zip(&self.up)
                .map(|((passive, failures), is_up)| Judged { passive, failures: *failures, is_up: *is_up })
                .collect();
            self.outliers.judge(self.now, &mut judged, |index| back.push(index));
            for index in &back {
                self.failures[*index] = 0;
            }
            if self.now >= end {
                return back;
            }
            self.now += TICK;
        }
    }

    fn ejected(&self) -> Vec<usize> {
        (0..self.passives.len()).filter(|index| self.passives[*index].ejected.is_some()).collect()
    }
}

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

#[test]
fn five_failures_in_a_row_eject_for_ten_seconds_and_four_do_not() {
    let mut endpoints = Endpoints::new(rules(), 2);
    endpoints.fail(0, 4);
    endpoints.pass(TICK);
    assert_eq!(endpoints.ejected(), NOBODY);
    endpoints.succeed(0);
    endpoints.fail(0, 5);
    endpoints.pass(TICK);
    assert_eq!(endpoints.ejected(), [0]);
    let reason = endpoints.passives[0].ejected().unwrap();
    assert_eq!(&**reason, "5 failures in a row, the last: status 503; for 10 s");
    assert_eq!(endpoints.pass(seconds(9)), NOBODY);
    assert_eq!(endpoints.pass(seconds(1)), [0]);
}

#[test]
fn who_could_not_be_ejected_is_only_by_what_fails_later() {
    let mut endpoints = Endpoints::new(rules(), 2);
    endpoints.fail(0, 5);
    endpoints.fail(1, 5);
    endpoints.pass(TICK);
    assert_eq!(endpoints.ejected(), [0], "one of two may be");
    assert_eq!(endpoints.pass(seconds(10)), [0]);
    assert_eq!(endpoints.ejected(), NOBODY, "nobody has failed since");
    endpoints.fail(1, 1);
    endpoints.pass(TICK);
    assert_eq!(endpoints.ejected(), [1]);
}

#[test]
fn the_next_ejection_is_longer_and_the_count_goes_down_while_all_is_well() {
    let mut endpoints = Endpoints::new(PassiveCheck { maximum_ejection: seconds(25), ..rules() }, 2);
    let eject = |endpoints: &mut Endpoints, lasts: u64| {
        endpoints.fail(0, 5);
        endpoints.pass(Duration::ZERO);
        assert_eq!(endpoints.ejected(), [0]);
        assert_eq!(endpoints.pass(seconds(lasts) - TICK), NOBODY, "not before {lasts} s");
        assert_eq!(endpoints.pass(TICK), [0], "after {lasts} s");
    };
    eject(&mut endpoints, 10);
    eject(&mut endpoints, 20);
    eject(&mut endpoints, 25);
    // It behaves for the time of two ejections: three, less two, and one more.
    endpoints.pass(seconds(20));
    eject(&mut endpoints, 20);
    endpoints.pass(seconds(60));
    eject(&mut endpoints, 10);
}

#[test]
fn only_a_share_is_ejected_and_the_rest_once_somebody_is_back() {
    let mut endpoints = Endpoints::new(rules(), 5);
    (0..5).for_each(|index| endpoints.fail(index, 5));
    endpoints.pass(TICK);
    assert_eq!(endpoints.ejected(), [0, 1], "half of five");
    endpoints.pass(seconds(10));
    (2..5).for_each(|index| endpoints.fail(index, 1));
    endpoints.pass(TICK);
    assert_eq!(endpoints.ejected(), [2, 3], "they still fail");
}

#[test]
fn one_of_two_may_always_be_ejected_and_the_only_one_never() {
    for (count, share, ejected) in [(2, 0, 1), (2, 100, 2), (1, 100, 0), (3, 50, 1)] {
        let mut endpoints = Endpoints::new(PassiveCheck { share, ..rules() }, count);
        (0..count).for_each(|index| endpoints.fail(index, 5));
        endpoints.pass(TICK);
        assert_eq!(endpoints.ejected().len(), ejected, "{count} endpoints, {share} %");
    }
}

#[test]
fn a_success_that_was_told_before_the_failure_ends_it_all_the_same() {
    let mut endpoints = Endpoints::new(rules(), 2);
    endpoints.fail(0, 1);
    endpoints.pass(TICK);
    assert!(endpoints.passives[0].is_restless(), "it has failed, and nothing else is known");
    endpoints.failures[0] = 0;
    endpoints.pass(TICK);
    assert!(!endpoints.passives[0].is_restless());
    endpoints.fail(0, 5);
    endpoints.pass(TICK);
    assert_eq!(endpoints.ejected(), [0]);
}

#[test]
fn an_endpoint_that_is_down_is_not_also_ejected() {
    let mut endpoints = Endpoints::new(rules(), 2);
    endpoints.up[0] = false;
    endpoints.fail(0, 50);
    endpoints.pass(seconds(5));
    assert_eq!(endpoints.ejected(), NOBODY);
}

#[test]
fn a_success_rate_far_below_the_others_ejects() {
    let success_rate = Some(SuccessRate { deviation: 190, requests: 100, endpoints: 3 });
    let mut endpoints = Endpoints::new(PassiveCheck { success_rate, ..rules() }, 6);
    (0..5).for_each(|index| endpoints.saw(index, 1000, 5, TICK));
    endpoints.saw(5, 1000, 200, TICK);
    endpoints.pass(seconds(9));
    assert_eq!(endpoints.ejected(), NOBODY, "not before the interval is over");
    endpoints.pass(seconds(2));
    assert_eq!(endpoints.ejected(), [5]);
    let reason = endpoints.passives[5].ejected().unwrap();
    assert_eq!(&**reason, "success rate 80.0 %, on average 96.2 %; for 10 s");
}

#[test]
fn rates_of_few_requests_or_few_endpoints_are_not_judged() {
    let success_rate = Some(SuccessRate { deviation: 100, requests: 100, endpoints: 3 });
    let mut endpoints = Endpoints::new(PassiveCheck { success_rate, ..rules() }, 3);
    endpoints.saw(0, 99, 99, TICK);
    endpoints.saw(1, 1000, 0, TICK);
    endpoints.saw(2, 1000, 0, TICK);
    endpoints.pass(seconds(11));
    assert_eq!(endpoints.ejected(), NOBODY);
}

#[test]
fn answers_that_take_three_times_as_long_eject_the_slower_of_two() {
    let minimum = Duration::from_millis(50);
    let latency = Some(LatencyOutlier { factor: 300, minimum, requests: 100 });
    for (fast, slow, is_ejected) in [(20, 61, true), (20, 60, false), (1, 50, false), (1, 51, true)] {
        let mut endpoints = Endpoints::new(PassiveCheck { latency, ..rules() }, 2);
        endpoints.saw(0, 100, 0, Duration::from_millis(fast));
        endpoints.saw(1, 100, 0, Duration::from_millis(slow));
        endpoints.pass(seconds(11));
        assert_eq!(endpoints.ejected() == [1], is_ejected, "{fast} ms and {slow} ms");
    }
}

/// A schedule of faults: endpoints break and heal, are slow, go down and come back.
fn simulate(seed: u64) {
    let random = Chance::new(seed);
    let count = 1 + random.below(8) as usize;
    let rules = PassiveCheck {
        failures: (random.below(5) > 0).then(|| 1 + random.below(8) as u32),
        interval: Duration::from_millis(500 + random.below(5000)),
        success_rate: (random.below(2) == 0).then(|| SuccessRate {
            deviation: 100 + random.below(150) as u32,
            requests: 20,
            endpoints: 2 + random.below(3) as u32,
        }),
        latency: (random.below(2) == 0).then(|| LatencyOutlier {
            factor: 150 + random.below(300) as u32,
            minimum: Duration::from_millis(10),
            requests: 20,
        }),
        ejection: Duration::from_millis(200 + random.below(5000)),
        maximum_ejection: Duration::from_millis(200 + random.below(20_000)),
        share: random.below(101) as u32,
        ..PassiveCheck::default()
    };
    let mut endpoints = Endpoints::new(rules.clone(), count);
    let allowed = endpoints.outliers.allowed(count);
    assert!(allowed <= count && (count < 2) == (allowed == 0));
    let mut broken = vec![false; count];
    let mut since: Vec<Option<(Instant, u32)>> = vec![None; count];
    for _ in 0..600 {
        for (index, broken) in broken.iter_mut().enumerate() {
            if random.below(60) == 0 {
                *broken = !*broken;
            }
            if random.below(100) == 0 {
                endpoints.up[index] = !endpoints.up[index];
            }
            let attempts = random.below(20);
            let failures = if *broken { random.below(attempts + 1) } else { 0 };
            let each = Duration::from_millis(if *broken { 100 } else { 20 });
            endpoints.saw(index, attempts, failures, each);
            if failures > 0 {
                endpoints.fail(index, failures as u32);
            } else if attempts > 0 {
                endpoints.succeed(index);
            }
        }
        let before = endpoints.ejected();
        let was_up = endpoints.up.clone();
        let back = endpoints.pass(Duration::ZERO);
        let ejected = endpoints.ejected();
        assert!(ejected.len() <= allowed, "{} of {count} with {} %", ejected.len(), rules.share);
        for index in 0..count {
            let is_ejected = ejected.contains(&index);
            let came_back = back.contains(&index);
            let passive = &endpoints.passives[index];
            if let (true, Some((began, times))) = (came_back, since[index]) {
                let length = (rules.ejection * times).min(rules.maximum_ejection.max(rules.ejection));
                let lasted = endpoints.now - began;
                assert!(lasted >= length && lasted < length + TICK * 2, "{lasted:?} instead of {length:?}");
                since[index] = None;
            }
            assert!(!before.contains(&index) || is_ejected || came_back, "it came back before its time");
            if is_ejected && since[index].is_none() {
                assert!(was_up[index] && passive.times > 0);
                since[index] = Some((endpoints.now, passive.times));
            }
            assert_eq!(is_ejected, since[index].is_some());
        }
        endpoints.now += TICK;
    }
    // All heal: everybody is back in time, and every count is zero in the end.
    endpoints.failures = vec![0; count];
    endpoints.passives.iter_mut().for_each(|passive| {
        passive.recovered();
        passive.seen = Seen::default();
    });
    let longest = rules.maximum_ejection.max(rules.ejection);
    endpoints.pass(longest + TICK);
    assert_eq!(endpoints.ejected(), NOBODY);
    let most = endpoints.passives.iter().map(|passive| passive.times).max().unwrap_or(0);
    endpoints.pass(rules.ejection * (most + 1));
    assert!(endpoints.passives.iter().all(|passive| passive.times == 0 && !passive.is_restless()));
}

#[test]
fn never_more_are_ejected_than_may_and_all_come_back_in_time() {
    for_each_seed(300, simulate);
}
