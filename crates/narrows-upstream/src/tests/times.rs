//! What depends on time: answer times and slow start.

use super::*;
use crate::AttemptFailure;
use std::time::Duration;

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A cluster whose clock stands still.
fn held(balance: Balance, slow_start: Option<Duration>, weights: &[u32]) -> (Site, Instant) {
    let balancing = Balancing { method: balance, ..Balancing::default() };
    let site = Site::made(Upstream { slow_start, ..upstream(balancing) }, 0, weights);
    let now = Instant::now();
    site.cluster.hold(now);
    (site, now)
}

#[test]
fn an_endpoint_that_was_never_asked_is_tried_once_and_then_waited_for() {
    let (site, _) = held(Balance::PeakEwma, None, &[1, 1, 1]);
    site.endpoint(0).succeeded(Some(Duration::from_millis(5)));
    let first = site.begin();
    let second = site.begin();
    let mut asked = [first.0, second.0];
    asked.sort_unstable();
    assert_eq!(asked, [1, 2]);
    assert_eq!(counts(&site.picks(50), 3), [50, 0, 0], "nobody else goes where no answer has come from");
}

#[test]
fn the_shortest_expected_time_wins_and_running_requests_make_it_longer() {
    let (site, _) = held(Balance::PeakEwma, None, &[1, 1]);
    site.endpoint(0).succeeded(Some(Duration::from_millis(10)));
    site.endpoint(1).succeeded(Some(Duration::from_millis(45)));
    let running: Vec<_> = (0..10).map(|_| site.begin().0).collect();
    assert_eq!(counts(&running, 2), [10, 0], "each ended before the next");
    let held: Vec<_> = (0..10).map(|_| site.begin()).collect();
    assert_eq!(site.endpoint(1).running(), 2, "10 ms * 5 are more than 45 ms");
    drop(held);
}

#[test]
fn a_slow_answer_is_believed_at_once_and_forgotten_with_time() {
    let (site, now) = held(Balance::PeakEwma, None, &[1, 1]);
    (0..2).for_each(|id| site.endpoint(id).succeeded(Some(Duration::from_millis(10))));
    site.endpoint(0).succeeded(Some(Duration::from_millis(400)));
    assert_eq!(counts(&site.picks(20), 2), [0, 20]);
    // The other one keeps answering while this one is not asked.
    site.cluster.hold(now + seconds(60));
    site.endpoint(1).succeeded(Some(Duration::from_millis(10)));
    assert_eq!(site.pick(), 0, "it gets another chance");
}

#[test]
fn a_failure_counts_as_a_slow_answer_however_fast_it_was() {
    let (site, _) = held(Balance::PeakEwma, None, &[1, 1]);
    (0..2).for_each(|id| site.endpoint(id).succeeded(Some(Duration::from_millis(10))));
    site.endpoint(0).failed(AttemptFailure::Connect);
    assert_eq!(counts(&site.picks(20), 2), [0, 20]);
}

#[test]
fn an_endpoint_that_came_back_gets_its_share_little_by_little() {
    const COUNT: usize = 6000;
    for balance in [Balance::RoundRobin, Balance::Random, Balance::LeastRequest] {
        let (mut site, now) = held(balance, Some(seconds(100)), &[2, 2]);
        site.change(0, |member| member.returned = Some(now));
        site.change(0, |member| member.condition = Condition::Down);
        site.publish();
        site.set(0, Condition::Up);
        for (after, part) in [(0, 0.1), (50, 0.55), (100, 1.0), (1000, 1.0)] {
            site.cluster.hold(now + seconds(after));
            site.picks(40);
            let share = counts(&site.picks(COUNT), 2)[0] as f64 / COUNT as f64;
            let expected = part / (1.0 + part);
            assert!((share - expected).abs() < 0.03, "{balance:?} after {after} s: {share} for {expected}");
        }
    }
}

#[test]
fn running_requests_of_an_endpoint_that_starts_slowly_weigh_more() {
    let (mut site, now) = held(Balance::LeastRequest, Some(seconds(100)), &[1, 1]);
    site.change(0, |member| member.returned = Some(now));
    site.publish();
    site.cluster.hold(now + seconds(10));
    let held: Vec<_> = (0..119).map(|_| site.begin()).collect();
    assert_eq!(site.endpoint(0).running(), 19, "a part of 0.19");
    drop(held);
}

#[test]
fn hash_methods_know_no_slow_start() {
    let (mut site, now) = held(Balance::ConsistentHash, Some(seconds(100)), &[1, 1]);
    let before = site.owners(500);
    site.change(0, |member| member.returned = Some(now));
    site.publish();
    assert_eq!(before, site.owners(500));
}
