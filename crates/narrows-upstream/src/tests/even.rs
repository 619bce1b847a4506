//! How evenly balancers spread.

use super::*;
use proptest::prelude::*;
use std::collections::VecDeque;

#[test]
fn equal_endpoints_take_turns() {
    for balance in [Balance::RoundRobin, Balance::LeastRequest, Balance::LeastConnections, Balance::PeakEwma]
    {
        assert_eq!(Site::new(balance, &[1, 1, 1]).picks(6), [0, 1, 2, 0, 1, 2], "{balance:?}");
    }
}

#[test]
fn workers_begin_with_different_endpoints() {
    let first = |weights: &[u32], worker: usize| {
        Site::made(upstream(Balancing::default()), worker, weights).picks(weights.len())
    };
    assert_eq!(first(&[1, 1, 1], 1), [1, 2, 0]);
    assert_ne!(first(&[2, 2, 2, 1, 1, 1, 3], 0), first(&[2, 2, 2, 1, 1, 1, 3], 1));
}

#[test]
fn weights_are_kept_exactly_and_spread_smoothly() {
    let picks = Site::new(Balance::RoundRobin, &[5, 1, 1]).picks(700);
    assert_eq!(counts(&picks, 3), [500, 100, 100]);
    let longest_run = picks.chunk_by(|a, b| a == b).map(<[u64]>::len).max();
    assert!(longest_run <= Some(4), "{longest_run:?}");
}

#[test]
fn an_endpoint_between_two_that_are_down_gets_no_more_than_the_others() {
    let mut site = Site::new(Balance::RoundRobin, &[1; 8]);
    for down in [0, 1, 2, 4] {
        site.set(down, Condition::Down);
    }
    assert_eq!(counts(&site.picks(400), 8), [0, 0, 0, 100, 0, 100, 100, 100]);
}

#[test]
fn a_weight_that_grows_takes_effect_at_once() {
    let mut site = Site::new(Balance::RoundRobin, &[1, 1000, 999]);
    site.picks(500);
    site.change(0, |member| member.weight = 1000);
    site.publish();
    let counts = counts(&site.picks(300), 3);
    assert!(counts.iter().all(|count| (95..=105).contains(count)), "{counts:?}");
}

#[test]
fn requests_are_filled_in_in_proportion_to_the_weights() {
    let site = Site::new(Balance::LeastRequest, &[1, 3]);
    let mut running: Vec<_> = (0..40).map(|_| site.begin()).collect();
    assert_eq!((site.endpoint(0).running(), site.endpoint(1).running()), (10, 30));
    running.clear();
    assert_eq!(site.endpoint(1).running(), 0);
}

#[test]
fn connections_are_counted_until_the_last_clone_of_their_guard_is_dropped() {
    let site = Site::new(Balance::LeastConnections, &[1, 1, 1]);
    let held: Vec<_> = [0, 0, 1].map(|id| site.endpoint(id).open()).into();
    let second = held[2].clone();
    assert_eq!(site.picks(3), [2, 2, 2]);
    drop(held);
    assert_eq!(site.endpoint(0).connections(), 0);
    assert_eq!(site.endpoint(1).connections(), 1, "a clone is the same connection");
    assert!(!site.picks(10).contains(&1));
    drop(second);
    assert_eq!(counts(&site.picks(30), 3), [10, 10, 10]);
}

#[test]
fn a_tried_endpoint_is_not_picked_again() {
    for balance in ALL {
        for weights in [&[1, 1, 1][..], &[5, 1, 1], &[1], &[3; 40], &[500, 1, 1]] {
            let site = Site::new(balance, weights);
            let mut tried = Tried::default();
            let mut seen = Vec::new();
            while let Ok(pick) = site.pick_for(&Wanted::new(CLIENT, &tried)) {
                assert!(!seen.contains(&pick), "{balance:?} {weights:?}");
                seen.push(pick);
                tried.add(EndpointId(pick));
            }
            assert_eq!(seen.len(), weights.len(), "{balance:?} {weights:?}");
            assert_eq!(site.pick_for(&Wanted::new(CLIENT, &tried)), Err(Unavailable::Tried));
        }
    }
}

#[test]
fn weight_0_takes_nothing_new() {
    for balance in ALL {
        let site = Site::new(balance, &[0, 1, 0]);
        let clients = (0..200).map(|host| IpAddr::from([10, 0, 0, host]));
        let picks = clients.map(|client| site.pick_for(&Wanted::new(client, &Tried::default())));
        assert!(picks.into_iter().all(|pick| pick == Ok(1)), "{balance:?}");
        let none = Site::new(balance, &[0, 0]);
        assert_eq!(none.pick_for(&Wanted::new(CLIENT, &Tried::default())), Err(Unavailable::Down));
    }
}

/// The difference between the most and the least loaded of equal endpoints, when each request ends after `length` others.
fn unevenness(balance: Balance, endpoints: usize, length: usize) -> u32 {
    let site = Site::new(balance, &vec![1; endpoints]);
    let mut running = VecDeque::new();
    for _ in 0..20 * length {
        let (id, guard) = site.begin();
        running.push_back((guard, site.endpoint(id).open()));
        if running.len() > length {
            running.pop_front();
        }
    }
    let loads = || (0..endpoints as u64).map(|id| site.endpoint(id).running());
    loads().max().unwrap_or_default() - loads().min().unwrap_or_default()
}

#[test]
fn the_power_of_two_choices_keeps_loads_close_where_chance_alone_does_not() {
    for balance in [Balance::LeastRequest, Balance::LeastConnections] {
        assert!(unevenness(balance, 16, 160) <= 2, "{balance:?}: a full scan is exact, one has just ended");
        let unevenness = unevenness(balance, 100, 1000);
        assert!(unevenness <= 9, "{balance:?}: {unevenness}");
    }
    let by_chance = unevenness(Balance::Random, 100, 1000);
    assert!(by_chance > 12, "{by_chance}");
}

fn weights() -> impl Strategy<Value = Vec<u32>> {
    let weight = prop_oneof![4 => 1..20_u32, 1 => 1..=65535_u32];
    proptest::collection::vec(weight, 1..40)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Bound: 2 turns, and its share of as many turns as there are endpoints (the first turns are spread over a period).
    #[test]
    fn round_robin_is_never_more_than_a_few_turns_from_the_share(weights in weights(), worker in 0..8_usize, count in 1..3000_usize) {
        let site = Site::made(upstream(Balancing::default()), worker, &weights);
        let picks = site.picks(count);
        for ((share, got), weight) in shares(&weights).iter().zip(counts(&picks, weights.len())).zip(&weights) {
            let expected = share * count as f64;
            let bound = 2.0 + share * weights.len() as f64;
            prop_assert!((got as f64 - expected).abs() <= bound, "weight {weight}: {got} for {expected}");
        }
    }

    /// Exact: in each period (as many choices as the sum of the weights) each comes as often as its weight says.
    #[test]
    fn round_robin_is_exact_over_a_period(weights in proptest::collection::vec(1..12_u32, 2..20), worker in 0..8_usize) {
        let site = Site::made(upstream(Balancing::default()), worker, &weights);
        let total = weights.iter().sum::<u32>() as usize;
        for _ in 0..3 {
            let counted = counts(&site.picks(total), weights.len());
            prop_assert!(counted.iter().zip(&weights).all(|(count, weight)| *count == *weight as usize), "{counted:?}");
        }
    }

    /// Bound: six standard deviations of a binomial distribution.
    #[test]
    fn chance_follows_the_weights(weights in weights(), worker in 0..8_usize) {
        const COUNT: usize = 20_000;
        let balancing = Balancing { method: Balance::Random, ..Balancing::default() };
        let picks = Site::made(upstream(balancing), worker, &weights).picks(COUNT);
        for (share, got) in shares(&weights).iter().zip(counts(&picks, weights.len())) {
            let expected = share * COUNT as f64;
            let deviation = (expected * (1.0 - share)).sqrt();
            prop_assert!((got as f64 - expected).abs() <= 6.0 * deviation + 1.0, "{got} for {expected}");
        }
    }

    /// Bound: with a full scan, loads in proportion to the weights are within one request of each other's share.
    #[test]
    fn least_request_fills_a_small_set_within_one_request(weights in proptest::collection::vec(1..50_u32, 1..=16), count in 1..600_usize) {
        let site = Site::new(Balance::LeastRequest, &weights);
        let _running: Vec<_> = (0..count).map(|_| site.begin()).collect();
        let loads: Vec<f64> = (0..).zip(&weights).map(|(id, weight)| f64::from(site.endpoint(id).running()) / f64::from(*weight)).collect();
        // Nobody got its last request while another one had less for its weight.
        for ((id, weight), load) in (0..).zip(&weights).zip(&loads) {
            let running = f64::from(site.endpoint(id).running());
            let before = (running - 1.0) / f64::from(*weight);
            prop_assert!(running == 0.0 || loads.iter().all(|other| before <= *other + 1e-9), "{load} of {loads:?}");
        }
    }
}
